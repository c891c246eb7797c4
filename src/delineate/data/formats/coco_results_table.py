"""COCO results read piece by piece into columns, all checked, where the file is as most are.

A large results file is mostly run-length strings. Here it is cut between its entries and decoded a piece at a
time into typed records (msgspec), whose fields are checked as columns and whose strings by their sums
(:mod:`delineate.core.rle_sums`). Whatever is not plain (polygons, lists of counts, other numbers) or is wrong
gives None: the careful reader then takes the file, and says what is wrong where.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

import hotcoco
import msgspec
import numpy as np
from numpy.typing import NDArray

from delineate.core.rle_sums import sums

PIECE = 1 << 18
"""Bytes decoded at once: they stay in the processor's cache."""
LARGEST = 2.0**40
"""No coordinate lies further out, in pixels."""
_BETWEEN = re.compile(rb"\}\s*,\s*\{")


class RunLengths(TypedDict):
    """A mask as a COCO string."""

    size: tuple[int, int]
    counts: str


class Row(msgspec.Struct, gc=False):
    """One plain result. A score of NaN is no JSON; one outside 0..1 is refused by its type."""

    image_id: int
    category_id: int
    score: Annotated[float, msgspec.Meta(ge=0, le=1)]
    segmentation: RunLengths | None = None
    bbox: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class ResultsTable:
    """N results of one file, in its order.

    Attributes:
        images: (N,) image ids.
        categories: (N,) category ids, as written.
        scores: (N,) scores, 0..1.
        boxes: (N, 4) float64 xywh, as written, or else of the masks.
        areas: (N,) pixels of the masks; of boxes alone, width times height.
        texts: the run-length strings, some end to end in each; empty where there are no masks.
        ends: (N,) where each string ends, counted through all of ``texts``; empty likewise.
        boxed: whether the boxes are as written.
    """

    images: NDArray[np.int64]
    categories: NDArray[np.int64]
    scores: NDArray[np.float64]
    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]
    texts: tuple[bytes, ...]
    ends: NDArray[np.int64]
    boxed: bool

    def __len__(self) -> int:
        return len(self.images)

    @property
    def masked(self) -> bool:
        """Whether all have run lengths; else none has."""
        return len(self.ends) > 0

    def counts(self, chosen: NDArray[np.int64]) -> list[str]:
        """The run-length strings of chosen results, ascending."""
        begins = np.cumsum([0, *map(len, self.texts)])
        part = np.searchsorted(begins, self.ends[chosen], side="left") - 1
        stops = self.ends[chosen] - begins[part]
        starts = np.where(chosen > 0, self.ends[chosen - 1], 0) - begins[part]
        return [
            self.texts[k][a:b].decode("ascii")
            for k, a, b in zip(part.tolist(), starts.tolist(), stops.tolist(), strict=True)
        ]


def rows(path: Path) -> Iterator[list[Row]]:
    """The file's results, some at a time.

    Raises:
        msgspec.MsgspecError: the file is not a list of plain results.
    """
    decode = msgspec.json.Decoder(list[Row]).decode
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at, end = data.find(b"["), data.rfind(b"]")
        if at < 0 or end < at or data[:at].strip() or data[end + 1 :].strip():
            raise msgspec.DecodeError("not a list")
        at += 1
        while at < end:
            # A cut elsewhere than between two entries leaves a piece that is no JSON.
            found = _BETWEEN.search(data, min(at + PIECE, end), end)
            stop = end if found is None else found.start() + 1
            yield decode(b"[" + data[at:stop] + b"]")
            at = end if found is None else found.end() - 1


def read_table(path: Path, sizes: Mapping[int, tuple[int, int]]) -> ResultsTable | None:
    """The columns of a plain results file.

    Not looked at: whether a category is known.

    Args:
        path: the JSON file.
        sizes: (height, width) by image id.

    Returns:
        None where an entry is not plain, is not about one of the images, or is wrong in any way; and where
        masks or boxes are in some entries alone.
    """
    parts = []
    try:
        for piece in rows(path):
            part = _part(piece, sizes)
            if part is None:
                return None
            parts.append(part)
    except (OSError, ValueError, msgspec.MsgspecError):  # ValueError: an empty file, or damaged run lengths
        return None
    if not parts or len({(part.masked, part.boxed) for part in parts}) > 1:
        return None
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("images", "categories", "scores", "boxes", "areas")
    }
    lengths = [np.diff(part.ends, prepend=0) for part in parts]
    texts = tuple(text for part in parts for text in part.texts)
    return ResultsTable(**columns, texts=texts, ends=np.cumsum(np.concatenate(lengths)), boxed=parts[0].boxed)


def _part(piece: list[Row], sizes: Mapping[int, tuple[int, int]]) -> ResultsTable | None:
    """The columns of some results.

    Raises:
        ValueError: damaged run lengths.
    """
    masks = [row.segmentation for row in piece if row.segmentation is not None]
    written = [row.bbox for row in piece if row.bbox is not None]
    number = len(piece)
    if not number or {len(masks), len(written)} - {0, number} or not (masks or written):
        return None
    images = [row.image_id for row in piece]
    try:
        expected = [sizes[image] for image in images]
        categories = np.array([row.category_id for row in piece], np.int64)
    except (KeyError, OverflowError):
        return None
    table: dict[str, Any] = {"texts": (), "ends": np.zeros(0, np.int64)}
    if masks:
        texts = [mask["counts"] for mask in masks]
        joined = "".join(texts).encode("ascii")
        lengths = np.fromiter(map(len, texts), np.int64, number)
        found = sums(joined, lengths)
        if found is None or [mask["size"] for mask in masks] != expected:
            return None
        if found.covered.tolist() != [height * width for height, width in expected]:
            return None
        table = {"texts": (joined,), "ends": np.cumsum(lengths)}
    boxes = np.array(written, np.float64) if written else hotcoco.mask.to_bbox(masks)
    if not (np.abs(boxes) <= LARGEST).all() or (boxes[:, 2:] < 0).any():
        return None
    return ResultsTable(
        images=np.array(images, np.int64),
        categories=categories,
        scores=np.array([row.score for row in piece]),
        boxes=boxes,
        areas=found.area.astype(np.float64) if masks else boxes[:, 2] * boxes[:, 3],
        boxed=bool(written),
        **table,
    )

"""COCO results read piece by piece into columns, all checked, where the file is as most are.

A large results file is mostly run-length strings. Here it is cut between its entries and decoded a piece at a
time into typed records (msgspec), whose fields are checked as columns and whose strings by their sums
(:mod:`delineate.core.rle_sums`). Whatever is not plain (polygons, lists of counts, other numbers) or is wrong
gives None: the careful reader then takes the file, and says what is wrong where.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict, cast

import hotcoco
import msgspec
import numpy as np
from numpy.typing import NDArray

from delineate.core.rle_sums import sums

from .json_file import without_collection

PIECE = 1 << 18
"""Bytes decoded at once: they stay in the processor's cache."""
LARGEST = 2.0**40
"""No coordinate lies further out, in pixels."""

_BETWEEN = (b"},{", b"}, {", b"},\n")


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
        masked: all have run lengths; False: none has.
        boxed: whether the boxes are as written.
        kept: (M,) places of the results whose run lengths are kept, ascending.
        counts: M run-length strings.
    """

    images: NDArray[np.int64]
    categories: NDArray[np.int64]
    scores: NDArray[np.float64]
    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]
    masked: bool
    boxed: bool
    kept: NDArray[np.int64]
    counts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


def rows(path: Path) -> Iterator[list[Row]]:
    """The file's results, some at a time.

    Raises:
        msgspec.MsgspecError: the file is not a list of plain results.
    """
    decode = msgspec.json.Decoder(list[Row]).decode
    with path.open("rb") as file:
        rest = file.read(PIECE).lstrip()
        if not rest.startswith(b"["):
            raise msgspec.DecodeError("not a list")
        rest = rest[1:]
        while piece := file.read(PIECE):
            rest += piece
            # A cut elsewhere than between two entries leaves a piece that is no JSON.
            cut = next((at for between in _BETWEEN if (at := rest.rfind(between)) >= 0), -1)
            if cut < 0:
                continue
            yield decode(b"[" + rest[: cut + 1] + b"]")
            rest = rest[cut + 2 :]
        if rest.strip() != b"]":
            yield decode(b"[" + rest)


def read_table(
    path: Path, sizes: Mapping[int, tuple[int, int]], wanted: Collection[tuple[int, int]] = ()
) -> ResultsTable | None:
    """The columns of a plain results file.

    Not looked at: whether a category is known.

    Args:
        path: the JSON file.
        sizes: (height, width) by image id.
        wanted: image and category ids of the results whose run lengths are to be kept.

    Returns:
        None where an entry is not plain, is not about one of the images, or is wrong in any way; and where
        masks or boxes are in some entries alone.
    """
    parts = []
    try:
        with without_collection():
            for piece in rows(path):
                part = _part(piece, sizes, wanted)
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
    begins = np.cumsum([0, *map(len, parts)])
    return ResultsTable(
        **columns,
        masked=parts[0].masked,
        boxed=parts[0].boxed,
        kept=np.concatenate([part.kept + begin for part, begin in zip(parts, begins[:-1], strict=True)]),
        counts=tuple(text for part in parts for text in part.counts),
    )


def _part(
    piece: list[Row], sizes: Mapping[int, tuple[int, int]], wanted: Collection[tuple[int, int]]
) -> ResultsTable | None:
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
    areas = _areas(masks, expected) if masks else None
    if masks and areas is None:
        return None
    boxes = np.array(written, np.float64) if written else hotcoco.mask.to_bbox(cast(Any, masks))
    kept = [k for k, row in enumerate(piece) if masks and (row.image_id, row.category_id) in wanted]
    if not (np.abs(boxes) <= LARGEST).all() or (boxes[:, 2:] < 0).any():
        return None
    return ResultsTable(
        images=np.array(images, np.int64),
        categories=categories,
        scores=np.array([row.score for row in piece]),
        boxes=boxes,
        areas=boxes[:, 2] * boxes[:, 3] if areas is None else areas,
        masked=bool(masks),
        boxed=bool(written),
        kept=np.array(kept, np.int64),
        counts=tuple(masks[k]["counts"] for k in kept),
    )


def _areas(masks: list[RunLengths], expected: list[tuple[int, int]]) -> NDArray[np.float64] | None:
    """(N,) pixels of each mask; None where a string does not cover the image, or is of another size."""
    texts = [mask["counts"] for mask in masks]
    found = sums("".join(texts).encode("ascii"), np.fromiter(map(len, texts), np.int64, len(texts)))
    if found is None or [mask["size"] for mask in masks] != expected:
        return None
    if found.covered.tolist() != [height * width for height, width in expected]:
        return None
    return found.area.astype(np.float64)

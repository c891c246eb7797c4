"""A COCO file written row by row: annotations go to a second file until all images are known."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from delineate.core.instances import Instances
from delineate.core.labels import Labels

from ..records import Drawn, Record
from ..write import atomic

DIGITS = 4
"""Decimals of a coordinate."""


class Document:
    """The rows of one file; made by :func:`document`.

    Attributes:
        categories: rows of ``categories``, to be set before the end.
        more: further tables of the file, written first.
    """

    def __init__(self, spool: IO[bytes]) -> None:
        """A document without rows."""
        self.categories: list[dict[str, Any]] = []
        self.more: dict[str, Any] = {}
        self._images: list[bytes] = []
        self._spool = spool
        self._used: set[int] = set()
        self._last = 0
        self._videos: dict[str, int] = {}

    def image(self, row: dict[str, Any], record: Record, without: tuple[str, ...] = ()) -> None:
        """Adds an image; the record's columns go with it, its sequence as COCO's video."""
        groups = dict(record.groups)
        if "sequence" in groups:
            name = groups.pop("sequence")
            row["video_id"] = self._videos.setdefault(name, len(self._videos) + 1)
            frame = groups.pop("frame", "")
            row["frame_id"] = int(frame) if frame.isdigit() else len(self._images)
        columns = {column: value for column, value in groups.items() if column not in without}
        if columns:
            row["columns"] = columns
        self._images.append(msgspec.json.encode(row))

    def annotations(self, truth: Instances, drawn: Drawn, image_id: int, tracked: bool) -> None:
        """Adds the objects of an image: the polygons as drawn, else run lengths of the masks."""
        encoded = _segmentations(truth, drawn)
        for i, segmentation in enumerate(encoded):
            x1, y1, x2, y2 = truth.boxes[i].tolist()
            own = None if truth.ids is None else int(truth.ids[i])
            row: dict[str, Any] = {
                "id": self._identity(None if tracked else own),
                "image_id": image_id,
                "category_id": truth.classes.id(int(truth.labels[i])),
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": float(truth.area[i]),
                "iscrowd": int(truth.crowd[i]),
            }
            if tracked and own is not None:
                row["track_id"] = own
            if segmentation is not None:
                row["segmentation"] = segmentation
            self._spool.write((b",\n" if self._last else b"") + msgspec.json.encode(row))
            self._last = max(self._last, row["id"])

    def _identity(self, own: int | None) -> int:
        """``own`` where it is free, else the next number."""
        identity = own if own is not None and own > 0 and own not in self._used else self._last + 1
        self._used.add(identity)
        return identity

    def write(self, path: Path) -> None:
        """Puts the whole file together."""
        if self._videos:
            self.more["videos"] = [{"id": number, "name": name} for name, number in self._videos.items()]
        with path.open("wb") as file:
            file.write(b"{")
            for key, table in self.more.items():
                file.write(msgspec.json.encode(key) + b":" + msgspec.json.encode(table) + b",\n")
            file.write(b'"images":[' + b",\n".join(self._images) + b'],\n"annotations":[')
            self._spool.seek(0)
            shutil.copyfileobj(self._spool, file)
            file.write(b'],\n"categories":' + msgspec.json.encode(self.categories) + b"}\n")


@contextmanager
def document(path: Path) -> Iterator[Document]:
    """A document that becomes the file ``path`` when the block ends well."""
    with atomic(path) as temporary, tempfile.TemporaryFile(dir=path.parent) as spool:
        made = Document(spool)
        yield made
        made.write(temporary)


def _segmentations(truth: Instances, drawn: Drawn) -> list[Any]:
    """For each object its flat polygons, else its run lengths; None where there are boxes alone."""
    if truth.masks is None:
        return [None] * len(truth)
    found: list[Any] = [None] * len(truth)
    for i, parts in enumerate(drawn):
        if parts and not truth.crowd[i] and not any(part.holes for part in parts):
            found[i] = [np.round(part.exterior, DIGITS).ravel().tolist() for part in parts]
    rest = [i for i, segmentation in enumerate(found) if segmentation is None]
    for i, rle in zip(rest, truth.masks[rest].to_rle(), strict=True):
        found[i] = rle
    return found


def category_rows(classes: Labels) -> list[dict[str, Any]]:
    """The classes as ``categories``; stuff is marked where there is some."""
    rows: list[dict[str, Any]] = [
        {"id": i, "name": n} for i, n in zip(classes.ids, classes.names, strict=True)
    ]
    if not all(classes.things):
        for row, thing in zip(rows, classes.things, strict=True):
            row["isthing"] = int(thing)
    return rows

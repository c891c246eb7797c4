"""Tracked objects as text, a frame at a time: MOTS, MOT Challenge, and a table for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.formats.mots_write import class_numbers
from delineate.data.losses import Losses
from delineate.data.painted import paint
from delineate.data.write import atomic

from .track import FoundTracks

MOTS_NAMES = {"person": "pedestrian"}
"""What MOTS calls a class that others call so."""


class TextFile:
    """A text file that is written line by line; a context manager."""

    newline: str | None = "\n"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str]

    def __enter__(self) -> Any:
        self._file = self.path.open("w", encoding="utf-8", newline=self.newline)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class MotFile(TextFile):
    """Boxes as MOT Challenge results: ``frame,id,left,top,width,height,score,-1,-1,-1``, pixels from 1."""

    def __init__(self, path: Path, number_of: Callable[[int], int]) -> None:
        super().__init__(path)
        self._number_of = number_of

    def add(self, found: FoundTracks) -> None:
        """The lines of one frame."""
        number = self._number_of(found.number)
        for track, (x1, y1, x2, y2), score in _rows(found.instances):
            self._file.write(
                f"{number},{track},{x1 + 1:.2f},{y1 + 1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},{score:.4f}"
                ",-1,-1,-1\n"
            )


class MotsFile(TextFile):
    """Masks as MOTS results: ``frame id class height width rle``; where masks overlap the smaller is on top.

    The classes are numbered as in :func:`delineate.data.formats.mots_write.class_numbers`, where a person
    counts as a pedestrian; a ``labels.txt`` beside the file names them where they are others than MOTS's own.

    Attributes:
        losses: what the format could not hold.
    """

    def __init__(self, path: Path, number_of: Callable[[int], int]) -> None:
        super().__init__(path)
        self._number_of = number_of
        self._classes: list[int] | None = None
        self.losses = Losses("MOTS")

    def add(self, found: FoundTracks) -> None:
        """The lines of one frame."""
        objects, number = found.instances, self._number_of(found.number)
        if self._classes is None:
            self._classes = self._numbered(objects.classes)
        if not len(objects):
            return
        painted = paint(objects, self.losses, f"frame {number}")
        shown = np.setdiff1d(painted, [0])
        height, width = objects.size
        ids = _ids(objects)
        for place, rle in zip((shown - 1).tolist(), Masks.from_label_image(painted).to_rle(), strict=True):
            kind = self._classes[int(objects.labels[place])]
            self._file.write(f"{number} {ids[place]} {kind} {height} {width} {rle['counts']}\n")

    def _numbered(self, classes: Labels) -> list[int]:
        names = tuple(MOTS_NAMES.get(name, name) for name in classes.names)
        numbers = class_numbers(Labels(names))
        if not set(names) <= {"car", "pedestrian"}:
            own = dict(zip(numbers, names, strict=True))
            lines = [" ".join(own.get(k, "ignore").split()) for k in range(1, max(numbers) + 1)]
            with atomic(self.path.with_name("labels.txt")) as part:
                part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return numbers


class TableFile(TextFile):
    """A row per object and frame, for spreadsheets.

    Columns: ``frame``, ``time_s``, ``track``, ``parent`` (of the track, in its first frame, where it divided
    off another), ``class``, ``score``, the box ``x1_px`` to ``y2_px``, ``area_px``, and ``split`` (1: its
    mask was cut out of one that covered several objects).
    """

    newline = ""
    columns = (
        "frame", "time_s", "track", "parent", "class", "score", "x1_px", "y1_px", "x2_px", "y2_px", "area_px",
        "split",
    )  # fmt: skip

    def __enter__(self) -> TableFile:
        super().__enter__()
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(self.columns)
        return self

    def add(self, found: FoundTracks) -> None:
        """The rows of one frame."""
        objects, parents = found.instances, found.tracked.parents
        for (track, box, score), name, area, split in zip(
            _rows(objects), objects.names, objects.area.tolist(), found.tracked.split.tolist(), strict=True
        ):
            text = f"'{name}" if name[:1] in ("=", "+", "-", "@", "\t", "\r") else name
            corners = [f"{v:.2f}" for v in box]
            row = [found.number, f"{found.time:.4f}", track, parents.get(track, ""), text, f"{score:.4f}"]
            self._rows.writerow([*row, *corners, f"{area:g}", int(split)])


def _ids(objects: Instances) -> NDArray[np.int64]:
    return np.zeros(len(objects), np.int64) if objects.ids is None else objects.ids


def _rows(objects: Instances) -> list[tuple[int, list[float], float]]:
    """Id, box and score of each object."""
    return list(zip(_ids(objects).tolist(), objects.boxes.tolist(), objects.scores.tolist(), strict=True))

"""Objects as annotation tools draw them, and what they become: one way for all tools.

A reader of a tool's file makes one :class:`Drawn` of each object: polygons, rectangles, ellipses, and masks
that stay encoded until their image is asked for. Coordinates are pixels, x right, y down, (0, 0) the top left
corner of the top left pixel.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError, InputError, MaskError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon

from ..images import read_size
from ..records import Dataset, Record
from .coco_check import Bad, Findings, finite
from .json_file import show

Crop = tuple[NDArray[np.bool_], tuple[int, int]]
LARGEST = 2.0**31
"""Largest coordinate that is taken for one."""


class Pixels(Protocol):
    """A mask that is still encoded."""

    def crop(self, size: tuple[int, int]) -> Crop:
        """The mask in a box, (h, w) bool, and the box's corner (x, y), on an image of ``size``."""


class Box(NamedTuple):
    """An upright rectangle: x1 <= x2 and y1 <= y2."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def polygon(self) -> Polygon:
        """Its four corners."""
        return Polygon([[self.x1, self.y1], [self.x2, self.y1], [self.x2, self.y2], [self.x1, self.y2]])  # type: ignore[arg-type]


Piece = Polygon | Box | Pixels


@dataclass(frozen=True, eq=False)
class Drawn:
    """One object of a tool's file.

    Attributes:
        name: its class.
        pieces: what it is made of, joined; at least one.
        where: its place in the file, for messages.
        id: its track, or None.
        score: confidence in 0..1.
        crowd: whether it stands for a group.
    """

    name: str
    pieces: tuple[Piece, ...]
    where: str
    id: int | None = None
    score: float = 1.0
    crowd: bool = False


# -- pieces from what stands in a file -------------------------------------------------------------------


def number(value: object, where: str) -> float:
    """A finite number of pixels (or percent) from JSON."""
    if not finite(value) or abs(float(value)) > LARGEST:  # type: ignore[arg-type]
        raise Bad(f"{where}: expected a finite number, got {show(value)}")
    return float(value)  # type: ignore[arg-type]


def polygon(points: object, where: str, holes: Sequence[object] = ()) -> Polygon:
    """A polygon of ``[[x, y], …]`` and maybe holes of the same kind."""
    return Polygon(
        _ring(points, where), tuple(_ring(hole, f"{where}, hole {i}") for i, hole in enumerate(holes))
    )


def _ring(points: object, where: str) -> NDArray[np.float64]:
    if not isinstance(points, list | np.ndarray) or len(points) < 3:
        got = f"{len(points)} points" if isinstance(points, list | np.ndarray) else show(points)
        raise Bad(f"{where}: expected at least 3 points x, y, got {got}")
    try:
        ring = np.array(points)
    except (ValueError, OverflowError):  # of different lengths
        ring = np.zeros(0)
    if ring.ndim != 2 or ring.shape[1] != 2 or ring.dtype.kind not in "iuf" or not np.isfinite(ring).all():
        raise Bad(f"{where}: expected points as two finite numbers x, y, got others")
    ring = ring.astype(np.float64)
    if np.abs(ring).max() > LARGEST:
        raise Bad(f"{where}: expected coordinates up to 2^31, got larger ones")
    return ring


def box(x1: float, y1: float, x2: float, y2: float, where: str) -> Box:
    """A rectangle by two opposite corners, in any order."""
    if x1 == x2 or y1 == y2:
        raise Bad(
            f"{where}: expected a rectangle with a width and a height, got ({x1:g}, {y1:g}, {x2:g}, {y2:g})"
        )
    return Box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))


def turned_box(given: Box, degrees: float, about: tuple[float, float]) -> Polygon:
    """A rectangle turned clockwise (as seen, y down) about a point."""
    return Polygon(_turn(given.polygon.exterior - np.array(about), degrees) + np.array(about))


def ellipse(centre: tuple[float, float], radii: tuple[float, float], degrees: float, where: str) -> Polygon:
    """An ellipse as a polygon that is nowhere more than 0.02 pixels off.

    Args:
        centre: x, y.
        radii: half its width and half its height before it is turned, above 0.
        degrees: turned clockwise (as seen, y down) about its centre.
        where: its place in the file.
    """
    if not (radii[0] > 0 and radii[1] > 0):
        raise Bad(f"{where}: expected radii above 0, got {radii[0]:g} and {radii[1]:g}")
    largest = max(radii)
    sides = (
        16 if largest < 0.5 else int(min(720, max(16, math.ceil(math.pi / math.acos(1 - 0.02 / largest)))))
    )
    angle = np.arange(sides) * (2 * math.pi / sides)
    points = np.stack((np.cos(angle) * radii[0], np.sin(angle) * radii[1]), axis=1)
    return Polygon(_turn(points, degrees) + np.array(centre))


def _turn(points: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    angle = math.radians(degrees)
    return points @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


# -- a dataset of them -----------------------------------------------------------------------------------


def dataset(
    records: Sequence[Record],
    classes: Labels | Sequence[str],
    title: str,
    findings: Findings,
    skip_invalid: bool,
) -> Dataset:
    """The dataset of records whose annotations are tuples of :class:`Drawn`.

    Where every object is an upright rectangle there are boxes and no masks; else rectangles are filled.

    Args:
        records: at least one; those of ``findings`` that cannot be used are left out already.
        classes: the declared ones; names that stand with objects alone come after them, sorted.
        title: the format's.
        findings: what was found, of the whole dataset.
        skip_invalid: whether entries may be left out.

    Raises:
        DatasetError: there are problems and ``skip_invalid`` is False, or no image or no class is left.
    """
    objects = [drawn for record in records for drawn in record.annotation]
    names = {drawn.name for drawn in objects}
    labels = _labels(classes, names)
    boxes = sum(isinstance(piece, Box) for drawn in objects for piece in drawn.pieces)
    boxes_only = bool(objects) and boxes == sum(len(drawn.pieces) for drawn in objects)
    if boxes and not boxes_only:
        findings.counts["rectangle filled as a mask (other objects have outlines)"] = boxes
    if not objects:
        findings.counts["no objects: every image counts as background"] = 1
    notes = findings.settle(skip_invalid)
    if not records:
        more = f": {notes[-1]}" if notes else ""
        raise DatasetError(
            f"{findings.path}: expected at least one annotated image, got none{more}; check the folder"
        )
    return Dataset(
        tuple(records),
        labels,
        partial(decode, boxes_only=boxes_only),
        title,
        findings.path,
        notes,
        outlines=None if boxes_only else outlines,
    )


def _labels(classes: Labels | Sequence[str], names: set[str]) -> Labels:
    if isinstance(classes, Labels):
        known, ids = list(classes.names), list(classes.ids)
    else:
        known = list(dict.fromkeys(classes))
        ids = list(range(1, len(known) + 1))
    for name in sorted(names - set(known)):
        known.append(name)
        ids.append(max(ids, default=0) + 1)
    if not known:
        return Labels(("object",))
    return Labels(tuple(known), tuple(ids))


def decode(record: Record, classes: Labels, boxes_only: bool = False) -> tuple[Instances, tuple[str, ...]]:
    """The truth of one image; objects without any pixel are left out and told.

    Raises:
        DatasetError: an encoded mask is damaged; the image's size is unknown and cannot be read.
    """
    size, drawn = _size(record), record.annotation
    if boxes_only:
        height, width = size
        corners = np.array([piece for d in drawn for piece in d.pieces[:1]], np.float64).reshape(-1, 4)
        boxes = np.clip(corners, 0, [width, height, width, height])
        return _instances(drawn, classes, size).replace(boxes=boxes, masks=None), ()
    masks, kept = _masks(drawn, size, record)
    truth = _instances([drawn[i] for i in kept], classes, size, masks[kept])
    lost = len(drawn) - len(kept)
    return truth, (
        f"{lost} objects without any pixel left out (lines, or outside the image)",
    ) if lost else ()


def outlines(record: Record, classes: Labels) -> list[list[Polygon] | None]:
    """The polygons as drawn, for each object that :func:`decode` gives; None where there is a mask in it."""
    kept = _masks(record.annotation, _size(record), record)[1]
    return [_polygons(record.annotation[i].pieces) for i in kept]


def _polygons(pieces: Iterable[Piece]) -> list[Polygon] | None:
    parts = [piece.polygon if isinstance(piece, Box) else piece for piece in pieces]
    return (
        [p for p in parts if isinstance(p, Polygon)] if all(isinstance(p, Polygon) for p in parts) else None
    )


def _size(record: Record) -> tuple[int, int]:
    try:
        return record.size if record.size is not None else read_size(record.path)
    except InputError as error:
        raise DatasetError(str(error)) from None


def _masks(drawn: Sequence[Drawn], size: tuple[int, int], record: Record) -> tuple[Masks, list[int]]:
    """All masks, and the places of those that are not empty."""
    if not drawn:
        return Masks.empty(size), []
    lists: list[list[Polygon]] = []
    crops: list[Crop] = []
    owners: tuple[list[int], list[int]] = ([], [])
    try:
        for i, one in enumerate(drawn):
            for piece in one.pieces:
                if isinstance(piece, Polygon | Box):
                    lists.append([piece.polygon if isinstance(piece, Box) else piece])
                    owners[0].append(i)
                else:
                    crops.append(piece.crop(size))
                    owners[1].append(i)
        masks = Masks.concatenate(
            [
                Masks.from_polygons(lists, size),
                Masks.from_crops([c for c, _ in crops], [corner for _, corner in crops], size),
            ]
        ).merge(owners[0] + owners[1])
    except (Bad, MaskError) as error:
        raise DatasetError(f"{record.name}: {error}; mend the annotation") from None
    return masks, np.flatnonzero(masks.area).tolist()


def _instances(
    drawn: Sequence[Drawn], classes: Labels, size: tuple[int, int], masks: Masks | None = None
) -> Instances:
    index = {name: i for i, name in reversed(list(enumerate(classes.names)))}
    ids: Any = None
    if any(d.id is not None for d in drawn):
        fresh = iter(range(max(d.id for d in drawn if d.id is not None) + 1, 2**62))
        ids = [d.id if d.id is not None else next(fresh) for d in drawn]
    return Instances(
        size,
        boxes=np.zeros((len(drawn), 4), np.float32) if masks is None else masks.boxes,
        masks=masks,
        labels=np.array([index[d.name] for d in drawn], np.int64),
        scores=np.array([d.score for d in drawn], np.float32),
        crowd=np.array([d.crowd for d in drawn], np.bool_),
        ids=ids,
        classes=classes,
    )


def with_split(record: Record, split: str) -> Record:
    """The record with its split told; as it is where ``split`` is empty."""
    return replace(record, groups={**record.groups, "split": split}) if split else record


def single_file(path: Path, what: str) -> Path:
    """The path itself, where it is a file.

    Raises:
        DatasetError: nothing is there, or a folder, in which ``what`` was not found.
    """
    if path.is_dir() or not path.exists():
        raise DatasetError(f"{path}: expected {what}, got none there; check the path")
    return path


def json_files(folder: Path, pattern: str = "*.json") -> list[Path]:
    """The files of a folder and its sub-folders, hidden ones left out, in a fixed order."""
    found = (
        p for p in folder.rglob(pattern) if not any(part[0] == "." for part in p.relative_to(folder).parts)
    )
    return sorted(p for p in found if p.is_file())


def some_files(folder: Path, suffixes: tuple[str, ...], most: int = 3, depth: int = 2) -> list[Path]:
    """A few files of a folder and its sub-folders, for a look at their first bytes; cheap in large folders.

    Args:
        folder: where to look.
        suffixes: endings in lower case.
        most: so many are enough.
        depth: how deep to go; of each folder the first 2,000 entries are looked at.
    """
    found: list[Path] = []
    inner: list[Path] = []
    with os.scandir(folder) as entries:
        for entry in itertools.islice(entries, 2000):
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                inner.append(Path(entry.path))
            elif entry.name.lower().endswith(suffixes):
                found.append(Path(entry.path))
                if len(found) >= most:
                    return sorted(found)
    for sub in sorted(inner)[:20] if depth else []:
        found += some_files(sub, suffixes, most - len(found), depth - 1)
        if len(found) >= most:
            break
    return found

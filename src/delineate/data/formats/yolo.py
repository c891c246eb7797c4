"""YOLO text files: one file an image, one line an object, coordinates as parts of the image's sides.

A line is a class number from 0 and then, by how many numbers follow,

- 4: a box, centre x, centre y, width, height; 5: the same and a confidence;
- 6, 8, 10, ..: an outline x1 y1 x2 y2 x3 y3 ..; 7, 9, 11, ..: the same and a confidence.

All lines of a file are of one kind (docs.ultralytics.com, "Instance Segmentation Datasets Overview").
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

SLACK = 0.01
"""So far outside 0..1 a coordinate is taken for rounding and clipped; beyond, for pixels."""
LARGEST_FILE = 1 << 26

_log = logging.getLogger("delineate.data")


class _Row(NamedTuple):
    number: int
    label: int
    values: NDArray[np.float64]
    confidence: float | None


def read_objects(path: str | Path, size: tuple[int, int], classes: Labels, truth: bool = False) -> Instances:
    """The objects of one image; score 1 where the lines carry no confidence.

    Args:
        path: the text file; an empty one means no objects.
        size: (height, width) of the image in pixels.
        classes: those that the file's class numbers count, from 0.
        truth: the lines are annotations, which need no confidences.

    Raises:
        DatasetError: no such file or text, or a line that is none of the above; the message has its number.
    """
    path = Path(path)
    rows = [_row(line, f"{path}:{k}", k, len(classes)) for k, line in _lines(path)]
    if not rows:
        return Instances.empty(size, classes)
    for row in rows:
        if (len(row.values) == 4, row.confidence is None) != (
            len(rows[0].values) == 4,
            rows[0].confidence is None,
        ):
            raise DatasetError(
                f"{path}:{row.number}: expected {_kind(rows[0])} as in line {rows[0].number}, got "
                f"{_kind(row)}; write one kind in a file"
            )
    if rows[0].confidence is None and not truth:
        _log.warning("YOLO txt without confidences: AP sees all predictions as equally sure")
    sides = np.array([size[1], size[0]], np.float64)
    boxes, masks = None, None
    if len(rows[0].values) == 4:
        table = np.array([row.values for row in rows]).reshape(-1, 2, 2) * sides
        boxes = np.concatenate([table[:, 0] - table[:, 1] / 2, table[:, 0] + table[:, 1] / 2], axis=1)
    else:
        outlines = [[_pixels(row, sides).ravel().tolist()] for row in rows]
        masks = Masks.from_polygons(outlines, size, [f"{path}:{row.number}" for row in rows])
    return Instances(
        size,
        boxes=boxes,  # type: ignore[arg-type]
        labels=np.array([row.label for row in rows], np.int64),
        scores=np.array([1.0 if row.confidence is None else row.confidence for row in rows], np.float32),
        masks=masks,
        classes=classes,
    )


def read_rings(path: str | Path, size: tuple[int, int], classes: Labels) -> list[NDArray[np.float64] | None]:
    """The outline of each line, (K, 2) xy in pixels; None for a box.

    Args:
        path: the text file.
        size: (height, width) of the image in pixels.
        classes: those that the file's class numbers count, from 0.

    Raises:
        DatasetError: as :func:`read_objects`.
    """
    rows = [_row(line, f"{path}:{k}", k, len(classes)) for k, line in _lines(Path(path))]
    sides = np.array([size[1], size[0]], np.float64)
    return [None if len(row.values) == 4 else _pixels(row, sides) for row in rows]


def _pixels(row: _Row, sides: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, 2) xy in pixels, to 4 decimals, so that the noise of the division is gone."""
    return np.round(row.values.reshape(-1, 2) * sides, 4)


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """The words of each line that has any, and its number from 1."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DatasetError(f"{path}: expected a text file of one image, got one above 64 MiB; split it")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path}: expected a text file, got {error.strerror!r}; check the path") from None
    except UnicodeDecodeError:
        raise DatasetError(f"{path}: expected text, got other bytes; write numbers in UTF-8") from None
    return [(k, words) for k, line in enumerate(text.splitlines(), 1) if (words := line.split())]


def _row(words: list[str], where: str, number: int, count: int) -> _Row:
    """One line, checked."""
    if not (words[0].isascii() and words[0].isdigit() and int(words[0][:10]) < count and len(words[0]) <= 10):
        raise DatasetError(
            f"{where}: expected a class number in 0..{count - 1}, got {words[0][:20]!r}; the data has "
            f"{count} classes, counted from 0"
        )
    if len(words) < 5:
        raise DatasetError(
            f"{where}: expected a box (4 numbers) or an outline (6 or more) after the class, got "
            f"{len(words) - 1} numbers; write x y pairs"
        )
    try:
        values = np.array(words[1:], np.float64)
    except ValueError:
        values = np.array([np.nan])
    if not np.isfinite(values).all():
        raise DatasetError(f"{where}: expected finite numbers, got others; correct the line")
    confidence = None
    if len(values) % 2:
        values, confidence = values[:-1], float(values[-1])
        if not 0 <= confidence <= 1:
            raise DatasetError(
                f"{where}: expected a confidence in 0..1 as the last of {len(words) - 1} numbers, got "
                f"{confidence:g}; write x y pairs and at most one number more"
            )
    if values.min() < -SLACK or values.max() > 1 + SLACK:
        raise DatasetError(
            f"{where}: expected coordinates in 0..1, got {values.min():g}..{values.max():g}; divide them "
            "by the image's width and height"
        )
    if values.min() < 0 or values.max() > 1:
        _log.warning("YOLO txt with coordinates just outside 0..1: clipped")
    return _Row(number, int(words[0]), values.clip(0, 1), confidence)


def _kind(row: _Row) -> str:
    what = "a box" if len(row.values) == 4 else "an outline"
    return f"{what} {'without' if row.confidence is None else 'with'} confidence"

"""Tracked cells as tables, of tracks and of cells in each frame, and their tree as a picture."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from delineate.core.errors import InputError
from delineate.core.lineage import Lineage
from delineate.data.tracks import TrackSequence
from delineate.data.write import atomic
from delineate.tracking.cells import shapes

Row = dict[str, float | int]


@dataclass(frozen=True)
class Units:
    """What a pixel and a frame are.

    Attributes:
        pixel: side of a pixel in µm; None: areas in pixels.
        interval: minutes from frame to frame; None: times in frames.

    Raises:
        InputError: a number that is not above 0.
    """

    pixel: float | None = None
    interval: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("pixel size", self.pixel), ("interval", self.interval)):
            if value is not None and not 0 < value < 1e9:
                raise InputError(f"{name}: expected a number above 0, got {value}; leave it out if unknown")

    @property
    def area(self) -> tuple[str, float]:
        """Name of the column, and square units per pixel."""
        return ("area_px", 1.0) if self.pixel is None else ("area_um2", self.pixel**2)


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of one sequence.

    Attributes:
        name: of the sequence.
        frames: how many.
        lineage: its tracks; without parents where the format knows none.
        rows: track, frame, area and centre x, y in pixels, sorted by track and frame.
    """

    name: str
    frames: int
    lineage: Lineage
    rows: tuple[tuple[int, int, float, float, float], ...]


def cells(sequence: TrackSequence, tick: Callable[[], object] | None = None) -> Cells:
    """Reads a sequence, one frame at a time.

    Args:
        sequence: with masks or boxes.
        tick: called after each frame.

    Raises:
        DatasetError: a frame that is not well formed.
    """
    found: list[tuple[int, int, float, float, float]] = []
    for frame in sequence:
        objects = frame.objects
        ids = objects.ids
        assert ids is not None  # tracked objects have them
        centre, area = shapes(objects)[:2]
        columns = (ids.tolist(), area.tolist(), *centre.T.tolist())
        found += [(i, frame.number, a, x, y) for i, a, x, y in zip(*columns, strict=True)]
        if tick is not None:
            tick()
    found.sort()
    lineage = sequence.lineage if sequence.lineage is not None else _without_parents(found)
    return Cells(sequence.name, len(sequence), lineage, tuple(found))


def _without_parents(found: Sequence[tuple[int, int, float, float, float]]) -> Lineage:
    spans: dict[int, tuple[int, int]] = {}
    for i, frame, *_ in found:
        spans[i] = (spans.get(i, (frame, 0))[0], frame)
    begin, end = (np.array([s[k] for s in spans.values()], np.int64) for k in (0, 1))
    return Lineage(np.array(list(spans), np.int64), begin, end, np.zeros(len(spans), np.int64))


def track_rows(found: Cells, units: Units) -> list[Row]:
    """One row for each track.

    Columns: track, parent (0: none), generation (0: no parent is known), begin, end, frames (from begin to
    end), children, then the area at the beginning, at the end, and its mean, and, with an interval, the
    minutes from begin to end. ``cycle`` is 1 where birth and division were both seen: only there is the
    duration that of a cell cycle.
    """
    name, scale = units.area
    areas: dict[int, list[float]] = {}
    for i, _, area, _, _ in found.rows:
        areas.setdefault(i, []).append(area * scale)
    children = found.lineage.divisions
    generation = generations(found.lineage)
    result: list[Row] = []
    for i, begin, end, parent in sorted(found.lineage.rows()):
        own = areas.get(i, [float("nan")])
        offspring = len(children.get(i, ()))
        row: Row = {
            "track": i, "parent": parent, "generation": generation[i], "begin": begin, "end": end,
            "frames": end - begin + 1, "children": offspring, "cycle": int(parent > 0 and offspring > 1),
        }  # fmt: skip
        if units.interval is not None:
            row["minutes"] = row["frames"] * units.interval
        row |= {f"{name}_begin": own[0], f"{name}_end": own[-1], f"{name}_mean": float(np.mean(own))}
        result.append(row)
    return result


def cell_rows(found: Cells, units: Units) -> list[Row]:
    """One row for each cell in each frame: track, parent, frame, (minutes,) area, centre x, y."""
    name, scale = units.area
    parent = {row[0]: row[3] for row in found.lineage.rows()}
    side, place = (1.0, "px") if units.pixel is None else (units.pixel, "um")
    result: list[Row] = []
    for i, frame, area, x, y in found.rows:
        row: Row = {"track": i, "parent": parent.get(i, 0), "frame": frame}
        if units.interval is not None:
            row["minutes"] = frame * units.interval
        result.append(row | {name: area * scale, f"x_{place}": x * side, f"y_{place}": y * side})
    return result


def generations(lineage: Lineage) -> dict[int, int]:
    """How many ancestors of each track are known.

    Example:
        >>> generations(Lineage([1, 2, 3], [0, 5, 8], [4, 7, 9], [0, 1, 2]))
        {1: 0, 2: 1, 3: 2}
    """
    known: dict[int, int] = {}
    for i, _, _, parent in sorted(lineage.rows(), key=lambda row: row[1]):  # a parent begins before its child
        known[i] = known[parent] + 1 if parent else 0
    return known


def save(found: Cells, folder: str | Path, units: Units | None = None) -> dict[str, Path]:
    """Writes ``NAME.lineage.csv``, ``NAME.cells.csv`` and ``NAME.lineage.png``.

    Args:
        found: the cells.
        folder: where to; made where it is missing.
        units: of areas, places and times.

    Returns:
        The files by what they hold: ``tracks``, ``cells``, ``picture``.
    """
    from delineate.apply.lineage_tree import lineage_tree
    from delineate.data.write import write_png

    units = units or Units()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "tracks": folder / f"{found.name}.lineage.csv",
        "cells": folder / f"{found.name}.cells.csv",
        "picture": folder / f"{found.name}.lineage.png",
    }
    _write(files["tracks"], track_rows(found, units))
    _write(files["cells"], cell_rows(found, units))
    write_png(files["picture"], np.asarray(lineage_tree(found.lineage, found.frames)))
    return files


def _write(path: Path, rows: Sequence[Mapping[str, float | int]]) -> None:
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        names = list(rows[0]) if rows else ["track"]
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})

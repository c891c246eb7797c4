"""Convex hulls of many regions at once: convex area and largest Feret diameter.

The hull is the one scikit-image takes: around the midpoints of the pixels' four edges; the convex area is
the number of pixel centres in it or on its border. Everything is integer (doubled) arithmetic, so no
tolerance decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .runs import Runs

Ints = NDArray[np.int64]
PAIRS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class _Columns:
    """First and last pixel row of every occupied column of every region, sorted by region, then column."""

    owner: Ints
    x: Ints
    top: Ints
    bottom: Ints


@dataclass(frozen=True)
class _Chain:
    """The vertices of one side of the hulls, in doubled coordinates, sorted by region, then x."""

    owner: Ints
    x: Ints
    y: Ints


def convex_measures(runs: Runs) -> tuple[Ints, NDArray[np.float64]]:
    """Convex area (N,) in pixels and largest Feret diameter (N,) in pixels of every region."""
    count = len(runs)
    if not count:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    filled = _fill(_columns(runs), runs.bbox)
    area = np.bincount(filled.owner, weights=filled.bottom - filled.top + 1, minlength=count)
    # The Feret diameter is that of the convex image, whose own hull can be half a pixel larger.
    upper, lower = _upper(filled), _lower(filled)
    owner = np.concatenate([upper.owner, lower.owner])
    order = np.argsort(owner, kind="stable")
    x = np.concatenate([upper.x, lower.x])[order]
    y = np.concatenate([upper.y, lower.y])[order]
    return area.astype(np.int64), _diameter(owner[order], x, y, count) / 2


def _columns(runs: Runs) -> _Columns:
    new = np.ones(len(runs.x), dtype=bool)
    new[1:] = (np.diff(runs.x) != 0) | (np.diff(runs.owner) != 0)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(runs.x)) - 1
    return _Columns(runs.owner[first], runs.x[first], runs.y[first], runs.y[last] + runs.length[last] - 1)


def _upper(columns: _Columns) -> _Chain:
    return _chain(columns.owner, columns.x, columns.top)


def _lower(columns: _Columns) -> _Chain:
    flipped = _chain(columns.owner, columns.x, -columns.bottom)
    return _Chain(flipped.owner, flipped.x, -flipped.y)


def _chain(owner: Ints, column: Ints, row: Ints) -> _Chain:
    """The hull's side towards small y around the diamonds at (column, row), one per region and column.

    Points that do not lie strictly outside the line between their neighbours are dropped, all at once,
    until none is left. A vertex of the hull lies outside every chord, so it is never dropped; where no
    point can be dropped the chain is convex.
    """
    x = (2 * column[:, None] + np.array([-1, 0, 1])).ravel()
    y = (2 * row[:, None] + np.array([0, -1, 0])).ravel()
    owner = np.repeat(owner, 3)
    twin = np.flatnonzero((x[1:] == x[:-1]) & (owner[1:] == owner[:-1]))  # neighbouring columns share an edge
    keep = np.ones(len(x), dtype=bool)
    keep[np.where(y[twin] <= y[twin + 1], twin + 1, twin)] = False
    dropped = True
    while dropped:
        owner, x, y = owner[keep], x[keep], y[keep]
        keep = np.ones(len(x), dtype=bool)
        inner = (owner[2:] == owner[1:-1]) & (owner[:-2] == owner[1:-1])
        rise = (x[1:-1] - x[:-2]) * (y[2:] - y[:-2]) - (y[1:-1] - y[:-2]) * (x[2:] - x[:-2])
        keep[1:-1] = ~inner | (rise > 0)
        dropped = not keep.all()
    return _Chain(owner, x, y)


def _fill(columns: _Columns, bbox: Ints) -> _Columns:
    """The convex image: per region and column the rows whose pixel centres the hull holds."""
    widths = bbox[:, 3] - bbox[:, 1]
    owner = np.repeat(np.arange(len(bbox), dtype=np.int64), widths)
    first = np.cumsum(widths) - widths
    x = np.arange(len(owner), dtype=np.int64) + np.repeat(bbox[:, 1] - first, widths)
    numerator, divisor = _height_at(_upper(columns), owner, x)
    top = -((-numerator) // divisor)
    numerator, divisor = _height_at(_lower(columns), owner, x)
    bottom = numerator // divisor
    held = bottom >= top
    return _Columns(owner[held], x[held], top[held], bottom[held])


def _height_at(chain: _Chain, owner: Ints, x: Ints) -> tuple[Ints, Ints]:
    """Where the chains cross columns ``x``: the row as numerator and positive divisor."""
    low = int(chain.x.min())
    span = int(chain.x.max()) - low + 2
    nodes = chain.owner * span + (chain.x - low)
    left = np.searchsorted(nodes, owner * span + (2 * x - low), side="right") - 1
    run = chain.x[left + 1] - chain.x[left]
    rise = chain.y[left + 1] - chain.y[left]
    return chain.y[left] * run + rise * (2 * x - chain.x[left]), 2 * run


def _diameter(owner: Ints, x: Ints, y: Ints, count: int) -> NDArray[np.float64]:
    """(count,) largest distance between two points of the same region; points sorted by region."""
    per = np.bincount(owner, minlength=count)
    start = np.cumsum(per) - per
    best = np.zeros(count)
    ends = np.cumsum(per * per)
    first = 0
    while first < count:
        limit = (ends[first - 1] if first else 0) + PAIRS_AT_ONCE
        last = max(first + 1, int(np.searchsorted(ends, limit, side="right")))
        n = per[first:last]
        which = np.repeat(np.arange(first, last), n * n)
        inside = np.arange(len(which)) - np.repeat(np.cumsum(n * n) - n * n, n * n)
        one = start[which] + inside // per[which]
        two = start[which] + inside % per[which]
        squared = (x[one] - x[two]) ** 2 + (y[one] - y[two]) ** 2
        best[first:last] = np.maximum.reduceat(squared, np.cumsum(n * n) - n * n)
        first = last
    return np.sqrt(best)

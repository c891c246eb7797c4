"""Convex hulls of many regions at once: convex area, Feret diameters, length of the hull.

The hull is the one scikit-image takes: around the midpoints of the pixels' four edges; the convex area is
the number of pixel centres in it or on its border. Everything is integer (doubled) arithmetic, so no
tolerance decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .runs import Runs

Ints = NDArray[np.int64]
PAIRS_AT_ONCE = 200_000


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


@dataclass(frozen=True)
class Convex:
    """What the convex hulls of N regions measure.

    Attributes:
        area: (N,) int64 pixels of the convex image.
        feret_max: (N,) largest distance of two points of the convex image's outline, pixels.
        feret_min: (N,) smallest distance of two parallel lines that hold the outline between them, pixels.
        perimeter: (N,) length of the hull through the centres of the region's pixels, pixels; a straight
            line of pixels has it there and back.
    """

    area: Ints
    feret_max: NDArray[np.float64]
    feret_min: NDArray[np.float64]
    perimeter: NDArray[np.float64]


def convex_measures(runs: Runs) -> Convex:
    """The convex hulls of N regions.

    The smallest Feret diameter lies across one of the hull's edges (Freeman and Shapira, "Determining the
    minimum-area encasing rectangle for an arbitrary closed curve", 1975), so all edges are tried.
    """
    count = len(runs)
    if not count:
        return Convex(np.zeros(0, dtype=np.int64), *np.zeros((3, 0)))
    columns = _columns(runs)
    upper, lower = _centres(columns, columns.top), _flip(_centres(columns, -columns.bottom))
    length = (_length(upper, count) + _length(lower, count) + _ends(upper, lower, count)) / 2
    filled = _fill(_around(upper), _flip(_around(_flip(lower))), runs.bbox)
    area = np.bincount(filled.owner, weights=filled.bottom - filled.top + 1, minlength=count)
    # The Feret diameters are those of the convex image, whose own hull can be half a pixel larger.
    outer = _around(_centres(filled, filled.top))
    inner = _flip(_around(_centres(filled, -filled.bottom)))
    largest, smallest = _diameters(*_ring(outer, inner, count), count)
    return Convex(area.astype(np.int64), largest / 2, smallest / 2, length)


def _columns(runs: Runs) -> _Columns:
    new = np.ones(len(runs.x), dtype=bool)
    new[1:] = (np.diff(runs.x) != 0) | (np.diff(runs.owner) != 0)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(runs.x)) - 1
    return _Columns(runs.owner[first], runs.x[first], runs.y[first], runs.y[last] + runs.length[last] - 1)


def _centres(columns: _Columns, row: Ints) -> _Chain:
    """The hull's side towards small y through the pixels' centres, one per region and column."""
    return _convex(columns.owner, 2 * columns.x, 2 * row)


def _flip(chain: _Chain) -> _Chain:
    return _Chain(chain.owner, chain.x, -chain.y)


def _around(centres: _Chain) -> _Chain:
    """The hull's side towards small y around the midpoints of the pixels' edges.

    A vertex of it lies beside a vertex of the hull through the centres, so no other pixel counts.
    """
    x = (centres.x[:, None] + np.array([-1, 0, 1])).ravel()
    y = (centres.y[:, None] + np.array([0, -1, 0])).ravel()
    owner = np.repeat(centres.owner, 3)
    twin = np.flatnonzero((x[1:] == x[:-1]) & (owner[1:] == owner[:-1]))  # neighbouring columns share an edge
    keep = np.ones(len(x), dtype=bool)
    keep[np.where(y[twin] <= y[twin + 1], twin + 1, twin)] = False
    return _convex(owner[keep], x[keep], y[keep])


def _convex(owner: Ints, x: Ints, y: Ints) -> _Chain:
    """Of points sorted by region and x the vertices of the hull's side towards small y.

    Points that do not lie strictly outside the line between their neighbours are dropped, all at once,
    until none is left. A vertex of the hull lies outside every chord, so it is never dropped; where no
    point can be dropped the chain is convex.
    """
    dropped = True
    while dropped:
        keep = np.ones(len(x), dtype=bool)
        inner = (owner[2:] == owner[1:-1]) & (owner[:-2] == owner[1:-1])
        rise = (x[1:-1] - x[:-2]) * (y[2:] - y[:-2]) - (y[1:-1] - y[:-2]) * (x[2:] - x[:-2])
        keep[1:-1] = ~inner | (rise > 0)
        dropped = not keep.all()
        if dropped:
            owner, x, y = owner[keep], x[keep], y[keep]
    return _Chain(owner, x, y)


def _length(chain: _Chain, count: int) -> NDArray[np.float64]:
    """(count,) length of each region's chain."""
    same = chain.owner[1:] == chain.owner[:-1]
    steps = np.hypot(np.diff(chain.x), np.diff(chain.y)) * same
    return np.bincount(chain.owner[1:], weights=steps, minlength=count).astype(np.float64)


def _ends(upper: _Chain, lower: _Chain, count: int) -> NDArray[np.float64]:
    """(count,) length of the upright sides in each region's first and last column."""
    total = np.zeros(count)
    for side in ("left", "right"):
        step = 0 if side == "left" else -1
        u = np.searchsorted(upper.owner, np.arange(count), side=side) + step
        v = np.searchsorted(lower.owner, np.arange(count), side=side) + step
        total += lower.y[v] - upper.y[u]
    return total


def _fill(upper: _Chain, lower: _Chain, bbox: Ints) -> _Columns:
    """The convex image: per region and column the rows whose pixel centres the hull holds."""
    widths = bbox[:, 3] - bbox[:, 1]
    owner = np.repeat(np.arange(len(bbox), dtype=np.int64), widths)
    first = np.cumsum(widths) - widths
    x = np.arange(len(owner), dtype=np.int64) + np.repeat(bbox[:, 1] - first, widths)
    numerator, divisor = _height_at(upper, owner, x)
    top = -((-numerator) // divisor)
    numerator, divisor = _height_at(lower, owner, x)
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


def _ring(upper: _Chain, lower: _Chain, count: int) -> tuple[Ints, Ints, Ints]:
    """Per region the number of vertices (count,), then all x and all y: once around, region after region."""
    above, below = np.bincount(upper.owner, minlength=count), np.bincount(lower.owner, minlength=count)
    number = above + below
    start = np.cumsum(number) - number
    x, y = np.zeros((2, int(number.sum())), dtype=np.int64)
    rank = np.arange(len(upper.x)) - (np.cumsum(above) - above)[upper.owner]
    there = start[upper.owner] + rank
    x[there], y[there] = upper.x, upper.y
    rank = np.arange(len(lower.x)) - (np.cumsum(below) - below)[lower.owner]
    back = (start + number - 1)[lower.owner] - rank
    x[back], y[back] = lower.x, lower.y
    return number, x, y


def _diameters(number: Ints, x: Ints, y: Ints, count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """(count,) largest distance of two vertices, and smallest width across an edge, of rings of vertices."""
    largest, smallest = np.zeros(count), np.zeros(count)
    start = np.cumsum(number) - number
    order = np.argsort(number, kind="stable")  # regions with as many vertices are worked on together
    first = 0
    while first < count:
        n = int(number[order[first]])
        alike = int(np.searchsorted(number[order], n, side="right"))
        last = min(alike, first + max(1, PAIRS_AT_ONCE // (n * n)))
        chosen = order[first:last]
        place = start[chosen][:, None] + np.arange(n)
        largest[chosen], smallest[chosen] = _across(x[place], y[place])
        first = last
    return largest, smallest


def _across(x: Ints, y: Ints) -> tuple[NDArray[Any], NDArray[Any]]:
    """The same of K rings with n vertices each, x and y (K, n)."""
    x, y = (x - x.min(axis=1, keepdims=True)), (y - y.min(axis=1, keepdims=True))
    if x.max(initial=0) < 1 << 14 and y.max(initial=0) < 1 << 14:  # products fit
        x, y = x.astype(np.int32), y.astype(np.int32)
    dx, dy = x[:, None, :] - x[:, :, None], y[:, None, :] - y[:, :, None]
    largest = np.sqrt((dx * dx + dy * dy).reshape(len(x), -1).max(axis=1).astype(np.float64))
    ahead_x, ahead_y = np.roll(x, -1, axis=1) - x, np.roll(y, -1, axis=1) - y
    reach = np.abs(ahead_x[:, :, None] * dy - ahead_y[:, :, None] * dx).max(axis=2)
    edge = np.hypot(ahead_x, ahead_y)
    wide = np.divide(reach, edge, out=np.full(reach.shape, np.inf), where=edge > 0)
    return largest, wide.min(axis=1)

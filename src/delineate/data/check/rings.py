"""Outlines as they were drawn: which cross themselves, and which leave the image.

All rings of an image are looked at together: the edges are sorted by where they begin in x, and only those
that overlap in x are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MOST_PAIRS = 20_000_000
"""Rings whose edges overlap in more pairs than this are not looked at."""


@dataclass(frozen=True)
class Crossing:
    """Where a ring crosses itself.

    Attributes:
        ring: which of the rings.
        at: (x, y), the crossing that cuts off most.
        cut: area of the smaller of the two loops that meet there, in square pixels.
        number: how many crossings the ring has.
    """

    ring: int
    at: tuple[float, float]
    cut: float
    number: int


def crossings(rings: Sequence[Floats]) -> list[Crossing]:
    """The rings that cross themselves; those that merely touch themselves do not.

    Args:
        rings: (K, 2) xy in pixels each; the last point joins the first.

    Example:
        >>> bow_tie = np.array([[0, 0], [2, 2], [2, 0], [0, 2.0]])
        >>> crossings([bow_tie])[0].at
        (1.0, 1.0)
    """
    if not rings:
        return []
    starts, ends, of = _edges(rings)
    first, second = _close_pairs(starts, ends, of)
    hit, at = _cross(starts, ends, first, second)
    found: dict[int, list[tuple[float, tuple[float, float]]]] = {}
    offsets = np.cumsum([0, *(len(ring) for ring in rings)])
    for i, j, point in zip(first[hit].tolist(), second[hit].tolist(), at[hit], strict=True):
        ring = int(of[i])
        a, b = sorted((i - int(offsets[ring]), j - int(offsets[ring])))
        cut = _smaller_loop(rings[ring], a, b, point)
        found.setdefault(ring, []).append((cut, (float(point[0]), float(point[1]))))
    return [Crossing(ring, max(many)[1], max(many)[0], len(many)) for ring, many in sorted(found.items())]


def _edges(rings: Sequence[Floats]) -> tuple[Floats, Floats, Ints]:
    """(E, 2) beginnings and ends of all edges, and (E,) the ring of each."""
    starts = np.concatenate(rings).astype(np.float64)
    ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings]).astype(np.float64)
    of = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    return starts, ends, of


def _close_pairs(starts: Floats, ends: Floats, of: Ints) -> tuple[Ints, Ints]:
    """Pairs of edges of one ring whose boxes overlap; an edge of no length is in none."""
    low, high = np.minimum(starts, ends), np.maximum(starts, ends)
    order = np.lexsort((low[:, 0], of))
    order = order[(high != low).any(axis=1)[order]]
    ring, left, right = of[order], low[order, 0], high[order, 0]
    # One ascending key for all rings: each has its own stretch of the line.
    origin = left.min(initial=0.0)
    span = float(right.max(initial=0.0) - origin) + 1.0
    key = ring * span + (left - origin)
    last = np.searchsorted(key, ring * span + (right - origin), side="right")
    number = np.maximum(last - np.arange(len(order)) - 1, 0)
    if number.sum() > MOST_PAIRS:
        crowded = np.bincount(ring, number) > MOST_PAIRS / max(len(np.unique(ring)), 1)
        number[crowded[ring]] = 0
    i = np.repeat(np.arange(len(order)), number)
    j = i + 1 + np.arange(len(i)) - np.repeat(np.cumsum(number) - number, number)
    i, j = order[i], order[j]
    near = (low[i, 1] <= high[j, 1]) & (low[j, 1] <= high[i, 1])
    return i[near], j[near]


def _cross(starts: Floats, ends: Floats, first: Ints, second: Ints) -> tuple[NDArray[np.bool_], Floats]:
    """Which pairs of edges cross inside both, and (P, 2) where."""
    p, r = starts[first], ends[first] - starts[first]
    q, s = starts[second], ends[second] - starts[second]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        turn = r[:, 0] * s[:, 1] - r[:, 1] * s[:, 0]
        gap = q - p
        t = (gap[:, 0] * s[:, 1] - gap[:, 1] * s[:, 0]) / turn
        u = (gap[:, 0] * r[:, 1] - gap[:, 1] * r[:, 0]) / turn
        tiny = 1e-9  # an end that lies on the other edge touches it
        inside = (t > tiny) & (t < 1 - tiny) & (u > tiny) & (u < 1 - tiny)
        return inside, p + t[:, None] * r


def _smaller_loop(ring: Floats, a: int, b: int, at: Floats) -> float:
    """Edges ``a`` < ``b`` cross ``at`` a point, which parts the ring in two loops: the smaller one's area."""
    inner = np.concatenate([at[None], ring[a + 1 : b + 1]])
    outer = np.concatenate([at[None], ring[b + 1 :], ring[: a + 1]])
    return min(_area(inner), _area(outer))


def _area(ring: Floats) -> float:
    x, y = (ring - ring[0]).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def beyond(rings: Sequence[Floats], size: tuple[int, int]) -> Floats:
    """(R,) how far each ring reaches out of an image of ``size`` (height, width), in pixels; 0 inside.

    Example:
        >>> beyond([np.array([[-3.0, 1], [2, 1], [2, 5]])], (4, 9))
        array([3.])
    """
    height, width = size
    limits = np.array([width, height], np.float64)
    return np.array([max(0.0, float(-ring.min()), float((ring - limits).max())) for ring in rings])


def within(inner: Floats, outer: Floats) -> bool:
    """Whether every point of one ring lies inside another one; points on its edge do not.

    Example:
        >>> square = np.array([[0.0, 0], [9, 0], [9, 9], [0, 9]])
        >>> within(square / 3 + 1, square), within(square, square / 3 + 1)
        (True, False)
    """
    if (inner.min(axis=0) <= outer.min(axis=0)).any() or (inner.max(axis=0) >= outer.max(axis=0)).any():
        return False
    x, y = inner[:, :1], inner[:, 1:]
    x1, y1 = outer.T
    x2, y2 = np.roll(outer, -1, axis=0).T
    spans = (y1 > y) != (y2 > y)  # (points, edges)
    with np.errstate(divide="ignore", invalid="ignore"):
        left = x < x1 + (y - y1) / (y2 - y1) * (x2 - x1)
    return bool(((spans & left).sum(axis=1) % 2 == 1).all())

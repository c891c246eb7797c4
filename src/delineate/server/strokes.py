"""Brush strokes and lines as runs, without a picture of the image: the cost grows with the stroke alone."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.masks import Masks
from delineate.core.runs import ranges, union

Points = NDArray[np.float64]

MAX_POINTS = 100_000
"""Points that one stroke may have."""
MAX_RADIUS = 10_000.0
"""The largest brush, in pixels."""
MAX_COLUMNS = 1 << 25
"""Columns that the segments of one stroke may cover together."""


def stroke(points: Points, radius: float, size: tuple[int, int]) -> Masks:
    """One mask: the pixels whose centres lie within ``radius`` of the path, and those that the path visits.

    The path is the broken line through the points; each of its segments covers a stadium, which meets every
    column of pixels in one interval.

    Args:
        points: (K, 2) xy in pixels of the image, at least one.
        radius: pixels, above 0.
        size: (height, width) of the image; what lies outside is cut off.

    Raises:
        InputError: too many points, a radius out of range, or a path too long to be meant.

    Example:
        >>> stroke(np.array([[2.5, 1.5]]), 1.0, (3, 5)).dense()[0].astype(int).tolist()
        [[0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0]]
    """
    if not 1 <= len(points) <= MAX_POINTS or not 0 < radius <= MAX_RADIUS:
        raise InputError(
            f"stroke: expected 1..{MAX_POINTS} points and a radius above 0 up to {MAX_RADIUS:g} pixels, "
            f"got {len(points)} and {radius:g}; draw a shorter stroke"
        )
    begin, end = (points[:-1], points[1:]) if len(points) > 1 else (points, points)
    x, low, high = _stadiums(begin, end, float(radius), size)
    top = np.clip(np.ceil(low - 0.5), 0, size[0]).astype(np.int64)
    bottom = np.clip(np.floor(high - 0.5) + 1, 0, size[0]).astype(np.int64)
    at = line_pixels(points, size)
    x = np.concatenate((x, at[:, 0]))
    top = np.concatenate((top, at[:, 1]))
    length = np.concatenate((bottom - top[: len(bottom)], np.ones(len(at), np.int64)))
    return Masks(size, union(np.zeros_like(x), x, top, np.maximum(length, 0), 1, size))


def _stadiums(
    begin: Points, end: Points, radius: float, size: tuple[int, int]
) -> tuple[NDArray[np.int64], Points, Points]:
    """Column, lowest and highest y of every segment's stadium at the centres of the columns it meets."""
    left = np.minimum(begin[:, 0], end[:, 0]) - radius
    right = np.maximum(begin[:, 0], end[:, 0]) + radius
    first = np.clip(np.ceil(left - 0.5), 0, size[1]).astype(np.int64)
    number = np.maximum(np.clip(np.floor(right - 0.5) + 1, 0, size[1]).astype(np.int64) - first, 0)
    if int(number.sum()) > MAX_COLUMNS:
        raise InputError("stroke: expected a path that a hand can draw, got one far longer; send it in parts")
    which = np.repeat(np.arange(len(begin)), number)
    x = ranges(first, number)
    c = x + 0.5
    low, high = np.full(len(x), np.inf), np.full(len(x), -np.inf)
    for centre in (begin, end):  # the two discs
        inside = radius**2 - (c - centre[which, 0]) ** 2
        half = np.sqrt(np.maximum(inside, 0))
        y = centre[which, 1]
        low = np.where(inside >= 0, np.minimum(low, y - half), low)
        high = np.where(inside >= 0, np.maximum(high, y + half), high)
    along = end - begin
    length = np.hypot(along[:, 0], along[:, 1])
    long = length > 0
    normal = np.zeros_like(along)
    normal[long] = along[long, ::-1] * (radius / length[long, None]) * [-1, 1]
    for side in (normal, -normal):  # the two straight sides
        p, q = (begin + side)[which], (end + side)[which]
        run = q[:, 0] - p[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (c - p[:, 0]) / run
            y = p[:, 1] + share * (q[:, 1] - p[:, 1])
        met = (run != 0) & (share >= 0) & (share <= 1)
        low, high = np.where(met, np.minimum(low, y), low), np.where(met, np.maximum(high, y), high)
    met = low <= high
    return x[met], low[met], high[met]


def line_pixels(points: Points, size: tuple[int, int]) -> NDArray[np.int64]:
    """The pixels (P, 2) xy that a broken line visits, those outside the image left out.

    Neighbours along the line share an edge, or a corner where the line goes through it: what is connected by
    edges on one side of the line does not reach the other side except across these pixels.
    """
    if len(points) == 1:
        visited = np.floor(points).astype(np.int64)
    else:
        visited = np.concatenate([_segment_pixels(p, q) for p, q in itertools.pairwise(points)])
    inside = (visited >= 0).all(axis=1) & (visited[:, 0] < size[1]) & (visited[:, 1] < size[0])
    return visited[inside]


def _segment_pixels(p: Points, q: Points) -> NDArray[np.int64]:
    cuts = [np.array([0.0, 1.0])]
    for axis in (0, 1):
        low, high = sorted((p[axis], q[axis]))
        if high - low > MAX_COLUMNS:
            raise InputError("line: expected points near the image, got one far outside; draw it again")
        grid = np.arange(np.floor(low) + 1, np.ceil(high))
        if len(grid):
            cuts.append((grid - p[axis]) / (q[axis] - p[axis]))
    share = np.unique(np.concatenate(cuts))
    middle = (share[1:] + share[:-1]) / 2
    visited: NDArray[np.int64] = np.floor(p + middle[:, None] * (q - p)).astype(np.int64)
    return visited

"""Boxes: (N, 4) float arrays, xyxy, absolute pixels, corner coordinates (x2 - x1 is the width)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .runs import ranges

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]


def _boxes(boxes: ArrayLike) -> Floats:
    array = np.asarray(boxes)
    if array.size == 0:
        array = np.zeros((0, 4), dtype=np.float32)
    if array.ndim != 2 or array.shape[1] != 4:
        raise InputError(f"boxes: expected shape (N, 4), got {array.shape}; give one xyxy row per box")
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)


def area(boxes: ArrayLike) -> Floats:
    """(N,) areas in pixels; zero for a reversed box."""
    b = _boxes(boxes)
    return np.maximum(b[:, 2] - b[:, 0], 0) * np.maximum(b[:, 3] - b[:, 1], 0)


def intersection(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """(N, M) areas that the boxes of a and b share, in pixels."""
    p, q = _boxes(a).astype(np.float64), _boxes(b).astype(np.float64)
    width = np.minimum(p[:, None, 2], q[:, 2]) - np.maximum(p[:, None, 0], q[:, 0])
    height = np.minimum(p[:, None, 3], q[:, 3]) - np.maximum(p[:, None, 1], q[:, 1])
    return np.asarray(np.maximum(width, 0) * np.maximum(height, 0))


def iou(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """(N, M) intersection over union in 0..1; zero where both boxes are empty.

    Example:
        >>> iou([[0, 0, 2, 2]], [[1, 0, 3, 2], [5, 5, 6, 6]]).round(3).tolist()
        [[0.333, 0.0]]
    """
    shared = intersection(a, b)
    p, q = _boxes(a).astype(np.float64), _boxes(b).astype(np.float64)
    joint = area(p)[:, None] + area(q) - shared
    return np.divide(shared, joint, out=np.zeros_like(shared), where=joint > 0)


def clip(boxes: ArrayLike, size: tuple[int, int]) -> Floats:
    """Boxes cut to an image of ``size`` (height, width); one wholly outside becomes empty at the border."""
    b = _boxes(boxes)
    height, width = size
    return np.clip(b, 0, np.array([width, height, width, height], dtype=b.dtype))


def scale(boxes: ArrayLike, factor_x: float, factor_y: float) -> Floats:
    """Boxes with x multiplied by ``factor_x`` and y by ``factor_y``."""
    b = _boxes(boxes)
    return np.asarray(b * np.array([factor_x, factor_y, factor_x, factor_y], dtype=b.dtype))


def to_xywh(boxes: ArrayLike) -> Floats:
    """xyxy to x, y, width, height (COCO's ``bbox``)."""
    b = _boxes(boxes)
    return np.concatenate((b[:, :2], b[:, 2:] - b[:, :2]), axis=1)


def from_xywh(boxes: ArrayLike) -> Floats:
    """x, y, width, height to xyxy."""
    b = _boxes(boxes)
    return np.concatenate((b[:, :2], b[:, :2] + b[:, 2:]), axis=1)


def overlapping_pairs(a: ArrayLike, b: ArrayLike) -> tuple[Ints, Ints]:
    """All (i, j) whose boxes a[i], b[j] share area, sorted by (i, j).

    A sweep over x inside horizontal strips as high as the boxes are on average, so that N scattered boxes
    cost about N log N and no N x M array is made.

    Returns:
        i (P,) and j (P,) int64.
    """
    p, q = _boxes(a).astype(np.float64), _boxes(b).astype(np.float64)
    at, bt = np.flatnonzero(area(p) > 0), np.flatnonzero(area(q) > 0)
    none = np.zeros(0, dtype=np.int64)
    if not len(at) or not len(bt):
        return none, none
    if len(at) * len(bt) <= 1 << 16:  # few: every one with every other
        (x1, y1, x2, y2), (u1, v1, u2, v2) = p[at].T[..., None], q[bt].T
        k, m = np.nonzero((x1 < u2) & (u1 < x2) & (y1 < v2) & (v1 < y2))
        return at[k], bt[m]
    strip, low = _strip(np.concatenate((p[at], q[bt])))
    ai, a_strip = _into_strips(p, at, strip, low)
    bi, b_strip = _into_strips(q, bt, strip, low)
    # in x, two intervals overlap when the one that begins later begins inside the other
    first = _begins_inside(p, ai, a_strip, q, bi, b_strip, closed=True)
    second = _begins_inside(q, bi, b_strip, p, ai, a_strip, closed=False)
    k = np.concatenate((first[0], second[1]))
    m = np.concatenate((first[1], second[0]))
    i, j = ai[k], bi[m]
    # a pair that shares several strips counts in the first of them
    once = a_strip[k] == np.floor((np.maximum(p[i, 1], q[j, 1]) - low) / strip).astype(np.int64)
    shared = (np.minimum(p[i, 3], q[j, 3]) > np.maximum(p[i, 1], q[j, 1])) & once
    i, j = i[shared], j[shared]
    order = np.lexsort((j, i))
    return i[order], j[order]


def _strip(boxes: Floats) -> tuple[float, float]:
    """Strip height and the y where strips begin: the mean height, which bounds the entries to about 2 N."""
    low = float(boxes[:, 1].min())
    return max(float((boxes[:, 3] - boxes[:, 1]).mean()), 1e-9 * (float(boxes[:, 3].max()) - low)), low


def _into_strips(boxes: Floats, index: Ints, strip: float, low: float) -> tuple[Ints, Ints]:
    """Each box once per strip it touches: box index and strip, sorted by (strip, x1)."""
    top = np.floor((boxes[index, 1] - low) / strip).astype(np.int64)
    bottom = np.floor((boxes[index, 3] - low) / strip).astype(np.int64)
    number = bottom - top + 1
    which, strips = np.repeat(index, number), ranges(top, number)
    order = np.lexsort((boxes[which, 0], strips))
    return which[order], strips[order]


def _begins_inside(
    outer: Floats, oi: Ints, o_strip: Ints, inner: Floats, ii: Ints, i_strip: Ints, *, closed: bool
) -> tuple[Ints, Ints]:
    """Entries (outer, inner) of one strip where inner's x1 lies in [outer x1, outer x2), or (x1, x2)."""
    # rank of (strip, x) among the inner entries: exact, through one merged order of the x values
    xs = np.unique(inner[ii, 0])
    at = i_strip * (len(xs) + 1) + np.searchsorted(xs, inner[ii, 0])
    begin = o_strip * (len(xs) + 1) + np.searchsorted(xs, outer[oi, 0], side="left" if closed else "right")
    end = o_strip * (len(xs) + 1) + np.searchsorted(xs, outer[oi, 2], side="left")
    start = np.searchsorted(at, begin)
    number = np.maximum(np.searchsorted(at, end) - start, 0)
    return np.repeat(np.arange(len(oi)), number), ranges(start, number)

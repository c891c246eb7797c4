"""How many pixels the masks of two sets share, pair by pair, without decoding them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .boxes import overlapping_pairs
from .runs import CHUNK, Ints, Runs, ranges, segment_sums


class Columns:
    """Where the runs of each column of each object lie: a table over the columns of all boxes, end to end."""

    def __init__(self, runs: Runs, boxes: NDArray[np.int64]) -> None:
        """boxes: (N, 4) tight pixel boxes of the runs' objects."""
        width = boxes[:, 2] - boxes[:, 0]
        self.first = boxes[:, 0]
        self.base = np.concatenate(([0], np.cumsum(width)))
        column = self.base[runs.owner] + runs.x - self.first[runs.owner]
        self.start = np.zeros(self.base[-1] + 1, dtype=np.int64)
        np.cumsum(np.bincount(column, minlength=self.base[-1]), out=self.start[1:])
        number = np.diff(self.start)
        several = number > 1
        self.several = several if several.any() else None
        self.y = runs.y
        self.end = runs.y + runs.length
        # the first run of each column; 0, 0 in a column without any
        first, filled = self.start[:-1], number > 0
        if filled.all():
            self.top, self.bottom = self.y[first], self.end[first]
        else:
            self.top, self.bottom = np.zeros((2, len(number)), dtype=np.int32)
            self.top[filled], self.bottom[filled] = self.y[first[filled]], self.end[first[filled]]


def shared_pixels(
    a: Runs, a_boxes: NDArray[np.int64], b: Runs, b_boxes: NDArray[np.int64]
) -> tuple[Ints, Ints, Ints]:
    """Pairs (i, j) of objects that share pixels, sorted, and how many: three (P,) int64 arrays.

    For every pair whose boxes overlap, the columns they have in common are laid out, and in each column the
    runs of one are cut with the runs of the other.
    """
    same = a is b
    i, j = overlapping_pairs(a_boxes, b_boxes)
    if same:
        upper = i <= j
        i, j = i[upper], j[upper]
    left = Columns(a, a_boxes)
    right = left if same else Columns(b, b_boxes)
    low = np.maximum(a_boxes[i, 0], b_boxes[j, 0])
    width = np.minimum(a_boxes[i, 2], b_boxes[j, 2]) - low
    a_column = left.base[i] + low - left.first[i]
    b_column = right.base[j] + low - right.first[j]
    area = np.zeros(len(i), dtype=np.int64)
    ends = np.cumsum(width)
    begin = 0
    while begin < len(i):
        done = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + CHUNK // 64, side="right")))
        part = slice(begin, end)
        area[part] = _cut(left, right, a_column[part], b_column[part], width[part])
        begin = end
    hit = area > 0
    i, j, area = i[hit], j[hit], area[hit]
    if same:
        off = i != j
        i, j, area = (
            np.concatenate((i, j[off])),
            np.concatenate((j, i[off])),
            np.concatenate((area, area[off])),
        )
        order = np.lexsort((j, i))
        i, j, area = i[order], j[order], area[order]
    return i, j, area


def _cut(left: Columns, right: Columns, a_column: Ints, b_column: Ints, width: Ints) -> Ints:
    """Pixels shared by each pair over ``width`` columns from a_column and b_column on."""
    offsets = np.concatenate(([0], np.cumsum(width)))
    p = np.repeat(a_column - offsets[:-1], width) + np.arange(offsets[-1])
    q = p + np.repeat(b_column - a_column, width)
    shared = np.minimum(left.bottom[p], right.bottom[q]) - np.maximum(left.top[p], right.top[q])
    np.maximum(shared, 0, out=shared)
    # most columns hold one run of each; where there are more, every one is cut with every other
    if left.several is not None or right.several is not None:
        several = np.zeros(len(p), dtype=np.bool_)
        for side, column in ((left, p), (right, q)):
            if side.several is not None:
                several |= side.several[column]
        more = np.flatnonzero(several)
        shared[more] = _cut_all(left, right, p[more], q[more])
    return segment_sums(shared, offsets)


def _cut_all(left: Columns, right: Columns, p: Ints, q: Ints) -> Ints:
    """Pixels that all runs of column p[k] of left share with all of column q[k] of right."""
    p_first, q_first = left.start[p], right.start[q]
    q_number = right.start[q + 1] - q_first
    number = (left.start[p + 1] - p_first) * q_number
    wide = np.repeat(q_number, number)
    within = ranges(np.zeros_like(number), number)
    row = within // wide
    p, q = np.repeat(p_first, number) + row, np.repeat(q_first, number) + within - row * wide
    shared = np.minimum(left.end[p], right.end[q]) - np.maximum(left.y[p], right.y[q])
    return segment_sums(np.maximum(shared, 0), np.concatenate(([0], np.cumsum(number))))

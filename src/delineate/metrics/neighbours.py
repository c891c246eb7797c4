"""Which objects of an image stand close together, and how close: gaps between masks without decoding them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from delineate.core.boxes import overlapping_pairs
from delineate.core.masks import Masks
from delineate.core.runs import ranges

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

REACH = 0.5
"""Gap, in mean diameters of the two, below which objects count as neighbours."""
SAMPLED = 12  # runs of an object that bound the gap before it is measured exactly
CHUNK = 1 << 20  # pairs of runs worked on at once


@dataclass(frozen=True)
class Neighbours:
    """The P pairs of neighbouring objects of one image, each once, ``first < second``, sorted.

    Attributes:
        first: (P,) index of an object.
        second: (P,) index of the other.
        gap: (P,) background between the two masks, in mean diameters of the two; 0 where they touch (also by
            a corner) or overlap. The diameter is that of the disk of the same area.
        box_iou: (P,) intersection over union of their tight boxes, 0..1.
        nested: (P,) the greater part of the smaller lies in the other one: masks that overlap by nature.
    """

    first: Ints
    second: Ints
    gap: Floats
    box_iou: Floats
    nested: NDArray[np.bool_]

    @classmethod
    def of(cls, masks: Masks, reach: float = REACH) -> Neighbours:
        """The pairs with a gap below ``reach`` mean diameters; masks without a pixel have none.

        Example:
            >>> near = Neighbours.of(Masks.from_label_image(np.array([[1, 1, 0, 2, 2, 0, 0, 0, 3]] * 2)))
            >>> near.first.tolist(), near.second.tolist(), near.gap.round(2).tolist()
            ([0], [1], [0.44])
        """
        area = np.asarray(masks.area, np.float64)
        size = diameters(area)
        boxes = np.asarray(masks.boxes, np.float64)
        grown = boxes + (reach * size / 2 + 1)[:, None] * np.array([-1.0, -1.0, 1.0, 1.0])
        grown[area == 0] = 0
        i, j = overlapping_pairs(grown, grown)
        i, j = i[i < j], j[i < j]
        apart = pixel_distances(masks, i, j)
        gap = np.where(apart < 2, 0.0, apart - 1) / np.maximum((size[i] + size[j]) / 2, 1e-9)
        near = gap < reach
        i, j, gap = i[near], j[near], gap[near]
        shared = _shared(masks, i, j)
        return cls(i, j, gap, _box_iou(boxes, i, j), 2 * shared > np.minimum(area[i], area[j]))


def diameters(area: NDArray[np.float64]) -> Floats:
    """(N,) diameters in pixels of disks of the same area (N,) in pixels."""
    return np.asarray(np.sqrt(4 * area / np.pi), np.float64)


def pixel_distances(masks: Masks, i: Ints, j: Ints) -> Floats:
    """(P,) smallest distance between the centres of a pixel of mask ``i`` and one of mask ``j``, exact.

    A few runs of each, and the runs next to each other in one column, bound the distance from above; then
    every run of one is compared with the runs of the other that lie within that bound in x.

    Args:
        masks: N masks, those named by ``i`` and ``j`` not empty.
        i: (P,) indices.
        j: (P,) indices.
    """
    if not len(i):
        return np.zeros(0)
    runs = masks.runs
    number = np.diff(runs.offsets)
    i, j = np.where(number[i] <= number[j], (i, j), (j, i))  # i has the fewer runs
    best = np.full(len(i), np.inf)
    _bound_by_samples(masks, best, i, j)
    pair, one = np.repeat(np.arange(len(i)), number[i]), ranges(runs.offsets[i], number[i])
    _bound_by_columns(masks, best, j, pair, one)
    # every run of i that lies near enough to the box of j
    bound = np.sqrt(best)[pair]
    box = np.asarray(masks.boxes, np.float64)[j][pair] - np.array([0, 0, 1, 1])
    x, top, bottom = runs.x[one], runs.y[one], runs.y[one] + runs.length[one] - 1
    across = np.maximum(np.maximum(box[:, 0] - x, x - box[:, 2]), 0)
    along = np.maximum(np.maximum(box[:, 1] - bottom, top - box[:, 3]), 0)
    near = across**2 + along**2 < bound**2
    pair, one, bound, x = pair[near], one[near], bound[near], x[near].astype(np.int64)
    # and the runs of j within the bound in x: runs are sorted by (object, x)
    width = masks.size[1]
    key = runs.owner * width + runs.x
    reach = np.ceil(bound).astype(np.int64)
    low = np.searchsorted(key, j[pair] * width + np.maximum(x - reach, 0))
    high = np.searchsorted(key, j[pair] * width + np.minimum(x + reach, width - 1), side="right")
    _closest(masks, best, pair, one, low, high - low)
    return np.sqrt(best)


def _bound_by_samples(masks: Masks, best: Floats, i: Ints, j: Ints) -> None:
    """Lower ``best`` (P,) by the distances between a few runs of each, spread over the object."""
    offsets = masks.runs.offsets
    number = np.diff(offsets)
    few = np.minimum(number, SAMPLED)
    begin = np.cumsum(few) - few
    step = ranges(np.zeros_like(few), few) * np.repeat(number, few) // np.repeat(np.maximum(few, 1), few)
    sampled = np.repeat(offsets[:-1], few) + step
    pair = np.repeat(np.arange(len(i)), few[i])
    one = sampled[ranges(begin[i], few[i])]
    _closest(masks, best, pair, one, begin[j][pair], few[j][pair], sampled)


def _bound_by_columns(masks: Masks, best: Floats, j: Ints, pair: Ints, one: Ints) -> None:
    """Lower ``best`` (P,) by the runs of ``j`` just above and below each run ``one`` (R,) in its column."""
    runs, (height, width) = masks.runs, masks.size
    column = runs.owner * width + runs.x
    key = column * height + runs.y  # ascending: runs are sorted by (object, x, y)
    wanted = j[pair] * width + runs.x[one]
    after = np.searchsorted(key, wanted * height + runs.y[one], side="right")
    for other in (after - 1, after):
        there = (other >= 0) & (other < len(key))
        there[there] = column[other[there]] == wanted[there]
        _closest(masks, best, pair[there], one[there], other[there], np.ones(int(there.sum()), np.int64))


def _closest(
    masks: Masks, best: Floats, pair: Ints, one: Ints, start: Ints, number: Ints, among: Ints | None = None
) -> None:
    """Lower ``best`` (P,), squared distances, by those of run ``one`` to ``number`` runs from ``start`` on.

    ``pair``, ``one``, ``start``, ``number`` are (R,); ``start`` points into ``among``, or into all runs.
    """
    runs = masks.runs
    ends = np.cumsum(number)
    begin = 0
    while begin < len(pair):
        done = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + CHUNK, side="right")))
        part = slice(begin, end)
        other = ranges(start[part], number[part])
        other = other if among is None else among[other]
        mine = np.repeat(one[part], number[part])
        across = runs.x[mine].astype(np.int64) - runs.x[other]
        y, v = runs.y[mine].astype(np.int64), runs.y[other].astype(np.int64)
        along = np.maximum(np.maximum(v - (y + runs.length[mine] - 1), y - (v + runs.length[other] - 1)), 0)
        np.minimum.at(best, np.repeat(pair[part], number[part]), (across**2 + along**2).astype(np.float64))
        begin = end


def _shared(masks: Masks, i: Ints, j: Ints) -> Ints:
    """(P,) pixels that masks i and j share."""
    a, b, pixels = masks.intersection_pairs(masks)
    key = a * len(masks) + b  # ascending: pairs are sorted by (a, b)
    wanted = i * len(masks) + j
    at = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
    return np.where(key[at] == wanted, pixels[at], 0) if len(key) else np.zeros(len(i), np.int64)


def _box_iou(boxes: Floats, i: Ints, j: Ints) -> Floats:
    a, b = boxes[i], boxes[j]
    side = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = np.prod(np.maximum(side, 0), axis=1)
    area = np.prod(a[:, 2:] - a[:, :2], axis=1) + np.prod(b[:, 2:] - b[:, :2], axis=1)
    return np.asarray(shared / np.maximum(area - shared, 1e-9), np.float64)

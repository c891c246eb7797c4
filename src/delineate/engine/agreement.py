"""Which detections of two overlapping tiles show the same object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from delineate.core import boxes as box
from delineate.core import runs as run
from delineate.core.instances import Instances
from delineate.core.masks import Masks

Ints = NDArray[np.int64]
Window = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels of the whole image, the ends exclusive."""

AGREE = 0.5  # IoU above which two masks show the same object
EXACT = 0.9  # IoU above which even a small part of a mask is enough to tell
TRIVIAL = 0.1  # a smaller share of what a mask shows in the common zone is a scrap that tells nothing


@dataclass(frozen=True)
class Tile:
    """A window and the objects found in it, in the window's pixels."""

    window: Window
    found: Instances


def common(a: Window, b: Window) -> Window:
    """The zone that two windows share."""
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def same(a: Tile, b: Tile) -> tuple[Ints, Ints]:
    """Detections i of ``a`` and j of ``b`` that agree in the zone that both tiles see, (P,) each.

    Whole masks are compared, and connected parts too: an object may enter the zone in several parts, which
    one tile, seeing how they join, holds for one object, and the other for several.
    """
    zone = common(a.window, b.window)
    if a.found.masks is None or b.found.masks is None:
        return _same_boxes(a, b, zone)
    first, first_index = _in_zone(a, zone)
    second, second_index = _in_zone(b, zone)
    if not len(first) or not len(second):
        return first_index[:0], second_index[:0]
    i, j = _agreeing(first, second, AGREE)
    parts, of = components(first)
    others, of_others = components(second)
    k, m = _agreeing(parts, others, AGREE)
    share = np.maximum(parts.area[k] / first.area[of[k]], others.area[m] / second.area[of_others[m]])
    shared = _iou(parts, others, k, m)
    telling = (share >= TRIVIAL) | (shared >= EXACT)
    i = np.concatenate([i, of[k[telling]]])
    j = np.concatenate([j, of_others[m[telling]]])
    return first_index[i], second_index[j]


def _in_zone(tile: Tile, zone: Window) -> tuple[Masks, Ints]:
    """What a tile's masks show in the zone, and which of them show anything there."""
    assert tile.found.masks is not None
    x0, y0 = tile.window[:2]
    x1, y1, x2, y2 = zone[0] - x0, zone[1] - y0, zone[2] - x0, zone[3] - y0
    at = tile.found.masks.boxes
    near = np.flatnonzero((at[:, 0] < x2) & (at[:, 1] < y2) & (at[:, 2] > x1) & (at[:, 3] > y1))
    shown = tile.found.masks[near].window(x1, y1, x2, y2)
    some = np.flatnonzero(shown.area)
    return shown[some], near[some]


def _agreeing(a: Masks, b: Masks, threshold: float) -> tuple[Ints, Ints]:
    i, j, shared = a.intersection_pairs(b)
    agree = shared > threshold * (a.area[i] + b.area[j] - shared)
    return i[agree], j[agree]


def _iou(a: Masks, b: Masks, i: Ints, j: Ints) -> NDArray[np.float64]:
    """(P,) IoU of a[i] with b[j]."""
    x, y, shared = a.intersection_pairs(b)
    at = np.searchsorted(x * len(b) + y, i * len(b) + j)
    return shared[at] / (a.area[i] + b.area[j] - shared[at])


def _same_boxes(a: Tile, b: Tile, zone: Window) -> tuple[Ints, Ints]:
    """As :func:`same` where only boxes are known."""
    cut = []
    for tile in (a, b):
        x0, y0 = tile.window[:2]
        corner = np.array([x0, y0, x0, y0]) - np.array([zone[0], zone[1], zone[0], zone[1]])
        cut.append(box.clip(tile.found.boxes + corner, (zone[3] - zone[1], zone[2] - zone[0])))
    i, j = box.overlapping_pairs(cut[0], cut[1])
    width = np.minimum(cut[0][i, 2], cut[1][j, 2]) - np.maximum(cut[0][i, 0], cut[1][j, 0])
    height = np.minimum(cut[0][i, 3], cut[1][j, 3]) - np.maximum(cut[0][i, 1], cut[1][j, 1])
    shared = width * height
    agree = shared > AGREE * (box.area(cut[0])[i] + box.area(cut[1])[j] - shared)
    return i[agree], j[agree]


def components(masks: Masks) -> tuple[Masks, Ints]:
    """The 4-connected parts of every mask, and the mask that each part belongs to.

    Example:
        >>> parts, of = components(Masks.from_dense(np.array([[[1, 0, 1], [1, 0, 1]]])))
        >>> parts.area.tolist(), of.tolist()
        ([2, 2], [0, 0])
    """
    r, (height, width) = masks.runs, masks.size
    owner = r.owner
    column = owner * (width + 1) + r.x
    begin = column * (height + 1) + r.y  # sorted, as runs are
    end = begin + r.length
    low = np.searchsorted(end, begin + height + 1, side="right")  # touching runs of the next column
    high = np.searchsorted(begin, end + height + 1, side="left")
    number = np.maximum(high - low, 0)
    left = np.repeat(np.arange(len(begin)), number)
    right = run.ranges(low, number)
    graph = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(len(begin), len(begin)))
    count, part = connected_components(graph, directed=False)
    order = np.argsort(part, kind="stable")
    runs = run.pack(part[order], r.x[order], r.y[order], r.length[order], count)
    return Masks(masks.size, runs), owner[order[runs.offsets[:-1]]]

"""Masks as vertical runs: the arithmetic behind :class:`delineate.core.masks.Masks`.

A run is a stretch of pixels of one object within one image column. Runs are kept in canonical form: sorted
by (object, x, y), disjoint, and never touching within a column, so equal masks have equal runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import MaskError

Ints = NDArray[np.int64]
CHUNK = 1 << 22
"""Pixels or runs that are worked on at once, where temporary arrays would grow with the image."""
MAX_RUNS = 1 << 27
"""Runs that one batch of encodings may decode to (1.6 GB); a few bytes of counts can mean a full image."""


class Runs(NamedTuple):
    """R runs of N objects: column x, first row y and length, each (R,) int32; offsets (N + 1,) int64."""

    x: NDArray[np.int32]
    y: NDArray[np.int32]
    length: NDArray[np.int32]
    offsets: Ints

    @property
    def owner(self) -> Ints:
        """(R,) the object each run belongs to."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def pack(owner: NDArray[Any], x: NDArray[Any], y: NDArray[Any], length: NDArray[Any], count: int) -> Runs:
    """Runs that already lie in canonical order."""
    offsets = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.bincount(owner, minlength=count), out=offsets[1:])
    return Runs(x.astype(np.int32), y.astype(np.int32), length.astype(np.int32), offsets)


def join(parts: Sequence[Runs]) -> Runs:
    """The objects of several sets of runs, in order."""
    if not parts:
        return pack(*(np.zeros(0, dtype=np.int64),) * 4, count=0)
    numbers = np.concatenate([np.diff(p.offsets) for p in parts])
    x, y, length = (np.concatenate([p[k] for p in parts]) for k in range(3))
    return Runs(x, y, length, np.concatenate(([0], np.cumsum(numbers))))


def ranges(start: NDArray[Any], length: NDArray[Any]) -> Ints:
    """start[0], start[0] + 1, .. (length[0] of them), start[1], ..: int64."""
    ends = np.cumsum(length, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(start - (ends - length), length)


def segment_sums(values: NDArray[Any], offsets: Ints) -> Ints:
    """Sums of the slices between offsets, (N,) int64; zero for an empty slice."""
    total = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=total[1:])
    return total[offsets[1:]] - total[offsets[:-1]]


def union(
    owner: NDArray[Any],
    x: NDArray[Any],
    y: NDArray[Any],
    length: NDArray[Any],
    count: int,
    size: tuple[int, int],
) -> Runs:
    """Canonical runs from any: sorted, overlapping and touching ones joined, empty ones dropped."""
    height, width = size
    start = (owner.astype(np.int64) * width + x) * (height + 1) + y
    if not (length > 0).all():
        keep = length > 0
        start, owner, x, y, length = start[keep], owner[keep], x[keep], y[keep], length[keep]
    if len(start) == 0:
        return pack(owner.astype(np.int64), x, y, length, count)
    if (start[1:] < start[:-1]).any():
        order = np.argsort(start)
        start, owner, x, y, length = start[order], owner[order], x[order], y[order], length[order]
    end = np.maximum.accumulate(start + length)
    first = np.flatnonzero(np.concatenate(([True], start[1:] > end[:-1])))
    last = np.concatenate((first[1:] - 1, [len(start) - 1]))
    return pack(owner[first], x[first], y[first], end[last] - start[first], count)


def pieces(runs: Runs) -> Iterator[Runs]:
    """The objects in order, some at a time, so that what is made of them stays in the processor's cache."""
    begin, count = 0, len(runs.offsets) - 1
    while begin < count:
        low = runs.offsets[begin]
        end = max(begin + 1, int(np.searchsorted(runs.offsets, low + (1 << 15), side="right")) - 1)
        part = slice(int(low), int(runs.offsets[end]))
        yield Runs(runs.x[part], runs.y[part], runs.length[part], runs.offsets[begin : end + 1] - low)
        begin = end


def take(runs: Runs, index: Ints) -> Runs:
    """The runs of chosen objects, in the order of ``index`` (K,)."""
    begin, number = runs.offsets[index], runs.offsets[index + 1] - runs.offsets[index]
    offsets = np.concatenate(([0], np.cumsum(number)))
    if len(index) and (index[1:] == index[:-1] + 1).all():  # neighbours: no copy
        part = slice(int(begin[0]), int(begin[0] + offsets[-1]))
        return Runs(runs.x[part], runs.y[part], runs.length[part], offsets)
    chosen = ranges(begin, number)
    return Runs(runs.x[chosen], runs.y[chosen], runs.length[chosen], offsets)


def shift(runs: Runs, dx: int, dy: int, size: tuple[int, int]) -> Runs:
    """Runs moved by whole pixels and clipped to an image of ``size``."""
    height, width = size
    if not len(runs.x):
        return runs
    low_x, high_x = int(runs.x.min()) + dx, int(runs.x.max()) + dx
    low_y, high_y = int(runs.y.min()) + dy, int((runs.y + runs.length).max()) + dy
    if low_x >= 0 and high_x < width and low_y >= 0 and high_y <= height:
        return Runs(runs.x + np.int32(dx), runs.y + np.int32(dy), runs.length, runs.offsets)
    x = runs.x.astype(np.int64) + dx
    y = runs.y.astype(np.int64) + dy
    end = y + runs.length
    inside = (x >= 0) & (x < width) & (y < height) & (end > 0)
    x, y, end = x[inside], np.maximum(y[inside], 0), np.minimum(end[inside], height)
    return pack(runs.owner[inside], x, y, end - y, len(runs.offsets) - 1)


def from_label_image(labels: NDArray[Any], ids: Ints | None) -> tuple[Runs, Ints]:
    """Runs of the regions of an (H, W) integer image and their ids; 0 is background.

    A run begins wherever a pixel differs from the one above it, so one comparison of each row with the next
    finds them all.
    """
    height, width = labels.shape
    found = [np.flatnonzero(labels[0])]
    step = max(1, CHUNK // width)
    for top in range(1, height, step):
        rows = labels[top - 1 : top + step]
        found.append(np.flatnonzero(rows[1:] != rows[:-1]) + top * width)
    found.append(np.flatnonzero(labels[-1]) + height * width)
    edges = np.concatenate(found)
    y = edges // width
    key = (edges - y * width) * (height + 1) + y  # column order
    key.sort()
    x = key // (height + 1)
    y = key - x * (height + 1)
    value = labels[np.minimum(y, height - 1), x].astype(np.int64)
    value[y == height] = 0
    kept = np.flatnonzero(value)
    length = y[np.minimum(kept + 1, len(y) - 1)] - y[kept]  # a run's end closes within its column
    x, y, value = x[kept], y[kept], value[kept]
    ids = np.unique(value) if ids is None else ids
    owner = _rank(value, ids)
    if (known := owner >= 0).all():
        order = _by(owner)
    else:
        chosen = np.flatnonzero(known)
        order = chosen[_by(owner[chosen])]
    return pack(owner[order], x[order], y[order], length[order], len(ids)), ids


def _rank(values: Ints, ids: Ints) -> Ints:
    """Where each value stands in ``ids``, -1 where it does not."""
    if len(ids) == 0:
        return np.full(len(values), -1)
    top = int(max(ids.max(), values.max(initial=0)))
    if top < 1 << 25:
        table = np.full(top + 1, -1)
        table[ids] = np.arange(len(ids))
        return table[values]
    order = np.argsort(ids)
    at = order[np.minimum(np.searchsorted(ids, values, sorter=order), len(ids) - 1)]
    return np.where(ids[at] == values, at, -1)


def _by(owner: Ints) -> Ints:
    """The stable order by owner: one sort of (owner, position) packed in 64 bits."""
    key = (owner << 32) | np.arange(len(owner))
    key.sort()
    return key & 0xFFFFFFFF


def from_crops(crops: Sequence[NDArray[np.bool_]], corners: Ints) -> Runs:
    """Runs of N bool crops, (h, w) each, whose top left pixels lie at corners (N, 2) xy. Not clipped."""
    shapes = np.array([c.shape for c in crops], dtype=np.int64).reshape(-1, 2)
    cost = (shapes[:, 0] + 1) * shapes[:, 1]
    parts: list[tuple[Ints, Ints, Ints, Ints]] = []
    begin = 0
    while begin < len(crops):
        end = begin + max(1, int(np.searchsorted(np.cumsum(cost[begin:]), CHUNK, side="right")))
        owner, x, y, length = _crop_chunk(crops[begin:end], shapes[begin:end])
        owner += begin
        parts.append((owner, x + corners[owner, 0], y + corners[owner, 1], length))
        begin = end
    empty = np.zeros(0, dtype=np.int64)
    owner, x, y, length = (np.concatenate(p) for p in zip(*parts, strict=True)) if parts else (empty,) * 4
    return pack(owner, x, y, length, len(crops))


def _crop_chunk(crops: Sequence[NDArray[np.bool_]], shapes: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Owner, x, y, length of the runs of some crops, in each crop's own frame."""
    widths = shapes[:, 1]
    begins = np.concatenate(([0], np.cumsum((shapes[:, 0] + 1) * widths)))
    change = np.zeros(begins[-1], dtype=np.bool_)  # where a pixel differs from the one above, per crop
    for crop, (height, width), at in zip(crops, shapes.tolist(), begins.tolist(), strict=False):
        if height and width:
            block = change[at : at + (height + 1) * width].reshape(height + 1, width)
            block[0] = crop[0]
            np.not_equal(crop[1:], crop[:-1], out=block[1:-1])
            block[-1] = crop[-1]
    edges = np.flatnonzero(change)
    owner = np.repeat(np.arange(len(crops)), np.diff(np.searchsorted(edges, begins)))
    local = edges - begins[owner]
    y = local // widths[owner]
    columns = np.concatenate(([0], np.cumsum(widths)))
    tall = int(shapes[:, 0].max()) + 1
    key = (columns[owner] + local - y * widths[owner]) * tall + y
    key.sort()  # in each column the edges now alternate: begin, end
    start, length = key[::2], key[1::2] - key[::2]
    owner = owner[::2]
    column = start // tall
    return owner, column - columns[owner], start - column * tall, length


def from_counts(counts: Ints, offsets: Ints, size: tuple[int, int], room: int = MAX_RUNS) -> Runs:
    """Runs of N checked COCO count lists that lie end to end, at most ``room`` of them."""
    height, width = size
    count = len(offsets) - 1
    ends = np.cumsum(counts)
    ends -= np.repeat(np.arange(count) * (height * width), np.diff(offsets))
    local = np.arange(len(counts)) - np.repeat(offsets[:-1], np.diff(offsets))
    fore = np.flatnonzero((local & 1 == 1) & (counts > 0))
    owner = np.searchsorted(offsets, fore, side="right") - 1
    start, end = ends[fore] - counts[fore], ends[fore]
    left, right = start // height, (end - 1) // height
    number = right - left + 1
    if int(number.sum()) > room:
        raise MaskError(
            f"rle: expected at most {MAX_RUNS} vertical runs in all, got more; read fewer at once"
        )
    which = np.repeat(np.arange(len(fore)), number)
    x = ranges(left, number)
    top = np.maximum(start[which], x * height)
    length = np.minimum(end[which], (x + 1) * height) - top
    return union(owner[which], x, top - x * height, length, count, size)


def to_counts(runs: Runs, size: tuple[int, int]) -> tuple[Ints, Ints]:
    """COCO counts of all objects end to end, and offsets (N + 1,)."""
    height, width = size
    start = runs.x.astype(np.int64) * height + runs.y
    end = start + runs.length
    owner = runs.owner
    if len(start):  # a run that reaches the bottom goes on at the top of the next column
        fresh = np.concatenate(([True], (start[1:] != end[:-1]) | (owner[1:] != owner[:-1])))
        first = np.flatnonzero(fresh)
        end = end[np.concatenate((first[1:] - 1, [len(start) - 1]))]
        start, owner = start[first], owner[first]
    number = np.bincount(owner, minlength=len(runs.offsets) - 1)
    heads = np.concatenate(([0], np.cumsum(number)))
    final = np.zeros(len(number), dtype=np.int64)
    final[number > 0] = end[heads[1:][number > 0] - 1]
    rest = height * width - final
    offsets = np.concatenate(([0], np.cumsum(2 * number + (rest > 0))))
    counts = np.empty(offsets[-1], dtype=np.int64)
    at = offsets[owner] + 2 * (np.arange(len(owner)) - heads[owner])
    before = np.concatenate(([0], end[:-1])) if len(end) else end
    before[heads[:-1][number > 0]] = 0
    counts[at], counts[at + 1] = start - before, end - start
    counts[offsets[1:][rest > 0] - 1] = rest[rest > 0]
    return counts, offsets


def boxes(runs: Runs) -> Ints:
    """(N, 4) tight pixel boxes, xyxy, x2 and y2 exclusive; zeros for an object without runs."""
    result = np.zeros((len(runs.offsets) - 1, 4), dtype=np.int64)
    full = np.flatnonzero(np.diff(runs.offsets))
    if len(full):
        begin = runs.offsets[full]
        result[full, 0] = runs.x[begin]
        result[full, 2] = runs.x[runs.offsets[full + 1] - 1] + 1
        result[full, 1] = np.minimum.reduceat(runs.y, begin)
        result[full, 3] = np.maximum.reduceat(runs.y + runs.length, begin)
    return result

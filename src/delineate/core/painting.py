"""Runs back to pixels: label images and stacks of masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .runs import CHUNK, Ints, Runs, ranges


def stack(runs: Runs, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(N, H, W) bool."""
    height, width = size
    result = np.zeros((len(runs.offsets) - 1, height, width), dtype=np.bool_)
    first = (runs.owner * height + runs.y) * width + runs.x
    _fill(result.reshape(-1), first, runs.length, width, np.ones(len(first), dtype=np.bool_))
    return result


def label_image(runs: Runs, values: Ints, size: tuple[int, int]) -> NDArray[np.int32]:
    """(H, W) int32 with the objects painted in order, object k in values[k]; later ones on top."""
    height, width = size
    image = np.zeros(size, dtype=np.int32)
    value = values.astype(np.int32)[runs.owner]
    alone = ~_overlapped(runs, height)
    # objects that meet no other: write where each run begins, take it back where it ends, and sum down
    x, y, end, ink = runs.x[alone], runs.y[alone], (runs.y + runs.length)[alone], value[alone]
    image[y, x] = ink
    inside = end < height
    image[end[inside], x[inside]] -= ink[inside]
    for row in range(1, height):
        image[row] += image[row - 1]
    if not alone.all():
        first = runs.y.astype(np.int64) * width + runs.x
        _fill(image.reshape(-1), first[~alone], runs.length[~alone], width, value[~alone])
    return image


def _overlapped(runs: Runs, height: int) -> NDArray[np.bool_]:
    """(R,) runs that share pixels with another object's."""
    start = runs.x.astype(np.int64) * (height + 1) + runs.y
    order = np.argsort(start, kind="stable")
    start = start[order]
    end = start + runs.length[order]
    hit = np.zeros(len(start), dtype=np.bool_)
    if len(start):
        hit[1:] = start[1:] < np.maximum.accumulate(end)[:-1]
        hit[:-1] |= start[1:] < end[:-1]
    result = np.empty_like(hit)
    result[order] = hit
    return result


def _fill(
    flat: NDArray[np.generic], first: Ints, length: NDArray[np.int32], step: int, ink: NDArray[np.generic]
) -> None:
    """flat[first + k * step] = ink for k below length, run by run in order."""
    ends = np.cumsum(length, dtype=np.int64)
    begin = 0
    while begin < len(first):
        done = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + CHUNK, side="right")))
        number = length[begin:end]
        down = ranges(np.zeros(end - begin, dtype=np.int64), number)
        flat[np.repeat(first[begin:end], number) + down * step] = np.repeat(ink[begin:end], number)
        begin = end

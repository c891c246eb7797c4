"""What the image shows inside each region: mean, spread, sum, extremes and percentiles per channel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .runs import Runs

PIXELS_AT_ONCE = 250_000
PERCENTILES = (5, 25, 75, 95)
STATISTICS = ("mean", "median", "min", "max", "std", "sum", *(f"p{q}" for q in PERCENTILES))


def intensities(runs: Runs, image: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Statistics of the pixels of every region.

    Args:
        runs: N regions.
        image: (H, W, C) of any number type, on the regions' pixel grid.

    Returns:
        ``mean, median, min, max, std, sum, p5, p25, p75, p95``, each (N, C) float64 in the image's own units;
        ``std`` is the population's (divided by the number of pixels); percentiles are interpolated linearly,
        as :func:`numpy.percentile` does.
    """
    channels = image.shape[2]
    result = {name: np.zeros((len(runs), channels)) for name in STATISTICS}
    for first, last in batches(runs, PIXELS_AT_ONCE):
        part = runs.part(first, last)
        area = part.sum(part.length)
        values = pixels_of(part, image)
        for channel in range(channels):
            for name, column in grouped_statistics(area, values[:, channel]).items():
                result[name][first:last, channel] = column
    return result


def batches(runs: Runs, pixels: int) -> list[tuple[int, int]]:
    """First and last (exclusive) of successive regions with about so many pixels together, at least one."""
    ends = np.cumsum(runs.sum(runs.length))
    found, first = [], 0
    while first < len(runs):
        limit = (ends[first - 1] if first else 0) + pixels
        last = max(first + 1, int(np.searchsorted(ends, limit, side="right")))
        found.append((first, last))
        first = last
    return found


def pixels_of(runs: Runs, image: NDArray[Any]) -> NDArray[Any]:
    """(pixels, C) values of all regions, region after region."""
    before = np.cumsum(runs.length) - runs.length
    rows = np.arange(int(runs.length.sum())) + np.repeat(runs.y - before, runs.length)
    return image[rows, np.repeat(runs.x, runs.length)]


def grouped_statistics(area: NDArray[np.int64], values: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Statistics of groups of numbers that lie one after another.

    Args:
        area: (N,) how many numbers each group has, at least 1.
        values: (sum of area,) numbers of any type.

    Returns:
        (N,) float64 for each of :data:`STATISTICS`.
    """
    start = np.cumsum(area) - area
    owner = np.repeat(np.arange(len(area)), area)
    real = values.astype(np.float64)
    total = np.add.reduceat(real, start)
    mean = total / area
    real -= mean[owner]
    np.square(real, out=real)
    ranked = _ranked(owner, values)

    def at(place: NDArray[np.int64]) -> NDArray[np.float64]:
        return ranked[start + place].astype(np.float64)

    found = {
        "mean": mean,
        "median": (at((area - 1) // 2) + at(area // 2)) / 2,
        "min": at(np.zeros_like(area)),
        "max": at(area - 1),
        "std": np.sqrt(np.add.reduceat(real, start) / area),
        "sum": total,
    }
    for q in PERCENTILES:
        place = (area - 1) * (q / 100)
        low = np.floor(place).astype(np.int64)
        below, above = at(low), at(np.minimum(low + 1, area - 1))
        found[f"p{q}"] = below + (above - below) * (place - low)
    return found


def _ranked(owner: NDArray[np.int64], values: NDArray[Any]) -> NDArray[Any]:
    """The values sorted inside each owner; ``owner`` ascends.

    Numbers of up to 32 bits are sorted as one integer key with their owner, several times faster than by two
    keys; the key of a float is its bits, turned so that they ascend.
    """
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    kind, size = values.dtype.kind, values.dtype.itemsize
    if size > 4 or kind not in "buif":
        return values[np.lexsort((values, owner))]
    if kind == "f":
        bits = values.astype(np.float32).view(np.int32).astype(np.int64)
        code = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    else:
        code = values.astype(np.int64)
    low = int(code.min())
    width = max(1, int(code.max()) - low).bit_length()
    key = (owner << width) | (code - low)
    if int(key[-1]).bit_length() < 31 and int(owner[-1] + 1).bit_length() + width < 31:
        key = key.astype(np.int32)
    key.sort()
    code = (key & ((1 << width) - 1)).astype(np.int64) + low
    if kind != "f":
        return code
    return np.where(code < 0, code ^ 0x7FFFFFFF, code).astype(np.int32).view(np.float32)

"""What the image shows inside each region: mean, spread and extremes per channel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .runs import Runs

PIXELS_AT_ONCE = 4_000_000
STATISTICS = ("mean", "median", "min", "max", "std")


def intensities(runs: Runs, image: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Statistics of the pixels of every region.

    Args:
        runs: N regions.
        image: (H, W, C) of any number type, on the regions' pixel grid.

    Returns:
        ``mean, median, min, max, std``, each (N, C) float64 in the image's own units; ``std`` is the
        population's (divided by the number of pixels).
    """
    channels = image.shape[2]
    result = {name: np.zeros((len(runs), channels)) for name in STATISTICS}
    ends = np.cumsum(runs.sum(runs.length))
    first = 0
    while first < len(runs):
        limit = (ends[first - 1] if first else 0) + PIXELS_AT_ONCE
        last = max(first + 1, int(np.searchsorted(ends, limit, side="right")))
        part = runs.part(first, last)
        values = _pixels(part, image)
        for channel in range(channels):
            chosen = values[:, channel].astype(np.float64)
            for name, column in _statistics(part.sum(part.length), chosen).items():
                result[name][first:last, channel] = column
        first = last
    return result


def _pixels(runs: Runs, image: NDArray[Any]) -> NDArray[Any]:
    """(pixels, C) values of all regions, region after region."""
    before = np.cumsum(runs.length) - runs.length
    rows = np.arange(int(runs.length.sum())) + np.repeat(runs.y - before, runs.length)
    return image[rows, np.repeat(runs.x, runs.length)]


def _statistics(area: NDArray[np.int64], values: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    start = np.cumsum(area) - area
    owner = np.repeat(np.arange(len(area)), area)
    mean = np.add.reduceat(values, start) / area
    variance = np.add.reduceat((values - mean[owner]) ** 2, start) / area
    ranked = values[np.lexsort((values, owner))]
    return {
        "mean": mean,
        "median": (ranked[start + (area - 1) // 2] + ranked[start + area // 2]) / 2,
        "min": ranked[start],
        "max": ranked[start + area - 1],
        "std": np.sqrt(variance),
    }

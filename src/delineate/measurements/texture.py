"""Haralick's textural features from co-occurrences of grey levels inside each object.

Haralick, Shanmugam and Dinstein, "Textural features for image classification", 1973, appendix I, f1 to f13
(f14, whose eigenvalues are unstable, is left out as elsewhere). A pair of neighbouring pixels counts when
both belong to the object, so that what lies around it has no say.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .intensity import PIXELS_AT_ONCE, batches, pixels_of
from .runs import Runs

FEATURES = (
    "asm",
    "contrast",
    "correlation",
    "variance",
    "idm",
    "sum_average",
    "sum_variance",
    "sum_entropy",
    "entropy",
    "difference_variance",
    "difference_entropy",
    "imc1",
    "imc2",
)
DIRECTIONS = ((0, 1), (-1, 1), (-1, 0), (-1, -1))
"""Steps (rows, columns) at 0, 45, 90 and 135 degrees, as the paper's figure 1 has them."""
LEVELS = 32
CELLS_AT_ONCE = 300_000

Array = NDArray[np.float64]
Ranges = tuple[float, float] | tuple[tuple[float, float], ...]
"""Lowest and highest value, of all channels or channel by channel."""


def levels_of(values: NDArray[Any], low: float, high: float, levels: int = LEVELS) -> NDArray[np.int64]:
    """Grey levels 0..levels - 1: [low, high] cut into equal parts; what lies outside goes to the ends.

    Example:
        >>> levels_of(np.array([0, 63, 64, 255]), 0, 256, 4).tolist()
        [0, 0, 1, 3]
    """
    if not high > low:
        return np.zeros(values.shape, dtype=np.int64)
    scaled = (values.astype(np.float64) - low) * (levels / (high - low))
    return np.clip(scaled, 0, levels - 1).astype(np.int64)


def co_occurrences(
    runs: Runs, levels: NDArray[np.int64], number: int, step: tuple[int, int]
) -> NDArray[np.float64]:
    """Pairs of levels of neighbouring pixels of the same region, in both orders.

    Args:
        runs: N regions.
        levels: (pixels,) level of each pixel, region after region, as :func:`pixels_of` orders them.
        number: of levels.
        step: (rows, columns) from a pixel to its neighbour.

    Returns:
        (N, number, number) counts, symmetric.
    """
    height, width = runs.size
    area = runs.sum(runs.length)
    owner = np.repeat(np.arange(len(runs)), area)
    # One ascending key for all pixels of all regions; empty rows and columns between keep them apart.
    first = (runs.owner * (width + 2) + runs.x + 1) * (height + 2) + runs.y + 1
    before = np.cumsum(runs.length) - runs.length
    key = np.arange(len(owner)) + np.repeat(first - before, runs.length)
    wanted = key + step[1] * (height + 2) + step[0]
    place = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
    both = np.flatnonzero(key[place] == wanted)
    cell = (owner[both] * number + levels[both]) * number + levels[place[both]]
    counts = np.bincount(cell, minlength=len(runs) * number * number).reshape(-1, number, number)
    return (counts + counts.transpose(0, 2, 1)).astype(np.float64)


def haralick(counts: Array) -> dict[str, Array]:
    """The 13 features of N matrices of co-occurrences, (N, L, L); NaN where one has no pairs.

    Logarithms are natural. The sum variance is taken about the sum average (the paper's f7 has the sum
    entropy there, a slip of the pen). Correlation is 1 for an even grey (one level), as in scikit-image; the
    information measures are then 0.
    """
    size = counts.shape[1]
    total = counts.sum(axis=(1, 2))
    p = counts / np.where(total > 0, total, np.nan)[:, None, None]
    i = np.arange(1, size + 1, dtype=np.float64)
    px, py = p.sum(axis=2), p.sum(axis=1)
    mean = px @ i
    spread = px @ i**2 - mean**2
    flat = p.reshape(len(p), -1)
    # p is symmetric: a diagonal stands for its twin; the mirrored matrix has the sums on its diagonals.
    both = [np.trace(p, offset=k, axis1=1, axis2=2) * (2 if k else 1) for k in range(size)]
    difference = np.stack(both, axis=1)
    mirrored = p[:, :, ::-1]
    joint = np.stack(
        [np.trace(mirrored, offset=k, axis1=1, axis2=2) for k in range(size - 1, -size, -1)], axis=1
    )
    k = np.arange(2, 2 * size + 1, dtype=np.float64)
    d = np.arange(size, dtype=np.float64)
    sum_average = joint @ k
    entropy = _entropy(flat)
    hx = _entropy(px)
    cross = px[:, :, None] * py[:, None, :]
    hxy1 = -np.einsum("nij,nij->n", p, _log(cross))
    hxy2 = _entropy(cross.reshape(len(p), -1))
    even = spread < 1e-12
    covariance = np.einsum("nij,i,j->n", p, i, i) - mean**2
    return {
        "asm": np.einsum("nij,nij->n", p, p),
        "contrast": difference @ d**2,
        "correlation": np.where(even, 1.0, covariance / np.where(even, 1.0, spread)),
        "variance": spread,
        "idm": difference @ (1 / (1 + d**2)),
        "sum_average": sum_average,
        "sum_variance": joint @ k**2 - sum_average**2,
        "sum_entropy": _entropy(joint),
        "entropy": entropy,
        "difference_variance": difference @ d**2 - (difference @ d) ** 2,
        "difference_entropy": _entropy(difference),
        "imc1": (entropy - hxy1) / np.where(hx > 0, hx, 1.0),
        "imc2": np.sqrt(np.maximum(1 - np.exp(-2 * (hxy2 - entropy)), 0)),
    }


def texture(
    runs: Runs, image: NDArray[Any], levels: int = LEVELS, value_range: Ranges | None = None
) -> tuple[dict[str, Array], list[tuple[float, float]]]:
    """Haralick's features of every region, each the mean over the four directions at one pixel's distance.

    Args:
        runs: N regions.
        image: (H, W, C) numbers.
        levels: grey levels that the values are cut into, 2..256.
        value_range: lowest and highest value of the levels, or a pair for each channel; None takes, channel
            by channel, those of the pixels of all regions together. Give one where several images are to be
            compared.

    Returns:
        (N, C) for each of :data:`FEATURES`, NaN for a region without a pair; and per channel the range used.
    """
    channels = image.shape[2]
    found = {name: np.full((len(runs), channels), np.nan) for name in FEATURES}
    ranges = _extremes(runs, image) if value_range is None else ranges_of(value_range, channels)
    some = max(1, CELLS_AT_ONCE // levels**2)
    for first in range(0, len(runs), some):
        last = min(first + some, len(runs))
        part = runs.part(first, last)
        values = pixels_of(part, image)
        for channel, (low, high) in enumerate(ranges):
            grey = levels_of(values[:, channel], low, high, levels)
            each = [haralick(co_occurrences(part, grey, levels, step)) for step in DIRECTIONS]
            for name in FEATURES:
                found[name][first:last, channel] = _mean_of_known([one[name] for one in each])
    return found, ranges


def ranges_of(given: Ranges, channels: int) -> list[tuple[float, float]]:
    """A pair for each channel, from one for all or one for each.

    Raises:
        InputError: pairs for another number of channels.
    """
    pairs = np.asarray(given, dtype=np.float64)
    pairs = np.tile(pairs, (channels, 1)) if pairs.ndim == 1 else pairs
    if pairs.shape != (channels, 2):
        raise InputError(
            f"value_range: expected a lowest and a highest value, or such a pair for each of {channels} "
            f"channels, got {given}"
        )
    return [(float(low), float(high)) for low, high in pairs]


def _extremes(runs: Runs, image: NDArray[Any]) -> list[tuple[float, float]]:
    """Channel by channel the lowest and highest value of the pixels of all regions."""
    found = []
    for first, last in batches(runs, PIXELS_AT_ONCE):
        values = pixels_of(runs.part(first, last), image).astype(np.float64)
        found.append((values.min(axis=0), values.max(axis=0)))
    if not found:
        return [(0.0, 0.0)] * image.shape[2]
    low = np.min([one for one, _ in found], axis=0)
    high = np.max([one for _, one in found], axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def _mean_of_known(columns: list[Array]) -> Array:
    """The mean over the directions in which a region has pairs."""
    stacked = np.stack(columns)
    known = np.isfinite(stacked)
    number = known.sum(axis=0)
    return np.where(known, stacked, 0).sum(axis=0) / np.where(number > 0, number, np.nan)


def _log(p: Array) -> Array:
    return np.log(np.where(p > 0, p, 1.0))


def _entropy(p: Array) -> Array:
    """(N,) of (N, K) probabilities; NaN where they are NaN."""
    return -(p * _log(p)).sum(axis=1)

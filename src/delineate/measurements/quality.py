"""Marks on rows that deserve a look, in place of dropping them: outliers, blurred objects, broken masks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .runs import Runs

LIMIT = 3.5
"""An absolute modified z-score above it marks an outlier, as Iglewicz and Hoaglin recommend."""
FEWEST = 8
"""With fewer objects than this in an image none is called unusual."""
ROWS_AT_ONCE = 256
RUNS_AT_ONCE = 1 << 14
SMALLEST = 3
"""A mask of fewer pixels has no shape to speak of."""


def robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Modified z-scores: 0.6745 (x - median) / MAD.

    Where the median absolute deviation is 0, 1.253314 times the mean absolute deviation takes the place of
    MAD / 0.6745; where that is 0 too, all scores are 0. Source: Iglewicz and Hoaglin, "How to detect and
    handle outliers", 1993, section 3.3 (the fallback: IBM SPSS, "Modified z score").

    Args:
        values: (N,) numbers; NaN stays NaN and does not count.

    Returns:
        (N,) scores.

    Example:
        >>> robust_z(np.array([1.0, 2, 3, 4, 100])).round(2).tolist()
        [-1.35, -0.67, 0.0, 0.67, 65.43]
    """
    scores = np.full(len(values), np.nan)
    known = np.isfinite(values)
    if not known.any():
        return scores
    away = values[known] - np.median(values[known])
    spread = float(np.median(np.abs(away))) / 0.6745
    if spread == 0:
        spread = 1.253314 * float(np.mean(np.abs(away)))
    scores[known] = away / spread if spread > 0 else 0.0
    return scores


def outliers(area: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) whether the logarithm of an area, > 0, lies more than 3.5 robust deviations from the median.

    None does where fewer than 8 areas are known.
    """
    score = robust_z(_logarithm(area))
    return np.abs(np.nan_to_num(score)) > LIMIT if np.isfinite(score).sum() >= FEWEST else score > np.inf


def blurred(sharpness: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) whether an object's sharpness lies more than 3.5 robust deviations below the image's median.

    Compared are logarithms. None is blurred where fewer than 8 are known: against what?
    """
    score = robust_z(_logarithm(sharpness))
    return np.nan_to_num(score) < -LIMIT if np.isfinite(score).sum() >= FEWEST else score > np.inf


def _logarithm(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(np.where(values > 0, values, np.nan))


def laplacian_variances(runs: Runs, image: NDArray[Any]) -> NDArray[np.float64]:
    """(N,) variance of the image's Laplacian over each region's pixels: low where it is out of focus.

    The Laplacian is the 4-neighbour one, of the mean of the channels, mirrored at the image's edge. Source:
    Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", 2000.

    Args:
        runs: N regions.
        image: (H, W, C) numbers.
    """
    height = image.shape[0]
    first, second = np.zeros(len(runs)), np.zeros(len(runs))
    for top in range(0, height, ROWS_AT_ONCE):
        bottom = min(top + ROWS_AT_ONCE, height)
        above, below = max(0, top - 1), min(height, bottom + 1)
        filtered = _laplacian(image[above:below], (above == top, below == bottom))
        start, end = np.maximum(runs.y, top), np.minimum(runs.y + runs.length, bottom)
        mine = np.flatnonzero(end > start)
        for some in np.array_split(mine, len(mine) // RUNS_AT_ONCE + 1):
            length = end[some] - start[some]
            row = np.repeat(start[some] - top - (np.cumsum(length) - length), length) + np.arange(
                length.sum()
            )
            values = filtered[row, np.repeat(runs.x[some], length)].astype(np.float64)
            owner = np.repeat(runs.owner[some], length)
            first += np.bincount(owner, weights=values, minlength=len(runs))
            second += np.bincount(owner, weights=values**2, minlength=len(runs))
    area = runs.sum(runs.length)
    return np.maximum(second / area - (first / area) ** 2, 0.0)


def _laplacian(rows: NDArray[Any], edges: tuple[bool, bool]) -> NDArray[np.float32]:
    """(h, W) Laplacian of a band of rows.

    Args:
        rows: (h + 0..2, W, C) with the row above and the row below, where there is one.
        edges: whether the band begins at the image's first row, and ends at its last.
    """
    grey = rows[:, :, 0] if rows.shape[2] == 1 else rows.mean(axis=2, dtype=np.float32)
    if grey.dtype not in (np.uint8, np.uint16, np.float32):  # the others are filtered without a copy
        grey = grey.astype(np.float32)
    filtered: NDArray[np.float32] = cv2.Laplacian(  # type: ignore[assignment]
        grey, cv2.CV_32F, ksize=1, borderType=cv2.BORDER_REFLECT_101
    )
    return filtered[0 if edges[0] else 1 : len(filtered) if edges[1] else len(filtered) - 1]


def degenerate(area: NDArray[np.float64], perimeter: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) masks without a shape: no mask, no pixels, fewer than 3, or no perimeter."""
    return ~(np.nan_to_num(area) >= SMALLEST) | ~(np.nan_to_num(perimeter) > 0)

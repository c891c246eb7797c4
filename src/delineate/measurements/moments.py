"""Area, centroid and the ellipse of second moments, straight from mask runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .runs import Runs


@dataclass(frozen=True)
class Moments:
    """Moments up to order two of N regions, in pixels.

    Attributes:
        area: (N,) int64 pixels.
        centroid: (N, 2) float64 (row, column) of the mean pixel centre; pixel (0, 0) lies at (0.0, 0.0).
        variance: (N, 2) float64 variance of the rows and of the columns, pixels squared.
        covariance: (N,) float64 covariance of rows and columns.
    """

    area: NDArray[np.int64]
    centroid: NDArray[np.float64]
    variance: NDArray[np.float64]
    covariance: NDArray[np.float64]


def moments(runs: Runs) -> Moments:
    """Moments of every region, in closed form per run: no pixel is visited.

    Integer sums about each region's rounded centroid, so that nothing cancels however far the region lies
    from the origin.
    """
    length = runs.length
    area = runs.sum(length)
    # sum over a run of rows y, y+1, .., y+L-1 is L*y + L*(L-1)/2
    steps = length * (length - 1) // 2
    row0 = runs.sum(length * runs.y + steps) // area
    col0 = runs.sum(length * runs.x) // area
    y = runs.y - runs.spread(row0)
    x = runs.x - runs.spread(col0)
    rows = length * y + steps
    sum_r, sum_c = runs.sum(rows), runs.sum(length * x)
    sum_rr = runs.sum(length * y * y + 2 * y * steps + steps * (2 * length - 1) // 3)
    sum_cc = runs.sum(length * x * x)
    sum_rc = runs.sum(x * rows)
    mean_r, mean_c = sum_r / area, sum_c / area
    variance = np.stack([sum_rr / area - mean_r**2, sum_cc / area - mean_c**2], axis=1)
    return Moments(
        area=area,
        centroid=np.stack([row0 + mean_r, col0 + mean_c], axis=1),
        variance=np.maximum(variance, 0.0),
        covariance=sum_rc / area - mean_r * mean_c,
    )


@dataclass(frozen=True)
class Ellipse:
    """The ellipses with the same second moments as N regions.

    Attributes:
        major: (N,) float64 full length of the long axis, pixels.
        minor: (N,) float64 full length of the short axis, pixels.
        eccentricity: (N,) float64 in 0..1; 0 is a circle.
        orientation: (N,) float64 radians in -pi/2..pi/2, from the row axis to the long axis,
            counter-clockwise, as scikit-image gives it.
    """

    major: NDArray[np.float64]
    minor: NDArray[np.float64]
    eccentricity: NDArray[np.float64]
    orientation: NDArray[np.float64]


def ellipse(moments: Moments) -> Ellipse:
    """Axes and orientation from the eigenvalues of the covariance matrix, as scikit-image defines them."""
    var_r, var_c, cov = moments.variance[:, 0], moments.variance[:, 1], moments.covariance
    mean = (var_r + var_c) / 2
    spread = np.hypot((var_r - var_c) / 2, cov)
    large = mean + spread
    small = np.maximum(mean - spread, 0.0)
    ratio = np.divide(small, large, out=np.ones_like(small), where=large > 0)
    even = var_r == var_c
    turned = np.where(cov > 0, np.pi / 4, -np.pi / 4)
    return Ellipse(
        major=4 * np.sqrt(large),
        minor=4 * np.sqrt(small),
        eccentricity=np.sqrt(np.maximum(1 - ratio, 0.0)),
        orientation=np.where(even, turned, 0.5 * np.arctan2(2 * cov, var_r - var_c)),
    )

"""How far forecasts of trajectories were off, and whether they knew it.

ADE is the mean distance between the foretold and the true place over all horizons, FDE that at the last one
(Pellegrini et al., "You'll never walk alone", ICCV 2009; Alahi et al., "Social LSTM", CVPR 2016). Forecasts
with an uncertainty are judged by it too: the negative log likelihood of the true place, and the share of true
places inside the ellipse that should hold half, and nine tenths, of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from delineate.core.errors import InputError

Floats = NDArray[np.float64]
SHARES = (0.5, 0.9)
"""What the ellipses should hold."""


@dataclass(frozen=True)
class ForecastReport:
    """Errors of one way to foretell.

    Attributes:
        count: forecasts judged, F.
        horizons: (H) seconds ahead.
        ade: mean distance over forecasts and horizons; NaN without forecasts.
        fde: mean distance at the last horizon.
        by_horizon: (H) mean distance at each.
        missed: share of forecasts that end more than ``miss`` away.
        nll: mean negative log likelihood (natural), or None where there is no uncertainty.
        inside: share of places in the ellipse of each of :data:`SHARES`, or None.
    """

    count: int
    horizons: tuple[float, ...]
    ade: float
    fde: float
    by_horizon: tuple[float, ...]
    missed: float
    nll: float | None
    inside: tuple[float, ...] | None


class ForecastErrors:
    """Errors over many forecasts.

    Args:
        horizons: seconds ahead, ascending.
        miss: distance at the last horizon from which a forecast is missed (2 m in Argoverse; Chang et al.,
            CVPR 2019).

    Raises:
        InputError: no horizons, or not ascending above 0.

    Example:
        >>> errors = ForecastErrors((1.0, 2.0))
        >>> errors.update([[[1, 0], [2, 0]]], [[[1, 1], [2, 3]]])
        >>> report = errors.compute()
        >>> report.ade, report.fde, report.missed
        (2.0, 3.0, 1.0)
    """

    def __init__(self, horizons: tuple[float, ...], miss: float = 2.0) -> None:
        if not horizons or horizons[0] <= 0 or not (np.diff(horizons) > 0).all():
            raise InputError(
                f"ForecastErrors, horizons: expected seconds ascending above 0, got {horizons}; correct them"
            )
        self.horizons, self.miss = tuple(float(h) for h in horizons), float(miss)
        self._distance: list[Floats] = []
        self._likelihood: list[Floats] = []
        self._squared: list[Floats] = []

    def update(self, foretold: ArrayLike, truth: ArrayLike, spread: ArrayLike | None = None) -> None:
        """Adds F forecasts.

        Args:
            foretold: (F, H, 2).
            truth: (F, H, 2), finite.
            spread: (F, H, 2, 2) covariances of what is foretold, or None.

        Raises:
            InputError: other shapes, numbers that are not finite, or a covariance that is none.
        """
        here, there = np.asarray(foretold, np.float64), np.asarray(truth, np.float64)
        shape = (len(here), len(self.horizons), 2)
        if here.shape != shape or there.shape != shape or not np.isfinite([here, there]).all():
            raise InputError(
                f"ForecastErrors: expected finite places of shape {shape}, got {here.shape} and "
                f"{there.shape}; give one row per forecast and one place per horizon"
            )
        off = there - here
        self._distance.append(np.linalg.norm(off, axis=2))
        if spread is None:
            return
        cov = np.asarray(spread, np.float64)
        if cov.shape != (*shape, 2):
            raise InputError(f"ForecastErrors: expected covariances {(*shape, 2)}, got {cov.shape}")
        sign, size = np.linalg.slogdet(cov)
        if not (np.isfinite(cov).all() and (sign > 0).all()):
            raise InputError("ForecastErrors: expected covariances that can be inverted, got others")
        squared = (off[..., None, :] @ np.linalg.solve(cov, off[..., None]))[..., 0, 0]
        self._squared.append(squared)
        self._likelihood.append(0.5 * (squared + size) + np.log(2 * np.pi))

    def merge(self, other: ForecastErrors) -> None:
        """Takes over the forecasts of another shard.

        Raises:
            InputError: other horizons.
        """
        if (other.horizons, other.miss) != (self.horizons, self.miss):
            raise InputError("ForecastErrors.merge: expected the same settings, got others")
        self._distance += other._distance
        self._likelihood += other._likelihood
        self._squared += other._squared

    def compute(self) -> ForecastReport:
        """The errors so far."""
        nothing = np.zeros((0, len(self.horizons)))
        distance = np.concatenate([nothing, *self._distance])
        likelihood, squared = (np.concatenate([nothing, *v]) for v in (self._likelihood, self._squared))
        limits = [-2 * np.log(1 - share) for share in SHARES]  # chi-square, 2 degrees of freedom
        by_horizon = tuple(_mean(distance[:, h]) for h in range(len(self.horizons)))
        judged = len(squared) == len(distance) and len(squared) > 0
        return ForecastReport(
            len(distance), self.horizons, _mean(distance), by_horizon[-1], by_horizon,
            _mean(distance[:, -1] > self.miss), _mean(likelihood) if judged else None,
            tuple(_mean(squared <= limit) for limit in limits) if judged else None,
        )  # fmt: skip


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float:
    return float(np.mean(values)) if values.size else float("nan")

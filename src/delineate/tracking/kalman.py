"""The Kalman filter of many tracks at once: each of four measured numbers with its rate of change.

The state of a track is ``(z, dz)`` for four numbers z, such as a box's centre, width and height. Transition
``z += dz * dt``, measurement ``z``. All noise is diagonal, as in SORT (Bewley et al., "Simple Online and
Realtime Tracking", ICIP 2016), DeepSORT and ByteTrack, so the 8 x 8 covariance falls into four blocks of
2 x 2 (variance of z, covariance, variance of dz), and the filter into four that do not know each other:
the same numbers as with full matrices, for a tenth of the work. Formulas: Kalman, "A New Approach to Linear
Filtering and Prediction Problems", J. Basic Eng. 82, 1960.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
NAMES = ("value", "speed", "var", "cov", "speed_var")


class Kalman:
    """T filters, one a row.

    Attributes:
        value: (T, 4) the numbers z.
        speed: (T, 4) their rates of change per frame.
        var: (T, 4) variance of ``value``.
        cov: (T, 4) covariance of ``value`` and ``speed``.
        speed_var: (T, 4) variance of ``speed``.

    Example:
        >>> k = Kalman()
        >>> k.add(np.array([[10.0, 20.0, 4.0, 8.0]]), np.ones((1, 4)), np.full((1, 4), 100.0))
        >>> k.predict(1.0, np.ones((1, 4)), np.ones((1, 4)))
        >>> k.update(np.array([0]), np.array([[12.0, 20.0, 4.0, 8.0]]), np.ones((1, 4)))
        >>> k.value.round(2).tolist(), k.speed.round(2).tolist()
        ([[11.98, 20.0, 4.0, 8.0]], [[1.94, 0.0, 0.0, 0.0]])
    """

    def __init__(self) -> None:
        """No filters yet; see :meth:`add`."""
        self.value, self.speed, self.var, self.cov, self.speed_var = (np.zeros((0, 4)) for _ in range(5))

    def __len__(self) -> int:
        return len(self.value)

    def add(self, value: Floats, var: Floats, speed_var: Floats) -> None:
        """K more filters at rest: value, its variance and that of the unknown speed, (K, 4) each."""
        still = np.zeros_like(value)
        fresh = (value, still, var, still, speed_var)
        for name, rows in zip(NAMES, fresh, strict=True):
            setattr(self, name, np.concatenate((getattr(self, name), rows)))

    def keep(self, rows: NDArray[np.bool_] | Index) -> None:
        """Forget all but these filters."""
        for name in NAMES:
            setattr(self, name, getattr(self, name)[rows])

    @property
    def state(self) -> Floats:
        """(T, 5, 4) everything that is known, for :meth:`restore`."""
        return np.stack((self.value, self.speed, self.var, self.cov, self.speed_var), axis=1)

    def restore(self, rows: Index, state: Floats) -> None:
        """Set some filters back to a state (K, 5, 4) that they were in."""
        for k, name in enumerate(NAMES):
            getattr(self, name)[rows] = state[:, k]

    def taken(self, rows: Index) -> Kalman:
        """A copy of some filters."""
        some = Kalman()
        for name in NAMES:
            setattr(some, name, getattr(self, name)[rows])
        return some

    def predict(self, dt: float, noise: Floats, speed_noise: Floats) -> None:
        """Go on by ``dt`` frames.

        Args:
            dt: frames since the last prediction, above 0.
            noise: (T, 4) variance that ``value`` gains per frame.
            speed_noise: (T, 4) variance that ``speed`` gains per frame.
        """
        self.value = self.value + dt * self.speed
        self.var = self.var + 2 * dt * self.cov + dt * dt * self.speed_var + dt * noise
        self.cov = self.cov + dt * self.speed_var
        self.speed_var = self.speed_var + dt * speed_noise

    def update(self, rows: Index, measured: Floats, noise: Floats) -> None:
        """Take in a measurement of some filters.

        Args:
            rows: (K,) distinct rows.
            measured: (K, 4) what was measured.
            noise: (K, 4) its variance.
        """
        var, cov = self.var[rows], self.cov[rows]
        total = var + noise
        gain, speed_gain = var / total, cov / total
        surprise = measured - self.value[rows]
        self.value[rows] += gain * surprise
        self.speed[rows] += speed_gain * surprise
        self.speed_var[rows] -= speed_gain * cov
        self.cov[rows] = (1 - gain) * cov
        self.var[rows] = (1 - gain) * var

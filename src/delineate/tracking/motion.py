"""Boxes as the numbers that a Kalman filter follows, and how uncertain each is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .kalman import Floats

Variances = tuple[Floats, Floats]


class Motion(Protocol):
    """A choice of four numbers for a box, with their noise. Boxes are (N, 4) xyxy in pixels."""

    def measure(self, boxes: NDArray[np.floating]) -> Floats:
        """(N, 4) numbers of N boxes."""
        ...

    def boxes(self, values: Floats) -> Floats:
        """(N, 4) boxes of N rows of numbers; a size below zero becomes zero."""
        ...

    def begin(self, values: Floats) -> Variances:
        """(N, 4) variances of the numbers and of their speeds, of a track seen once."""
        ...

    def step(self, values: Floats) -> Variances:
        """(N, 4) variances that the numbers and their speeds gain in a frame."""
        ...

    def noise(self, values: Floats) -> Floats:
        """(N, 4) variances of measured numbers."""
        ...


@dataclass(frozen=True)
class CentreSize:
    """Centre x, centre y, width, height; noise in proportion to the size.

    As BoT-SORT does (Aharon et al., "BoT-SORT: Robust Associations Multi-Pedestrian Tracking",
    arXiv:2206.14651, 2022, section 3.1), so that wide objects may turn.

    Attributes:
        position: standard deviation of a measured centre and of its drift per frame, in sizes.
        speed: standard deviation of the speed's change per frame, in sizes.
    """

    position: float = 1 / 20
    speed: float = 1 / 160

    def measure(self, boxes: NDArray[np.floating]) -> Floats:
        """Centres and sizes of boxes."""
        b = np.asarray(boxes, dtype=np.float64)
        return np.concatenate(((b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2]), axis=1)

    def boxes(self, values: Floats) -> Floats:
        """The boxes of centres and sizes."""
        half = np.maximum(values[:, 2:], 0) / 2
        return np.concatenate((values[:, :2] - half, values[:, :2] + half), axis=1)

    def _scale(self, values: Floats, factor: float) -> Floats:
        size = np.maximum(values[:, [2, 3, 2, 3]], 1)
        return (factor * size) ** 2

    def begin(self, values: Floats) -> Variances:
        """Twice a measurement's deviation, and ten times a frame's for the speeds."""
        return self._scale(values, 2 * self.position), self._scale(values, 10 * self.speed)

    def step(self, values: Floats) -> Variances:
        """A little drift, and the speeds'."""
        return self._scale(values, self.position), self._scale(values, self.speed)

    def noise(self, values: Floats) -> Floats:
        """A measurement's."""
        return self._scale(values, self.position)

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

    def settled(self, values: Floats, speeds: Floats, lost: NDArray[np.bool_]) -> Floats:
        """(N, 4) speeds to go on with; ``lost`` (N,) says which were not found in the last frame."""
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

    def settled(self, values: Floats, speeds: Floats, lost: NDArray[np.bool_]) -> Floats:
        """A lost object's size stays as it is."""
        return np.where(lost[:, None] & [False, False, True, True], 0, speeds)

    def noise(self, values: Floats) -> Floats:
        """A measurement's."""
        return self._scale(values, self.position)


@dataclass(frozen=True)
class CentreArea:
    """Centre x, centre y, area, aspect ratio (width / height) that does not change.

    With the noise of SORT's published program (Bewley et al., "Simple Online and Realtime Tracking", ICIP
    2016, section 3.2), in pixels whatever the size of the object. OC-SORT follows the same numbers.
    """

    def measure(self, boxes: NDArray[np.floating]) -> Floats:
        """Centres, areas and aspect ratios of boxes."""
        b = np.asarray(boxes, dtype=np.float64)
        width, height = (b[:, 2:] - b[:, :2]).T
        ratio = width / np.maximum(height, 1e-6)
        return np.stack(((b[:, 0] + b[:, 2]) / 2, (b[:, 1] + b[:, 3]) / 2, width * height, ratio), axis=1)

    def boxes(self, values: Floats) -> Floats:
        """The boxes of centres, areas and aspect ratios."""
        area, ratio = np.maximum(values[:, 2], 0), np.maximum(values[:, 3], 1e-6)
        width = np.sqrt(area * ratio)
        half = np.stack((width, width / ratio), axis=1) / 2
        return np.concatenate((values[:, :2] - half, values[:, :2] + half), axis=1)

    def begin(self, values: Floats) -> Variances:
        """10 for the numbers, 10000 for the unknown speeds, of which the ratio has none."""
        return _rows(values, (10, 10, 10, 10)), _rows(values, (1e4, 1e4, 1e4, 0))

    def step(self, values: Floats) -> Variances:
        """1 for the numbers, 0.01 for the centre's speed, 0.0001 for the area's."""
        return _rows(values, (1, 1, 1, 1)), _rows(values, (0.01, 0.01, 0.0001, 0))

    def settled(self, values: Floats, speeds: Floats, lost: NDArray[np.bool_]) -> Floats:
        """An area that would shrink to nothing stays as it is."""
        vanishing = values[:, 2] + speeds[:, 2] <= 0
        return np.where(vanishing[:, None] & [False, False, True, False], 0, speeds)

    def noise(self, values: Floats) -> Floats:
        """1 for the centre, 10 for area and ratio."""
        return _rows(values, (1, 1, 10, 10))


@dataclass(frozen=True)
class CentreAspect:
    """Centre x, centre y, aspect ratio (width / height), height; noise in proportion to the height.

    As DeepSORT does (Wojke et al., "Simple Online and Realtime Tracking with a Deep Association Metric", ICIP
    2017, section 2.1) and, after it, ByteTrack.

    Attributes:
        position: standard deviation of a measured centre and of its drift per frame, in heights.
        speed: standard deviation of the speed's change per frame, in heights.
    """

    position: float = 1 / 20
    speed: float = 1 / 160

    def measure(self, boxes: NDArray[np.floating]) -> Floats:
        """Centres, aspect ratios and heights of boxes."""
        b = np.asarray(boxes, dtype=np.float64)
        width, height = (b[:, 2:] - b[:, :2]).T
        ratio = width / np.maximum(height, 1e-6)
        return np.stack(((b[:, 0] + b[:, 2]) / 2, (b[:, 1] + b[:, 3]) / 2, ratio, height), axis=1)

    def boxes(self, values: Floats) -> Floats:
        """The boxes of centres, aspect ratios and heights."""
        height = np.maximum(values[:, 3], 0)
        half = np.stack((np.maximum(values[:, 2], 0) * height, height), axis=1) / 2
        return np.concatenate((values[:, :2] - half, values[:, :2] + half), axis=1)

    def _deviations(self, values: Floats, factor: float, ratio: float) -> Floats:
        height = factor * np.maximum(values[:, 3], 1)
        return np.stack((height, height, np.full_like(height, ratio), height), axis=1) ** 2

    def begin(self, values: Floats) -> Variances:
        """Twice a measurement's deviation, and ten times a frame's for the speeds."""
        return (
            self._deviations(values, 2 * self.position, 1e-2),
            self._deviations(values, 10 * self.speed, 1e-5),
        )

    def step(self, values: Floats) -> Variances:
        """A little drift, and the speeds'."""
        return self._deviations(values, self.position, 1e-2), self._deviations(values, self.speed, 1e-5)

    def settled(self, values: Floats, speeds: Floats, lost: NDArray[np.bool_]) -> Floats:
        """A lost object's height stays as it is."""
        return np.where(lost[:, None] & [False, False, False, True], 0, speeds)

    def noise(self, values: Floats) -> Floats:
        """A measurement's; 0.1 for the ratio."""
        return self._deviations(values, self.position, 1e-1)


def _rows(values: Floats, row: tuple[float, ...]) -> Floats:
    return np.tile(np.array(row, dtype=np.float64), (len(values), 1))

"""The ground that a camera sees, and, where it rides on a car, the ground that stays where it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .ground import Ground
from .middles import middles

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Plane:
    """From pixels of a frame to metres.

    Attributes:
        ground: as the camera sees it.
        poses: (F, 3) x, y in metres and heading in radians of the camera's ground axes in each frame, on the
            ground that stays; None where the camera does.

    Raises:
        InputError: poses of another shape, or not finite.

    Example:
        >>> from .ground import Camera
        >>> ground = Ground.of_camera(Camera((1000, 1000), (639.5, 359.5), height=1.5))
        >>> ride = Plane(ground, np.array([[0, 0, 0], [5, 0, np.pi / 2]]))
        >>> post = ground.to_image([[15.0, 0.0]]).repeat(2, axis=0)  # always 15 m ahead
        >>> ride.places(post, np.array([0, 1])).round(2).tolist()
        [[15.0, 0.0], [5.0, 15.0]]
    """

    ground: Ground
    poses: Floats | None = None

    def __post_init__(self) -> None:
        poses = self.poses
        if poses is not None and (poses.ndim != 2 or poses.shape[1] != 3 or not np.isfinite(poses).all()):
            raise InputError(
                f"poses: expected finite x, y and heading of each frame, got an array of shape {poses.shape}"
            )

    def check(self, frames: int) -> None:
        """Refuses poses of another film.

        Raises:
            InputError: not one for each frame.
        """
        if self.poses is not None and len(self.poses) != frames:
            raise InputError(f"poses: expected one for each of {frames} frames, got {len(self.poses)}")

    def places(self, foot: Floats, frame: Ints) -> Floats:
        """(N, 2) pixels of frames (N,) to (N, 2) metres; NaN above the horizon."""
        return self._out(self.ground.to_ground(foot), frame)

    def covariance(self, foot: Floats, spread: Floats, frame: Ints) -> Floats:
        """(N, 2, 2) square metres that standard deviations (N, 2) of pixels mean there."""
        found = self.ground.covariance(foot, spread)
        if self.poses is None:
            return found
        turn = _turn(self.poses[frame, 2])
        return turn @ found @ turn.transpose(0, 2, 1)

    def middles(self, foot: Floats, heading: Floats, size: Floats, frame: Ints) -> Floats:
        """Middles of footprints; see :func:`delineate.tracking.middles.middles`."""
        own = heading if self.poses is None else heading - self.poses[frame, 2]
        return self._out(middles(self.ground, foot, own, size), frame)

    def _out(self, places: Floats, frame: Ints) -> Floats:
        if self.poses is None:
            return places
        moved = (_turn(self.poses[frame, 2]) @ places[..., None])[..., 0]
        return moved + self.poses[frame, :2]


def _turn(angle: Floats) -> Floats:
    """(N, 2, 2) rotations."""
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c, -s, s, c], axis=-1).reshape(-1, 2, 2)

"""From pixels to millimetres on a plane: the scale of a photograph, straight or tilted, and how sure it is.

A homography carries the image to the plane on which the marker lies (Hartley and Zisserman, "Multiple View
Geometry", 2nd edition, 2004, section 2.3). Things that stand above the plane look larger than they are, by
their height over the camera's distance; lenses are taken to have no distortion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from delineate.core.errors import InputError

Floats = NDArray[np.float64]
HAND_HELD = 5.0
"""Degrees by which a picture that is meant to be straight on may be tilted, one standard deviation."""


@dataclass(frozen=True, eq=False)
class PlaneScale:
    """Where an image's pixels lie on a plane, in millimetres.

    Attributes:
        homography: (3, 3) float64, from image pixels (x, y; corners of the image at 0, 0 and width, height)
            to millimetres.
        source: who says so, for tables.
        relative_error: one standard deviation of any length, as a part of it, the same everywhere: of a
            number that was given, or of the marker's own size.
        samples: (K, 3, 3) homographies that the marker's edges would allow too, or None: their spread is the
            error that grows with the distance from the marker.
        note: what is in doubt, or empty.

    Raises:
        InputError: a homography that maps nothing, or a negative error.
    """

    homography: Floats
    source: str
    relative_error: float = 0.0
    samples: Floats | None = None
    note: str = ""

    def __post_init__(self) -> None:
        matrix = np.asarray(self.homography, np.float64)
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-15:
            raise InputError(
                "scale: expected a 3 x 3 homography that can be inverted, got another; give better points"
            )
        if not (math.isfinite(self.relative_error) and self.relative_error >= 0):
            raise InputError(
                f"scale: expected an error of 0 or more, got {self.relative_error}; give a part such as 0.01"
            )
        object.__setattr__(self, "homography", matrix)

    @classmethod
    def of_pixel(cls, mm_per_pixel: float, source: str = "given", relative_error: float = 0.0) -> PlaneScale:
        """The same scale everywhere.

        Example:
            >>> PlaneScale.of_pixel(0.5).to_mm([[4, 2]]).tolist()
            [[2.0, 1.0]]
        """
        if not (math.isfinite(mm_per_pixel) and mm_per_pixel > 0):
            raise InputError(
                f"scale: expected a positive number of millimetres per pixel, got {mm_per_pixel}; correct it"
            )
        return cls(np.diag([mm_per_pixel, mm_per_pixel, 1.0]), source, relative_error)

    @classmethod
    def of_camera(
        cls,
        size: tuple[int, int],
        height: float,
        focal: float,
        tilt: float = 0.0,
        relative_error: float = 0.0,
    ) -> PlaneScale:
        """A pinhole camera above a plane.

        Args:
            size: (height, width) of the image; its middle is the principal point.
            height: of the lens above the plane, mm.
            focal: focal length in pixels.
            tilt: degrees from straight down; the picture's upper edge looks further away.
            relative_error: of the height, as a part of it.

        Raises:
            InputError: a length that is not positive, or a plane that rises to the horizon in the picture.

        Example:
            >>> camera = PlaneScale.of_camera((100, 200), 1000, 500)
            >>> camera.mm_per_pixel([[100, 50], [0, 0]]).round(6).tolist()
            [2.0, 2.0]
        """
        if not (height > 0 and focal > 0 and abs(tilt) < 90):
            raise InputError(
                f"camera: expected a height and a focal length above 0 and a tilt below 90 degrees, got "
                f"{height:g} mm, {focal:g} px, {tilt:g}; correct them"
            )
        c, s = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
        lens = np.array([[focal, 0, size[1] / 2], [0, focal, size[0] / 2], [0, 0, 1.0]])
        plane = lens @ np.array([[1, 0, 0], [0, c, s * height], [0, -s, c * height]])
        scale = cls(
            np.linalg.inv(plane), f"camera {height:g} mm above, focal length {focal:g} px", relative_error
        )
        scale.check_view(size)
        return scale

    def check_view(self, size: tuple[int, int]) -> None:
        """Refuse a plane whose horizon crosses the image of ``size`` (height, width).

        Raises:
            InputError: it does.
        """
        corners = np.array([[0, 0], [size[1], 0], [size[1], size[0]], [0, size[0]]], np.float64)
        depth = corners @ self.homography[2, :2] + self.homography[2, 2]
        if not ((depth > 0).all() or (depth < 0).all()):
            raise InputError(
                f"{self.source}: expected a plane that fills the picture, got its horizon inside; tilt the "
                "camera less, or use a larger marker"
            )

    def to_mm(self, points: ArrayLike) -> Floats:
        """(N, 2) pixels x, y as (N, 2) millimetres on the plane."""
        return transformed(self.homography, points)

    def mm_per_pixel(self, points: ArrayLike) -> Floats:
        """(N,) side of a square with the area that a pixel has on the plane, at pixels (N, 2)."""
        return local_scale(self.homography, points)

    def error_at(self, points: ArrayLike) -> Floats:
        """(N,) one standard deviation of a length at pixels (N, 2), as a part of it."""
        places = np.asarray(points, np.float64).reshape(-1, 2)
        error = np.full(len(places), self.relative_error**2)
        if self.samples is not None and len(places):
            logs = np.log(np.stack([local_scale(one, places) for one in self.samples]))
            error += logs.var(axis=0)
        return np.asarray(np.sqrt(error), np.float64)


def tilted_by(homography: Floats, anchor: ArrayLike, slopes: ArrayLike) -> Floats:
    """(K, 3, 3) the same plane at one place, but tilted: lengths there stay, and change away from it.

    Over a tilted plane the distance from the camera, and so the millimetres of a pixel, goes as 1 / (1 - p u)
    at u pixels from the anchor, p = tan(tilt) / focal length along the tilt.

    Args:
        homography: (3, 3) affine, from pixels to mm.
        anchor: pixel x, y whose scale is known.
        slopes: (K, 2) p of each, in x and y.
    """
    place = np.asarray(anchor, np.float64)
    back = np.eye(3)
    back[:2, 2] = -place
    moved = homography @ np.linalg.inv(back)
    zero = moved[:2, 2].copy()
    made = []
    for slope in np.asarray(slopes, np.float64).reshape(-1, 2):
        lifted = np.eye(3)
        lifted[:2, :2] = moved[:2, :2]
        lifted[2, :2] = -slope
        shift = np.eye(3)
        shift[:2, 2] = zero
        made.append(shift @ lifted @ back)
    return np.stack(made)


def transformed(homography: Floats, points: ArrayLike) -> Floats:
    """(N, 2) points through a (3, 3) homography."""
    places = np.asarray(points, np.float64).reshape(-1, 2)
    lifted = places @ homography[:, :2].T + homography[:, 2]
    return np.asarray(lifted[:, :2] / lifted[:, 2:], np.float64)


def local_scale(homography: Floats, points: ArrayLike) -> Floats:
    """(N,) square root of how much a small area at the points grows: of the homography's Jacobian.

    The determinant of the Jacobian of a homography H at (x, y) is det H / w^3, w = (H (x, y, 1))_3.
    """
    places = np.asarray(points, np.float64).reshape(-1, 2)
    depth = places @ homography[2, :2] + homography[2, 2]
    return np.asarray(np.sqrt(np.abs(np.linalg.det(homography) / depth**3)), np.float64)


__all__ = ["HAND_HELD", "PlaneScale", "local_scale", "tilted_by", "transformed"]

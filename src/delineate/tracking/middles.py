"""From the point where an object touches the ground nearest to the camera to the middle of its footprint.

The lowest pixel of a car is its near bumper, half a car from its middle, and which bumper, or side, changes
as it turns. The footprint is a rectangle along the heading; on flat ground lines of one image row are
straight, so how deep the rectangle reaches away from the camera, from its nearest corner to its middle, is
half its length and width as the heading shows them across those rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .ground import Ground

Floats = NDArray[np.float64]


def middles(ground: Ground, foot: Floats, heading: Floats, size: Floats) -> Floats:
    """The middles of footprints.

    Args:
        ground: the plane.
        foot: (N, 2) pixels: the middle of the object across, its lowest point down.
        heading: (N,) radians; NaN where it is not known, which counts as one of any.
        size: (N, 2) length and width in metres.

    Returns:
        (N, 2) metres; NaN above the horizon.

    Example:
        >>> from delineate.tracking.ground import Camera
        >>> ground = Ground.of_camera(Camera((1000, 1000), (639.5, 359.5), height=2))
        >>> bumper = ground.to_image([[20.0, 0.0]])  # of a car that drives ahead
        >>> middles(ground, bumper, np.zeros(1), np.array([[4.4, 1.8]])).round(3).tolist()
        [[22.2, 0.0]]
    """
    place, slope = ground.to_ground(foot), ground.jacobian(foot)
    column = -slope[:, :, 1]  # metres for a pixel upwards
    with np.errstate(invalid="ignore", divide="ignore"):
        determinant = slope[:, 0, 0] * slope[:, 1, 1] - slope[:, 0, 1] * slope[:, 1, 0]
        away = np.stack([slope[:, 1, 0], -slope[:, 0, 0]], axis=1) / determinant[:, None]  # less rows a metre
        away = away / np.linalg.norm(away, axis=1, keepdims=True)
        along = np.abs(away[:, 0] * np.cos(heading) + away[:, 1] * np.sin(heading))
        aside = np.abs(away[:, 1] * np.cos(heading) - away[:, 0] * np.sin(heading))
        deep = (size[:, 0] * along + size[:, 1] * aside) / 2
        deep = np.where(np.isfinite(heading), deep, size.sum(axis=1) / 4)
        found: Floats = place + column * (deep / (column * away).sum(axis=1))[:, None]
    return found

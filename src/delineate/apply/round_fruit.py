"""Round fruit on the plane of the scale: their radius from their outline, the camera's pose and focal length.

A ball of radius r is seen as a circular cone of rays of half angle a around the direction u to its middle:
sin a = r / s at the distance s. It rests on the plane, to which the camera stands at the height d, so its
middle lies r above it: s cos b = d - r, b the angle of u against the plumb line. Both together give

    r = d sin a / (sin a + cos b).

Height and plumb line come from the homography of the plane, which is lens times pose (Zhang, "A flexible new
technique for camera calibration", 2000); so does the focal length, where the plane is seen tilted. The
principal point is taken to be the picture's middle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .plane_scale import PlaneScale, transformed

Floats = NDArray[np.float64]
HEIGHT = 0.1
"""One standard deviation of a round fruit's height over its width, around 1."""
ASSUMED = 0.35
"""One standard deviation of the logarithm of a focal length that nothing tells: from a phone's wide lens to a
portrait lens, around the picture's longer side."""
TURNS = 4  # until the middle of an outline and the axis of its cone agree, to far below a pixel


@dataclass(frozen=True)
class Lens:
    """A camera's focal length.

    Attributes:
        focal: in pixels.
        error: one standard deviation of its logarithm.
        source: who says so.

    Raises:
        InputError: a focal length that is not positive.
    """

    focal: float
    error: float = 0.0
    source: str = "given"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.focal) and self.focal > 0 and self.error >= 0):
            raise InputError(
                f"focal length: expected pixels above 0, got {self.focal:g}; a phone's is about the "
                "picture's longer side"
            )


@dataclass(frozen=True, eq=False)
class Balls:
    """What N outlines are as round fruit on a plane.

    Attributes:
        radius: (N,) mm.
        homographies: (N, 3, 3) from pixels to mm, across the line of sight, where a ball is a disk of its
            own radius.
        feet: (N, 2) pixels where they touch the plane.
        error: (N,) one standard deviation of a length, as a part of it: scale, focal length and height.
    """

    radius: Floats
    homographies: Floats
    feet: Floats
    error: Floats


def tilt_focal(scale: PlaneScale, size: tuple[int, int]) -> Lens | None:
    """The focal length that a tilted plane's homography tells; None where it does not.

    The plane's two axes are at right angles and equally long in space, which are two equations for the
    square of the focal length; its error is the spread over ``scale.samples``.

    Args:
        scale: of the plane, with samples.
        size: (height, width) of the image.
    """
    if scale.samples is None:
        return None
    focals = _focals(np.concatenate([scale.homography[None], scale.samples]), size)
    if np.isnan(focals[0]) or np.isnan(focals).mean() > 0.05:
        return None
    logs = np.log(focals[~np.isnan(focals)])
    return Lens(float(focals[0]), float(1.4826 * np.median(np.abs(logs - logs[0]))), "from the tilt")


def _focals(homographies: Floats, size: tuple[int, int]) -> Floats:
    """(K,) focal lengths of (K, 3, 3), pixels to mm; NaN where there is none."""
    back = np.array([[1, 0, -size[1] / 2], [0, 1, -size[0] / 2], [0, 0, 1.0]])
    a, b = np.moveaxis((back @ np.linalg.inv(homographies))[:, :, :2], 2, 0)
    # (a . b)_xy + f^2 a_z b_z = 0 and (a . a - b . b)_xy + f^2 (a_z^2 - b_z^2) = 0, least squares
    left = np.stack([a[:, 2] * b[:, 2], (a[:, 2] ** 2 - b[:, 2] ** 2) / 2], axis=1)
    right = np.stack([(a * b)[:, :2].sum(axis=1), (a**2 - b**2)[:, :2].sum(axis=1) / 2], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        square = -(left * right).sum(axis=1) / (left**2).sum(axis=1)
        return np.asarray(np.sqrt(np.where(np.isfinite(square) & (square > 0), square, np.nan)))


def likely_lens(scale: PlaneScale, size: tuple[int, int]) -> Lens:
    """The focal length by the tilt of the plane and by what cameras have, each by its certainty.

    Args:
        scale: of the plane.
        size: (height, width) of the image.
    """
    longer = float(max(size))
    seen = tilt_focal(scale, size)
    if seen is None or seen.error >= 2 * ASSUMED:
        return Lens(longer, ASSUMED, "assumed: the picture's longer side")
    weight = 1 / max(seen.error, 1e-3) ** 2
    total = weight + 1 / ASSUMED**2
    focal = math.exp((math.log(seen.focal) * weight + math.log(longer) / ASSUMED**2) / total)
    return Lens(focal, total**-0.5, seen.source)


def balls(rings: list[Floats], size: tuple[int, int], scale: PlaneScale, lens: Lens) -> Balls:
    """Outlines as round fruit that rest on the plane of the scale.

    Args:
        rings: N outlines (K, 2) in pixels.
        size: (height, width) of the image.
        scale: of the plane.
        lens: of the camera.
    """
    axis, sine = _cones(rings, size, lens.focal)
    normal, height = _poses(scale.homography[None], size, lens.focal)
    cosine = -(axis @ normal[0])
    radius = height[0] * sine / (sine + cosine)
    across = radius / sine
    error = np.full(len(rings), scale.relative_error**2)
    error += (HEIGHT * sine / (sine + cosine)) ** 2  # of a middle that lies higher or lower
    if scale.samples is not None:
        normals, heights = _poses(scale.samples, size, lens.focal)
        others = heights[:, None] * sine / (sine - normals @ axis.T)
        error += (np.log(others / radius) ** 2).mean(axis=0)
    if lens.error > 0:
        bare = replace(scale, samples=None, relative_error=0.0)
        near, far = (
            balls(rings, size, bare, Lens(lens.focal * math.exp(sign * lens.error))).radius
            for sign in (-1, 1)
        )
        error += (np.log(far / near) / 2) ** 2
    back = _rays(size, lens.focal)
    made = np.stack([_frame(u) for u in axis]) if len(axis) else np.zeros((0, 3, 3))
    made[:, :2] *= (across * np.sqrt(1 - sine**2))[:, None, None]
    feet = across[:, None] * axis - radius[:, None] * normal[0]
    seen = feet @ np.linalg.inv(back).T
    return Balls(radius, made @ back, seen[:, :2] / seen[:, 2:], np.sqrt(error))


def _rays(size: tuple[int, int], focal: float) -> Floats:
    """(3, 3) from pixels to directions, the camera looking along the third axis."""
    return np.array([[1 / focal, 0, -size[1] / 2 / focal], [0, 1 / focal, -size[0] / 2 / focal], [0, 0, 1.0]])


def _frame(axis: Floats) -> Floats:
    """(3, 3) rows: two directions across a unit vector, and itself."""
    first = np.cross([0.0, 1.0, 0.0], axis)
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(axis, first), axis])


def _cones(rings: list[Floats], size: tuple[int, int], focal: float) -> tuple[Floats, Floats]:
    """(N, 3) axes and (N,) sines of the half angles of the circular cones as large as the outlines."""
    back = _rays(size, focal)
    axes, sines = np.empty((len(rings), 3)), np.empty(len(rings))
    for k, ring in enumerate(rings):
        axis = np.append(transformed(back, [ring.mean(axis=0)])[0], 1.0)
        axis /= np.linalg.norm(axis)
        for _ in range(TURNS):
            frame = _frame(axis)
            area, middle = _area(transformed(frame @ back, ring))
            axis = np.append(middle, 1.0) @ frame
            axis /= np.linalg.norm(axis)
        axes[k], sines[k] = axis, math.sqrt(area / (area + math.pi))  # tan^2 = area / pi
    return axes, sines


def _area(ring: Floats) -> tuple[float, Floats]:
    """Area and centroid of a polygon (K, 2)."""
    origin = ring.mean(axis=0)
    here = ring - origin
    ahead = np.roll(here, -1, axis=0)
    cross = here[:, 0] * ahead[:, 1] - ahead[:, 0] * here[:, 1]
    total = cross.sum() / 2
    return abs(float(total)), origin + ((here + ahead) * cross[:, None]).sum(axis=0) / (6 * total)


def _poses(homographies: Floats, size: tuple[int, int], focal: float) -> tuple[Floats, Floats]:
    """(K, 3) plumb lines towards the camera, and (K,) its heights in mm, of (K, 3, 3) pixels to mm.

    A plane that is known by an affine map alone is taken to face the camera, at the distance that its less
    foreshortened direction tells.
    """
    poses = _rays(size, focal) @ np.linalg.inv(homographies)
    first, second, place = np.moveaxis(poses, 2, 0)
    long, short = np.moveaxis(np.linalg.svd(poses[:, :, :2], compute_uv=False), 1, 0)
    level = np.abs(homographies[:, 2, :2]).max(axis=1) < 1e-12 * np.abs(homographies[:, 2, 2])
    unit = np.where(level, long, np.sqrt(long * short))
    normal = np.cross(first, second)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    height = -(normal * place).sum(axis=1) / unit
    return normal * np.sign(height)[:, None], np.abs(height)


def outer_rings(polygons: list[Any]) -> list[Floats]:
    """The outer outlines of objects' polygons: of each the largest ring, (K, 2)."""
    made = []
    for parts in polygons:
        outer = [np.asarray(part.rings[0], np.float64) for part in parts if len(part.rings)]
        made.append(max(outer, key=lambda ring: _area(ring)[0]))
    return made


__all__ = ["ASSUMED", "HEIGHT", "Balls", "Lens", "balls", "likely_lens", "outer_rings", "tilt_focal"]

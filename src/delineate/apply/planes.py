"""Flat surfaces in a cloud of points: random samples (RANSAC), then least squares over what fits.

M. A. Fischler, R. C. Bolles: Random sample consensus. Communications of the ACM 24, 1981.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TRIALS = 200
FACING = 0.7
"""Cosine of the angle within which a plane is taken for the support."""
SAMPLE = 4000
"""A plane is looked for among so many points, drawn evenly; all of them are tried against it."""


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane ``normal . p + offset = 0`` in the camera's frame.

    Attributes:
        normal: (3,) unit vector on the camera's side.
        offset: metres; the camera's own distance from the plane.
        support: share of the points that lie on it, 0..1.
    """

    normal: Floats
    offset: float
    support: float = 1.0

    def height(self, points: NDArray[np.floating]) -> Floats:
        """(...,) metres of points (..., 3) above the plane, towards the camera."""
        return np.asarray(points @ self.normal + self.offset, np.float64)


def fit_plane(points: NDArray[np.floating]) -> Plane | None:
    """The least-squares plane of points (N, 3) without NaN; None for fewer than three or a line."""
    if len(points) < 3:
        return None
    cloud = points.astype(np.float64)
    middle = cloud.mean(axis=0)
    spread, axes = np.linalg.eigh(np.cov((cloud - middle).T, bias=True))
    if spread[1] < 1e-12:
        return None
    return _facing(axes[:, 0], middle, 1.0)


def _facing(normal: Floats, through: Floats, support: float) -> Plane:
    offset = -float(normal @ through)
    return Plane(-normal, -offset, support) if offset < 0 else Plane(normal.copy(), offset, support)


def find_plane(points: NDArray[np.floating], tolerance: float = 0.006, seed: int = 0) -> Plane | None:
    """The plane that most of the points (N, 3) lie on.

    Args:
        points: without NaN.
        tolerance: metres from the plane that still count.
        seed: the same seed gives the same plane.

    Returns:
        None for fewer than 50 points, or where no plane holds 50 of them.
    """
    if len(points) < 50:
        return None
    rng = np.random.default_rng(seed)
    some = points[rng.choice(len(points), SAMPLE, replace=False)] if len(points) > SAMPLE else points
    some = some.astype(np.float64)
    corners = some[rng.integers(0, len(some), (TRIALS, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1)
    normals, corners = normals[length > 1e-9], corners[length > 1e-9]
    if not len(normals):
        return None
    normals /= length[length > 1e-9, None]
    offsets = -np.einsum("nk,nk->n", normals, corners[:, 0])
    votes = (np.abs(some @ normals.T + offsets) < tolerance).sum(axis=0)
    best = int(votes.argmax())
    normal, offset = normals[best], offsets[best]
    for _ in range(3):
        inside = np.abs(some @ normal + offset) < tolerance
        fitted = fit_plane(some[inside])
        if fitted is None:
            return None
        normal, offset = fitted.normal, fitted.offset
    share = float((np.abs(points @ normal + offset) < tolerance).mean())
    return Plane(normal, offset, share) if share * len(points) >= 50 else None


def find_planes(
    points: NDArray[np.floating], most: int = 4, least: float = 0.05, tolerance: float = 0.006, seed: int = 0
) -> list[Plane]:
    """Planes one after another, each among the points that those before it left.

    Args:
        points: (N, 3) without NaN.
        most: at most so many.
        least: stop at a plane that holds a smaller share of all points.
        tolerance: metres.
        seed: as for :func:`find_plane`.

    Returns:
        In the order found; ``support`` is the share of all points.
    """
    found: list[Plane] = []
    left = points
    while len(found) < most:
        plane = find_plane(left, tolerance, seed + len(found))
        if plane is None:
            break
        on = np.abs(plane.height(left)) < tolerance
        share = float(on.sum()) / len(points)
        if share < least:
            break
        found.append(Plane(plane.normal, plane.offset, share))
        left = left[~on]
    return found


def support_of(
    planes: list[Plane],
    objects: list[NDArray[np.floating]],
    up: Floats | None = None,
    tolerance: float = 0.01,
) -> Plane | None:
    """The plane that objects stand on: none of them is behind it and it is nearest below most of them.

    Args:
        planes: what was found in the background.
        objects: points of each object.
        up: (3,) its normal as far as it is known; None: it faces the camera, as from above a bin. The walls
            of a shelf, seen from the front, do not.
        tolerance: metres that points may lie behind it.

    Returns:
        None where no plane of that direction has all but a twentieth of the objects' points on the camera's
        side.
    """
    clouds = [cloud for cloud in objects if len(cloud)]
    if not clouds or not planes:
        return None
    wanted = np.array([0, 0, -1.0]) if up is None else up / np.linalg.norm(up)
    best, score = None, 0.0
    for plane in planes:
        if plane.normal @ wanted < FACING:
            continue
        heights = [plane.height(cloud) for cloud in clouds]
        if np.mean(np.concatenate(heights) > -tolerance) < 0.95:
            continue
        gaps = np.array([max(0.0, float(np.percentile(h, 2))) for h in heights])
        mine = plane.support * float(np.exp(-gaps / 0.05).mean())
        if mine > score:
            best, score = plane, mine
    return best


__all__ = ["Plane", "find_plane", "find_planes", "fit_plane", "support_of"]

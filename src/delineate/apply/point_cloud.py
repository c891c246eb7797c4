"""From a depth image to points in the camera's frame: metres, x right, y down, z forward (as OpenCV has it).

A depth is the distance along z, not along the ray. A pixel without depth is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from delineate.core.errors import InputError

Floats = NDArray[np.float64]
Single = NDArray[np.float32]
GAP = 0.02
"""Metres: a larger step of depth between the points of one mask parts an object from what shows behind it."""


def check_frame(depth: ArrayLike, camera: ArrayLike) -> tuple[Single, Floats]:
    """The depth as (H, W) float32 metres with NaN for none, and the camera's matrix as (3, 3).

    Raises:
        InputError: another shape, a matrix that is no pinhole's, or no depth at all.
    """
    metres = np.array(depth, dtype=np.float32)
    matrix = np.asarray(camera, dtype=np.float64)
    if metres.ndim != 2:
        raise InputError(f"depth: expected (H, W) metres, got {metres.shape}; give one channel")
    good = matrix.shape == (3, 3) and np.isfinite(matrix).all() and min(matrix[0, 0], matrix[1, 1]) > 0
    if not good or not np.allclose(matrix[2], (0, 0, 1)):
        raise InputError(
            "camera: expected intrinsics [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in pixels, got "
            f"{matrix.tolist() if matrix.size <= 9 else matrix.shape}; calibrate the camera"
        )
    metres[~(np.isfinite(metres) & (metres > 0))] = np.nan
    if np.isnan(metres).all():
        raise InputError("depth: expected some pixels with a depth above 0, got none; check the file")
    return metres, matrix


def back_project(depth: Single, camera: Floats) -> Single:
    """(H, W, 3) points in metres; NaN where there is no depth.

    Example:
        >>> back_project(np.full((1, 2), 2.0, np.float32), np.diag([1.0, 1.0, 1.0]))[0].tolist()
        [[0.0, 0.0, 2.0], [2.0, 0.0, 2.0]]
    """
    height, width = depth.shape
    x = (np.arange(width, dtype=np.float32) - np.float32(camera[0, 2])) / np.float32(camera[0, 0])
    y = (np.arange(height, dtype=np.float32) - np.float32(camera[1, 2])) / np.float32(camera[1, 1])
    return np.dstack([x[None] * depth, y[:, None] * depth, depth])


def project(points: NDArray[np.floating], camera: Floats) -> Floats:
    """(..., 2) pixels (u, v) of points (..., 3); NaN behind the camera."""
    z = np.where(points[..., 2] > 1e-6, points[..., 2], np.nan)
    u = points[..., 0] / z * camera[0, 0] + camera[0, 2]
    v = points[..., 1] / z * camera[1, 1] + camera[1, 2]
    return np.stack([u, v], axis=-1)


def smoothed(depth: Single, owner: NDArray[np.int32], reach: int = 2, step: float = 0.01) -> Single:
    """The depth averaged over neighbours of the same object whose depths differ little; small holes close.

    Args:
        depth: (H, W) metres, NaN for none.
        owner: (H, W) the object of each pixel; nothing is averaged across objects.
        reach: pixels to each side.
        step: metres; a neighbour that differs more is another surface.

    Returns:
        (H, W) metres. A hole is filled where at least three neighbours lie within ``step`` of each other.
    """
    size = 2 * reach + 1
    valid = np.isfinite(depth)
    filled = np.where(valid, depth, np.float32(0))
    total, count = np.zeros_like(filled), np.zeros_like(filled)
    middle = np.where(valid, depth, _nearest(filled, valid, reach))
    pad = [np.pad(a, reach, constant_values=c) for a, c in ((filled, 0), (valid, False), (owner, -1))]
    height, width = depth.shape
    for dy in range(size):
        for dx in range(size):
            near, there, who = (a[dy : dy + height, dx : dx + width] for a in pad)
            with np.errstate(invalid="ignore"):
                use = there & (who == owner) & (np.abs(near - middle) < step)
            total += np.where(use, near, np.float32(0))
            count += use
    enough = count >= np.where(valid, 1, 3)
    return np.where(enough, total / np.maximum(count, 1), np.float32(np.nan)).astype(np.float32)


def _nearest(filled: Single, valid: NDArray[np.bool_], reach: int) -> Single:
    """The nearest depth in reach of each hole; NaN where there is none."""
    far = np.where(valid, filled, np.float32(1e6))
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    nearest = cv2.erode(far, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=(1e6,))
    return np.where(nearest < 1e5, nearest, np.nan).astype(np.float32)


def main_part(depths: Single, gap: float = GAP) -> NDArray[np.bool_]:
    """Which of the depths (N,) of a mask belong to its object: the largest group without a gap between.

    A mask's rim often lies on what is behind the object; those points are a group of their own.

    Example:
        >>> main_part(np.array([0.50, 0.51, 0.52, 0.70], np.float32)).tolist()
        [True, True, True, False]
    """
    if not len(depths):
        return np.zeros(0, np.bool_)
    order = np.argsort(depths, kind="stable")
    group = np.concatenate([[0], np.cumsum(np.diff(depths[order]) > gap)])
    largest = int(np.bincount(group).argmax())
    found = np.zeros(len(depths), np.bool_)
    found[order] = group == largest
    return found


@dataclass(frozen=True, eq=False)
class Box:
    """An oriented box.

    Attributes:
        pose: (4, 4) from the box's frame (origin in its middle) to the camera's.
        extent: (3,) lengths along its own axes in metres, longest first.
    """

    pose: Floats
    extent: Floats


def oriented_box(points: NDArray[np.floating], up: Floats | None = None) -> Box | None:
    """The smallest box with ``up`` as an axis around points (N, 3), but the outer hundredth to each side.

    Args:
        points: of the visible surface; what is hidden is not guessed.
        up: unit vector; None takes the direction in which the points spread least.

    Returns:
        None for fewer than four points.
    """
    if len(points) < 4:
        return None
    cloud = points.astype(np.float64)
    middle = cloud.mean(axis=0)
    if up is None:
        up = np.linalg.svd(cloud - middle, full_matrices=False)[2][2]
    first, second = perpendicular(up)
    flat = np.column_stack([(cloud - middle) @ first, (cloud - middle) @ second]).astype(np.float32)
    (_, _), (_, _), turn = cv2.minAreaRect(flat)
    turn = np.radians(turn)
    x = np.cos(turn) * first + np.sin(turn) * second
    axes = np.stack([x, np.cross(up, x), up])
    along = (cloud - middle) @ axes.T
    low, high = np.percentile(along, (1, 99), axis=0)
    order = np.argsort(low - high, kind="stable")
    turned = axes[order]
    if np.linalg.det(turned) < 0:
        turned[2] = -turned[2]
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turned.T, middle + ((low + high) / 2) @ axes
    return Box(pose, (high - low)[order])


def perpendicular(direction: Floats) -> tuple[Floats, Floats]:
    """Two unit vectors that make a right-handed frame with each direction (..., 3) as third.

    The first is near the camera's x, or its y where the direction itself is near x.
    """
    near_x = np.abs(direction[..., :1]) > 0.9
    start = np.where(near_x, np.array([0.0, 1, 0]), np.array([1.0, 0, 0]))
    first = start - direction * (start * direction).sum(axis=-1, keepdims=True)
    first = first / np.linalg.norm(first, axis=-1, keepdims=True)
    return first, np.cross(direction, first)


def local_planes(
    cloud: NDArray[np.floating], places: Floats, radius: float, most: int = 1200
) -> tuple[Floats, Floats, Floats]:
    """The plane through the points of a cloud around each place.

    Args:
        cloud: (N, 3) points of one surface.
        places: (P, 3).
        radius: metres around a place that count.
        most: the cloud is thinned to so many points.

    Returns:
        (P, 3) unit normals towards the camera, NaN for fewer than eight points; (P, 3) means of the points;
        (P, 2) their variance across the plane and the smaller one along it.
    """
    some = cloud[:: max(1, len(cloud) // most)].astype(np.float64)
    middle = some.mean(axis=0)
    some = some - middle
    square = (
        ((places - middle) ** 2).sum(axis=1)[:, None] + (some**2).sum(axis=1) - 2 * (places - middle) @ some.T
    )
    near = (square < radius**2).astype(np.float64)
    count = near.sum(axis=1)
    weight = near / np.maximum(count, 1)[:, None]
    mean = weight @ some
    products = (some[:, :, None] * some[:, None, :]).reshape(-1, 9)
    spread = (weight @ products).reshape(-1, 3, 3) - mean[:, :, None] * mean[:, None, :]
    sizes, axes = np.linalg.eigh(spread)
    normal = axes[:, :, 0]
    normal = np.where((normal * places).sum(axis=1, keepdims=True) > 0, -normal, normal)
    normal[count < 8] = np.nan
    return normal, mean + middle, sizes[:, :2]


__all__ = [
    "Box",
    "back_project",
    "check_frame",
    "local_planes",
    "main_part",
    "oriented_box",
    "perpendicular",
    "project",
    "smoothed",
]

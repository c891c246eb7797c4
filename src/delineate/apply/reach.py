"""Whether a gripper has room: its volume against the points that are seen, and against what they hide."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .point_cloud import project
from .scene_cloud import SceneCloud

Floats = NDArray[np.float64]
MARGIN = 0.002
"""Metres that points keep off a volume: the noise of a good camera."""
BEHIND = 0.004
"""Metres behind a seen surface from which on a place counts as hidden."""
FEW = 2
"""So many stray points are forgiven."""
NEAR = 6000
"""At most so many points around the object are tried, drawn evenly."""


def near_points(scene: SceneCloud, center: Floats, reach: float) -> Floats:
    """The points (P, 3) of every second row and column within ``reach`` metres of ``center`` on each axis."""
    points = scene.points[::2, ::2].reshape(-1, 3)
    close = np.ones(len(points), np.bool_)
    with np.errstate(invalid="ignore"):
        for axis in (2, 0, 1):
            close &= np.abs(points[:, axis] - np.float32(center[axis])) < reach
    some = points[close].astype(np.float64)
    return some[:: max(1, len(some) // NEAR)]


def struck(boxes: Floats, poses: Floats, points: Floats, margin: float = MARGIN) -> NDArray[np.int64]:
    """(C,) how many points lie in the volume of each of C poses.

    Args:
        boxes: (C, B, 2, 3) low and high corners of each pose's boxes, in the gripper's frame.
        poses: (C, 4, 4) from the gripper's frame to the points'.
        points: (P, 3).
        margin: the boxes are so much larger on all sides, metres.
    """
    found = np.zeros(len(poses), np.int64)
    for k, (pose, volume) in enumerate(zip(poses, boxes, strict=True)):
        x, y, z = ((points - pose[:3, 3]) @ pose[:3, :3]).T
        low, high = volume[:, 0] - margin, volume[:, 1] + margin
        (x0, y0, z0), (x1, y1, z1) = low.min(axis=0), high.max(axis=0)
        around = (x > x0) & (x < x1) & (y > y0) & (y < y1) & (z > z0) & (z < z1)
        x, y, z = x[around], y[around], z[around]
        inside = np.zeros(len(x), np.bool_)
        for (x0, y0, z0), (x1, y1, z1) in zip(low, high, strict=True):
            inside |= (x > x0) & (x < x1) & (y > y0) & (y < y1) & (z > z0) & (z < z1)
        found[k] = int(inside.sum())
    return found


def grid(low: Floats, high: Floats, counts: tuple[int, int, int]) -> Floats:
    """(..., X * Y * Z, 3) places evenly spread over boxes (..., 3), their faces included."""
    axes = [np.linspace(0, 1, count) for count in counts]
    unit = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    spread: Floats = low[..., None, :] + unit * (high - low)[..., None, :]
    return spread


def hidden(scene: SceneCloud, places: Floats, target: int) -> tuple[Floats, Floats]:
    """What share of places is behind seen surfaces: of others (or the support), and of the object itself.

    Args:
        scene: the frame.
        places: (C, S, 3) places of C candidates in the camera's frame.
        target: the object's index.

    Returns:
        (C,) and (C,), each 0..1. A place outside the picture or without depth counts as free.
    """
    height, width = scene.depth.shape
    at = np.rint(np.nan_to_num(project(places, scene.camera), nan=-1.0))
    u, v = at[..., 0], at[..., 1]
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    u, v = np.where(inside, u, 0).astype(np.int64), np.where(inside, v, 0).astype(np.int64)
    with np.errstate(invalid="ignore"):
        behind = inside & (places[..., 2] > scene.depth[v, u] + BEHIND)
    own = scene.owner[v, u] == target + 1
    return (behind & ~own).mean(axis=-1), (behind & own).mean(axis=-1)


__all__ = ["FEW", "grid", "hidden", "near_points", "struck"]

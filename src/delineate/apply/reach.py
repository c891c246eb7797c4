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


def near_points(scene: SceneCloud, center: Floats, reach: float) -> tuple[Floats, NDArray[np.int32]]:
    """The points (P, 3) within ``reach`` metres of ``center``, and whose they are (P,)."""
    step = 2
    points, owner = scene.points[::step, ::step], scene.owner[::step, ::step]
    with np.errstate(invalid="ignore"):
        close = (np.abs(points - center.astype(np.float32)) < reach).all(axis=2)
    some, whose = points[close].astype(np.float64), owner[close]
    every = max(1, len(some) // NEAR)
    return some[::every], whose[::every]


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
        local = (points - pose[:3, 3]) @ pose[:3, :3]
        low, high = volume[:, 0] - margin, volume[:, 1] + margin
        around = ((local > low.min(axis=0)) & (local < high.max(axis=0))).all(axis=1)
        near = local[around]
        inside = ((near[:, None] > low) & (near[:, None] < high)).all(axis=2).any(axis=1)
        found[k] = int(inside.sum())
    return found


def grid(low: Floats, high: Floats, counts: tuple[int, int, int]) -> Floats:
    """(X * Y * Z, 3) places evenly spread over a box, its faces included."""
    axes = [np.linspace(low[k], high[k], counts[k]) for k in range(3)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


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
    with np.errstate(invalid="ignore"):
        at = np.nan_to_num(np.rint(project(places, scene.camera)), nan=-1.0)
    inside = ((at >= 0) & (at < (width, height))).all(axis=-1)
    u = np.where(inside, at[..., 0], 0).astype(np.int64)
    v = np.where(inside, at[..., 1], 0).astype(np.int64)
    with np.errstate(invalid="ignore"):
        behind = inside & (places[..., 2] > scene.depth[v, u] + BEHIND)
    own = scene.owner[v, u] == target + 1
    return (behind & ~own).mean(axis=-1), (behind & own).mean(axis=-1)


__all__ = ["FEW", "grid", "hidden", "near_points", "struck"]

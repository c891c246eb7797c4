"""An object's outline in space: where fingers may touch it, and which way its surface looks there."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .point_cloud import local_planes
from .scene_cloud import SceneCloud

Floats = NDArray[np.float64]
OUTLINE = 72
"""Points taken of an outline."""
HALF = 0.5
"""Pixels from the middle of the last pixel of an object to its edge."""
INSIDE = 1.5
"""Pixels inside the outline where its depth is read."""


@dataclass(frozen=True, eq=False)
class Outline:
    """M points along an object's outline, in order.

    Attributes:
        points: (M, 3) in the camera's frame, just inside the outline.
        outward: (M, 3) the direction out of the mask, in the image's plane.
        normals: (M, 3) of the surface there as the depth has it; NaN where it is not known.
        free: (M,) False where something nearer hides the rest: that is no edge of the object.
    """

    points: Floats
    outward: Floats
    normals: Floats
    free: NDArray[np.bool_]


def outline_of(scene: SceneCloud, i: int) -> Outline | None:
    """The outer outline of object ``i`` in space; None where it has too little depth."""
    own = scene.owner == i + 1
    x1, y1, x2, y2 = (int(v) for v in scene.masks.boxes[i])
    crop = np.pad(own[y1:y2, x1:x2].astype(np.uint8), 1)
    crop = np.asarray(cv2.morphologyEx(crop, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)), np.uint8)
    rings, _ = cv2.findContours(crop, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not rings:
        return None
    ring = max(rings, key=cv2.contourArea).reshape(-1, 2).astype(np.float64) + np.array([x1 - 1, y1 - 1])
    if len(ring) < 12:
        return None
    reach = max(2, min(len(ring) // 24, 6))
    kernel = np.hanning(2 * reach + 3)[1:-1]
    smooth = np.stack([_around(ring[:, k], kernel) for k in (0, 1)], axis=1)
    tangent = np.roll(smooth, -reach, axis=0) - np.roll(smooth, reach, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    outward = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1)
    if cv2.contourArea(ring.astype(np.float32), oriented=True) < 0:
        outward = -outward
    at = np.linspace(0, len(ring), min(OUTLINE, len(ring)), endpoint=False).astype(np.int64)
    return _lifted(scene, i, smooth[at] + HALF * outward[at], outward[at])


def _around(values: Floats, kernel: Floats) -> Floats:
    """Smoothed along a closed ring."""
    half = len(kernel) // 2
    wide = np.concatenate([values[-half:], values, values[:half]])
    return np.convolve(wide, kernel / kernel.sum(), mode="valid")


def _lifted(scene: SceneCloud, i: int, ring: Floats, outward: Floats) -> Outline | None:
    """The ring in space; points whose depth is not known are left out."""
    height, width = scene.depth.shape
    focal = scene.camera[[0, 1], [0, 1]]

    def pixel(steps: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        at = np.rint(ring + outward * steps).astype(np.int64)
        return np.clip(at[:, 1], 0, height - 1), np.clip(at[:, 0], 0, width - 1)

    depth = np.full(len(ring), np.nan)
    for steps in (-INSIDE, -INSIDE - 2, -INSIDE - 4, 0.0):
        v, u = pixel(steps)
        here = np.where(scene.owner[v, u] == i + 1, scene.depth[v, u], np.nan)
        depth = np.where(np.isnan(depth), here, depth)
    known = np.isfinite(depth)
    if known.sum() < 8:
        return None
    free = np.ones(len(ring), np.bool_)
    for steps in (2.0, 4.0, 6.0):
        v, u = pixel(steps)
        with np.errstate(invalid="ignore"):
            nearer = (scene.depth[v, u] < depth - 0.004) & (scene.owner[v, u] != i + 1)
        free &= ~nearer
    edge = ((ring <= 1) | (ring >= np.array([width, height]) - 2)).any(axis=1)
    flat = (ring - scene.camera[[0, 1], [2, 2]]) / focal
    points = np.column_stack([flat, np.ones(len(ring))]) * depth[:, None]
    away = np.column_stack([outward, np.zeros(len(ring))])
    normals, _, spread = local_planes(scene.clouds[i], points[known], 0.008)
    normals[spread[:, 1] < 4 * spread[:, 0]] = np.nan  # an edge or noise: no plane to speak of
    return Outline(points[known], away[known], normals, (free & ~edge)[known])


__all__ = ["Outline", "outline_of"]

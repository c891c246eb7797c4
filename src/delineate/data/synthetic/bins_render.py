"""Exact pictures of bodies: each pixel's ray is met with each body's formula, and the nearest shows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .bins_solids import Solid

Floats = NDArray[np.float64]


@dataclass(eq=False)
class Canvas:
    """What the picture shows so far."""

    size: tuple[int, int]
    rays: Floats
    depth: Floats = field(init=False)
    normals: Floats = field(init=False)
    label: NDArray[np.int32] = field(init=False)

    def __post_init__(self) -> None:
        self.depth = np.full(self.size, np.inf)
        self.normals = np.zeros((*self.size, 3))
        self.label = np.zeros(self.size, np.int32)

    def add(self, solid: Solid, label: int, camera: Floats) -> NDArray[np.bool_]:
        """Paints a body where it is nearest; its whole silhouette (H, W)."""
        rows, columns = _window(solid, camera, self.size)
        whole = np.zeros(self.size, np.bool_)
        rays = self.rays[rows, columns]
        t, normal = solid.meet(np.zeros((1, 3)), rays.reshape(-1, 3))
        t, normal = t.reshape(rays.shape[:2]), normal.reshape(rays.shape)
        whole[rows, columns] = np.isfinite(t)
        nearer = t < self.depth[rows, columns]
        self.depth[rows, columns][nearer] = t[nearer]
        self.normals[rows, columns][nearer] = normal[nearer]
        self.label[rows, columns][nearer] = label
        return whole


def _window(solid: Solid, camera: Floats, size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns that a body can show in."""
    middle, reach = solid.pose[:3, 3], solid.reach
    near = middle[2] - reach
    if near <= 0.05:
        return slice(0, size[0]), slice(0, size[1])
    u, v = (camera @ (middle / middle[2]))[:2]
    spread = (
        camera[0, 0] * reach / near * 1.3 + abs(camera[0, 0] * middle[:2] / middle[2]).max() * reach / near
    )
    top, left = max(0, int(v - spread)), max(0, int(u - spread))
    return slice(top, max(top, int(v + spread) + 2)), slice(left, max(left, int(u + spread) + 2))


def lit(rng: np.random.Generator, canvas: Canvas, world: Floats, count: int) -> NDArray[np.uint8]:
    """Matt colours under a lamp beside the camera, with a little noise."""
    tints = np.concatenate([[[0.62, 0.6, 0.57]], rng.uniform(0.25, 0.95, (count, 3))])
    lamp = world[:3, :3] @ np.array([0.35, 0.25, 0.9])
    bright = 0.35 + 0.65 * np.clip(canvas.normals @ (lamp / np.linalg.norm(lamp)), 0, 1)
    lit = tints[canvas.label] * bright[..., None] + rng.normal(0, 0.012, (*canvas.size, 1))
    return np.clip(np.rint(lit * 255), 0, 255).astype(np.uint8)


__all__ = ["Canvas", "lit"]

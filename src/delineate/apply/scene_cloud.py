"""One RGB-D frame made ready for grasping: smoothed points, whose they are, the plane that carries them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from delineate.core.errors import InputError
from delineate.core.masks import Masks

from .planes import FACING, Plane, find_planes, support_of
from .point_cloud import back_project, check_frame, main_part, smoothed

Floats = NDArray[np.float64]
Single = NDArray[np.float32]
LEAST_POINTS = 30
ON_TABLE = 0.004
"""Metres above the support below which a point of a mask counts as the support's own."""
MARGIN = 24
"""Pixels around all masks in which the depth is smoothed."""
BACKGROUND = 12_000
"""Planes are looked for among so many points of the background."""


@dataclass(frozen=True, eq=False)
class SceneCloud:
    """A frame in the camera's frame of reference (metres, OpenCV axes).

    Attributes:
        camera: (3, 3) intrinsics in pixels.
        depth: (H, W) float32 metres, smoothed, NaN for none.
        points: (H, W, 3) of it.
        owner: (H, W) int32: i + 1 where the pixel is object i's, with a depth or without; 0 elsewhere.
        masks: the N objects as given.
        clouds: the points of each object, (P, 3).
        support: the plane that objects stand on, or None.
        planes: all planes found in the background.
        measured: (N,) share of each mask's pixels that have a depth as given, 0..1.
        kept: (N,) share of each mask's points that are its own: not behind it and not the support's, 0..1.
    """

    camera: Floats
    depth: Single
    points: Single
    owner: NDArray[np.int32]
    masks: Masks
    clouds: tuple[Single, ...]
    support: Plane | None
    planes: tuple[Plane, ...]
    measured: Floats
    kept: Floats

    @property
    def approach(self) -> Floats:
        """(3,) unit vector: into the support where that faces the camera, else straight ahead."""
        if self.support is None or -self.support.normal[2] < FACING:
            return np.array([0, 0, 1.0])
        return -self.support.normal


def scene_cloud(
    depth: ArrayLike, camera: ArrayLike, masks: Masks, up: Floats | None = None, seed: int = 0
) -> SceneCloud:
    """Smooths the depth, finds the support and cuts each object's points free of what is behind and below.

    Args:
        depth: (H, W) metres; 0, NaN or infinity for none.
        camera: (3, 3) intrinsics.
        masks: N objects on the same pixels; where they overlap the later one counts.
        up: (3,) away from the support, where it is known; None: the support faces the camera.
        seed: of the search for planes.

    Raises:
        InputError: sizes differ, no depth, or no pinhole camera.
    """
    raw, matrix = check_frame(depth, camera)
    if masks.size != raw.shape:
        raise InputError(
            f"depth: expected {masks.size[0]} x {masks.size[1]} pixels as the masks, got "
            f"{raw.shape[0]} x {raw.shape[1]}; register the depth to the colour image first"
        )
    owner = masks.to_label_image()
    clean = raw.copy()
    if len(masks) and (owner > 0).any():
        window = _around(masks)
        clean[window] = smoothed(raw[window], owner[window])
    points = back_project(clean, matrix)
    parts = [_part(owner, clean, raw, masks, i) for i in range(len(masks))]
    for i, (rows, columns, own, _) in enumerate(parts):
        owner[rows[~own], columns[~own]] = 0
        assert not (owner[rows[own], columns[own]] != i + 1).any()
    planes = tuple(find_planes(_background(points, masks), seed=seed))
    clouds = [points[rows[own], columns[own]] for rows, columns, own, _ in parts]
    support = support_of(list(planes), clouds, up)
    kept = np.array([own.mean() if len(own) else 0.0 for _, _, own, _ in parts])
    if support is not None:
        for i, (rows, columns, own, _) in enumerate(parts):
            above = support.height(points[rows, columns]) > ON_TABLE
            if (own & above).sum() >= max(LEAST_POINTS, 0.3 * own.sum()):  # else it is flat, and all it has
                kept[i] = (own & above).mean()
                owner[rows[own & ~above], columns[own & ~above]] = 0
                clouds[i] = points[rows[own & above], columns[own & above]]
    measured = np.array([part[3] for part in parts])
    return SceneCloud(
        matrix, clean, points, owner, masks, tuple(clouds), support, planes, measured, kept.astype(np.float64)
    )


def _around(masks: Masks) -> tuple[slice, slice]:
    """Rows and columns of all masks, and a little more."""
    boxes = masks.boxes[masks.area > 0].astype(int)
    left, top = np.maximum(boxes[:, :2].min(axis=0) - MARGIN, 0).tolist()
    right, bottom = (boxes[:, 2:].max(axis=0) + MARGIN).tolist()
    return slice(top, bottom), slice(left, right)


def _part(
    owner: NDArray[np.int32], clean: Single, raw: Single, masks: Masks, i: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], float]:
    """Rows and columns of an object's pixels with depth, which are its own, and the share measured."""
    x1, y1, x2, y2 = masks.boxes[i].astype(int).tolist()
    window = owner[y1:y2, x1:x2] == i + 1
    rows, columns = np.nonzero(window & np.isfinite(clean[y1:y2, x1:x2]))
    measured = float(np.isfinite(raw[y1:y2, x1:x2][window]).mean()) if window.any() else 0.0
    rows, columns = rows + y1, columns + x1
    return rows, columns, main_part(clean[rows, columns]), measured


def _background(points: Single, masks: Masks) -> Single:
    covered = masks.union().to_label_image() > 0 if len(masks) else np.zeros(masks.size, np.bool_)
    free = points[~covered & np.isfinite(points[..., 2])]
    return free[:: max(1, len(free) // BACKGROUND)]


__all__ = ["SceneCloud", "scene_cloud"]

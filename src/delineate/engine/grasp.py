"""`grasp`: from one RGB-D frame to grasps of its objects, as tables and as poses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from delineate.apply.grasp import Grasps, GraspSettings, find_grasps
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.camera_file import read_camera
from delineate.data.rgbd import read_depth

from .grasp_tables import grasp_table, object_table
from .measure import labelled


@dataclass(frozen=True, eq=False)
class GraspResult:
    """What :func:`grasp` finds.

    Attributes:
        found: clouds, order of picking and grasps; ``found.grasps[0].pose`` is the best one's 4 x 4 matrix.
        instances: the N objects.
        numbers: (N,) what they are called in the tables.
        objects: one row per object; ``attrs`` has units and sources.
        grasps: one row per grasp, best first; likewise.
    """

    found: Grasps
    instances: Instances
    numbers: NDArray[np.int64]
    objects: pd.DataFrame
    grasps: pd.DataFrame

    def clouds(self) -> dict[int, NDArray[np.float32]]:
        """Each object's points (P, 3) in the camera's frame, metres, by its number."""
        return dict(zip(self.numbers.tolist(), self.found.scene.clouds, strict=True))


def grasp(
    depth: ArrayLike | str | Path,
    camera: ArrayLike | str | Path,
    objects: Instances | Masks | ArrayLike | tuple[Instances, NDArray[np.int64]],
    *,
    settings: GraspSettings | None = None,
    deadline: float | None = None,
    depth_scale: float | None = None,
    name: str = "frame",
    clock: Callable[[], float] = time.perf_counter,
) -> GraspResult:
    """Where and how to take the objects of one RGB-D frame.

    Args:
        depth: (H, W) along the camera's z, 0 or NaN for none, as metres, or a file of it; registered to the
            colour image.
        camera: (3, 3) intrinsics in pixels, or a file (:func:`delineate.data.camera_file.read_camera`).
        objects: what a model found in the colour image, masks, or a label image (H, W), 0 background; or
            objects and the (N,) numbers that they are called by, as ``measure.labelled`` gives both.
        settings: grippers and limits.
        deadline: seconds from the call on within which to answer with the best so far; None: no limit.
        depth_scale: metres of one unit of ``depth``; None: 1 for an array, for a file what it says itself.
        name: in the tables' column ``image``.
        clock: tells seconds.

    Raises:
        InputError: sizes differ, no depth, no pinhole camera.

    Example:
        >>> depth = np.full((120, 160), 0.6, np.float32)
        >>> depth[40:80, 60:100] = 0.55
        >>> labels = (depth < 0.6).astype(np.uint8)
        >>> found = grasp(depth, [[500, 0, 80], [0, 500, 60], [0, 0, 1]], labels)
        >>> found.grasps.label[0], found.objects.height.round(3).tolist()
        (np.int64(1), [0.05])
    """
    begun = clock()
    matrix, metres = _camera(camera), _metres(depth, camera, depth_scale)
    instances, numbers = _objects(objects)
    left = None if deadline is None else max(1e-6, deadline - (clock() - begun))
    if deadline is not None and deadline <= 0:
        raise InputError(f"deadline: expected seconds above 0, got {deadline}; leave it out for none")
    assert instances.masks is not None
    found = find_grasps(metres, matrix, instances.masks, settings, left, clock)
    return GraspResult(
        found, instances, numbers, object_table(name, instances, numbers, found),
        grasp_table(name, instances, numbers, found),
    )  # fmt: skip


def _camera(camera: Any) -> NDArray[np.float64]:
    if isinstance(camera, str | Path):
        return read_camera(camera).matrix
    return np.asarray(camera, np.float64)


def _metres(depth: Any, camera: Any, scale: float | None) -> NDArray[np.float32]:
    if isinstance(depth, str | Path):
        turned = None
        if isinstance(camera, str | Path):
            told = read_camera(camera)
            scale, turned = told.depth_scale if scale is None else scale, told.turned
        return read_depth(depth, scale, turned).metres
    array = np.asarray(depth)
    if scale is None and array.dtype.kind in "iu":
        raise InputError(
            f"depth: expected metres as floats, got {array.dtype}; give depth_scale, 0.001 for millimetres"
        )
    return array.astype(np.float32) * np.float32(1.0 if scale is None else scale)


def _objects(objects: Any) -> tuple[Instances, NDArray[np.int64]]:
    """Objects with masks, and their numbers."""
    if isinstance(objects, tuple) and isinstance(objects[0], Instances):
        instances, numbers = objects
        return _objects(instances)[0], numbers
    if isinstance(objects, Masks):
        objects = Instances(objects.size, masks=objects)
    if isinstance(objects, Instances):
        if objects.masks is None:
            raise InputError("objects: expected masks, got boxes only; use a model that predicts masks")
        return objects, np.arange(1, len(objects) + 1)
    return labelled(np.asarray(objects))


__all__ = ["GraspResult", "grasp"]

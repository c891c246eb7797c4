"""From one RGB-D frame and its masks to grasps, best so far at any moment, for robots with a deadline."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from delineate.core.errors import InputError
from delineate.core.masks import Masks

from .grasp_search import CUP as CUP
from .grasp_search import FINGERS as FINGERS
from .grasp_search import Clock, Grasp, GraspSettings, Search
from .pick_order import PickOrder, pick_order
from .scene_cloud import SceneCloud, scene_cloud

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Grasps:
    """What was found in a frame.

    Attributes:
        scene: the frame as points.
        order: which object hides which, and the order of picking.
        grasps: of all objects, best first.
        complete: every candidate was tried; else the deadline came first.
        seconds: time of each stage.
        tried: (N,) candidates tried of each object.
    """

    scene: SceneCloud
    order: PickOrder
    grasps: tuple[Grasp, ...]
    complete: bool
    seconds: dict[str, float]
    tried: NDArray[np.int64]

    def of(self, target: int, kind: str | None = None) -> list[Grasp]:
        """Those of one object, best first."""
        return [g for g in self.grasps if g.target == target and kind in (None, g.kind)]


def find_grasps(
    depth: ArrayLike,
    camera: ArrayLike,
    masks: Masks,
    settings: GraspSettings | None = None,
    deadline: float | None = None,
    clock: Clock = time.perf_counter,
) -> Grasps:
    """Grasps of all objects of a frame.

    Objects are worked on from the top, a dozen candidates each in turn, so that when time is up each of the
    first ones has had its best candidates tried. Past the deadline runs at most the one step that was begun.

    Args:
        depth: (H, W) metres along z; 0 or NaN for none.
        camera: (3, 3) intrinsics in pixels.
        masks: N objects on the same pixels.
        settings: grippers and limits.
        deadline: seconds from now; None: until all candidates are tried.
        clock: tells seconds.

    Raises:
        InputError: sizes differ, no depth, no pinhole camera, or a deadline that is not above 0.

    Example:
        >>> flat = np.full((120, 160), 0.6, np.float32)
        >>> flat[40:80, 60:100] = 0.55
        >>> box = np.zeros((1, 120, 160), bool)
        >>> box[0, 40:80, 60:100] = True
        >>> found = find_grasps(flat, [[500, 0, 80], [0, 500, 60], [0, 0, 1]], Masks.from_dense(box))
        >>> (found.grasps[0].pose[:3, 2].round(2) + 0.0).tolist()
        [0.0, 0.0, 1.0]
    """
    if deadline is not None and not deadline > 0:
        raise InputError(f"deadline: expected seconds above 0, got {deadline}; leave it out for none")
    settings = settings or GraspSettings()
    begun = clock()
    end = np.inf if deadline is None else begun + deadline
    up = None if settings.up is None else np.asarray(settings.up, np.float64)
    scene = scene_cloud(depth, camera, masks, up, settings.seed)
    told = {"points": clock() - begun}
    order = pick_order(scene)
    told["order"] = clock() - begun - told["points"]
    search = Search(scene, order, settings)
    complete = search.run(end, clock)
    told |= {"candidates": search.seconds[0], "collisions": search.seconds[1], "total": clock() - begun}
    return Grasps(scene, order, search.ranked(), complete, told, search.tried)


__all__ = ["CUP", "FINGERS", "Grasp", "GraspSettings", "Grasps", "find_grasps"]

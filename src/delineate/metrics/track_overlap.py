"""How far tracked objects of one frame overlap, in the arithmetic of TrackEval: IoU, and what is ignored."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from delineate.core import boxes
from delineate.core.instances import Instances
from delineate.core.masks import Masks

Kind = Literal["mask", "box"]
Floats = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)


def overlap(pred: Instances, truth: Instances, kind: Kind) -> Floats:
    """(P, T) IoU of masks or boxes in 0..1, float64."""
    if kind == "box":
        return box_iou(pred.boxes, truth.boxes)
    if truth.masks is None or pred.masks is None:  # one side has no objects
        return np.zeros((len(pred), len(truth)))
    return pred.masks.iou(truth.masks)


def box_iou(first: ArrayLike, second: ArrayLike) -> Floats:
    """(N, M) IoU of xyxy boxes in float64; 0 where a box has no area.

    Example:
        >>> box_iou([[0, 0, 2, 2]], [[1, 0, 3, 2], [0, 0, 2, 2], [1, 1, 1, 2]]).round(3).tolist()
        [[0.333, 1.0, 0.0]]
    """
    a = np.asarray(first, dtype=np.float64).reshape(-1, 4)
    b = np.asarray(second, dtype=np.float64).reshape(-1, 4)
    shared = boxes.intersection(a, b)
    area_a, area_b = boxes.area(a), boxes.area(b)
    union = area_a[:, None] + area_b - shared
    shared[area_a <= EPS, :] = 0
    shared[:, area_b <= EPS] = 0
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > EPS)


def inside_ignored(pred: Instances, regions: Instances, kind: Kind) -> NDArray[np.bool_]:
    """(P,) predictions of which more than half lies in the ignore regions.

    Masks are held against the union of the regions, boxes against each of them.
    """
    if kind == "box":
        shared = boxes.intersection(pred.boxes, regions.boxes).max(axis=1, initial=0.0)
        area = boxes.area(np.asarray(pred.boxes, dtype=np.float64)).astype(np.float64)
    else:
        found = pred.masks if pred.masks is not None else Masks.empty(pred.size)
        ignored = regions.masks if regions.masks is not None else Masks.empty(pred.size)
        _, j, pixels = ignored.union().intersection_pairs(found)
        shared = np.zeros(len(found))
        shared[j] = pixels
        area = np.asarray(found.area, dtype=np.float64)
    part = np.divide(shared, area, out=np.zeros_like(shared), where=area > EPS)
    return np.asarray(part > 0.5 + EPS)

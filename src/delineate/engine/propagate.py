"""Objects of one frame found again on the next, carried by the flow; corrected by the click network if asked.

On simulated nuclei the flow alone is better (benchmarks/propagate.py), so it is the default.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.apply.follow import follow
from delineate.core.masks import Masks
from delineate.metrics.clicks import Click

from .click import Clicker

TRUST = 0.6  # a correction that agrees less with what was carried is not believed


def propagate(
    masks: Masks, before: NDArray[Any], after: NDArray[Any], clicker: Clicker | None = None
) -> Masks:
    """The same objects on the next frame or slice.

    Args:
        masks: N objects on the first frame.
        before: the first frame.
        after: the next one, of the same size.
        clicker: corrects each outline on the new frame, as a click into the object's middle does; None, the
            default, leaves the carried masks.

    Returns:
        N masks, some perhaps empty where an object has left.

    Raises:
        InputError: frames of different sizes.
    """
    moved = follow(masks, before, after)
    if clicker is None:
        return moved
    corrected = [_corrected(moved[i], after, clicker) for i in range(len(moved))]
    return Masks.concatenate(corrected) if corrected else moved


def _corrected(carried: Masks, after: NDArray[Any], clicker: Clicker) -> Masks:
    if not int(carried.area[0]):
        return carried
    crop, (x0, y0) = carried.crop(0)
    depth = np.asarray(cv2.distanceTransform(np.pad(crop, 1).astype(np.uint8), cv2.DIST_L2, 5))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    found = clicker.segment(after, [Click(x0 + float(x) + 0.5, y0 + float(y) + 0.5)], before=carried)
    return found if float(found.iou(carried)[0, 0]) >= TRUST else carried

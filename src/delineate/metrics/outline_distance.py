"""How far apart two outlines of one object lie.

An outline is the pixels of a mask with a pixel outside it above, below, left or right; beyond the image is
outside. Distances go from pixel centre to pixel centre. The mean is the average symmetric surface distance,
the largest Hausdorff's (Huttenlocher, Klanderman, Rucklidge, "Comparing Images Using the Hausdorff Distance",
PAMI 1993).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.masks import Masks

Floats = NDArray[np.float64]
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


@dataclass(frozen=True)
class OutlineDistances:
    """Distances of P pairs of outlines in pixels.

    Attributes:
        mean: (P,) over the pixels of both outlines, each to the nearest of the other.
        largest: (P,) Hausdorff distance: the farthest that any pixel of one lies from the other.
    """

    mean: Floats
    largest: Floats


def outline_distances(
    first: Masks, second: Masks, i: NDArray[np.int64], j: NDArray[np.int64]
) -> OutlineDistances:
    """Distances between ``first[i]`` and ``second[j]``.

    Args:
        first: masks of an image.
        second: masks of the same image.
        i: (P,) indices into ``first``.
        j: (P,) indices into ``second``. The masks of a pair have a pixel at least.

    Example:
        >>> a = Masks.from_dense(np.pad(np.ones((1, 4, 4), bool), ((0, 0), (2, 2), (2, 2))))
        >>> found = outline_distances(a, a.shift(1, 0), np.array([0]), np.array([0]))
        >>> found.mean.round(3).tolist(), found.largest.tolist()
        ([0.5], [1.0])
    """
    mean, largest = np.zeros(len(i)), np.zeros(len(i))
    for k, (a, b) in enumerate(zip(i.tolist(), j.tolist(), strict=True)):
        apart = _apart(first.crop(a), second.crop(b))
        mean[k], largest[k] = apart.mean(), apart.max()
    return OutlineDistances(mean, largest)


Crop = tuple[NDArray[np.bool_], tuple[int, int]]


def _apart(first: Crop, second: Crop) -> NDArray[np.float32]:
    """The distance of each outline pixel of both masks to the nearest of the other."""
    (x1, y1), (x2, y2) = first[1], second[1]
    corner = min(x1, x2), min(y1, y2)
    wide = max(x1 + first[0].shape[1], x2 + second[0].shape[1]) - corner[0]
    tall = max(y1 + first[0].shape[0], y2 + second[0].shape[0]) - corner[1]
    outlines = []
    for mask, (x, y) in (first, second):
        around = np.zeros((tall, wide), np.uint8)
        around[y - corner[1] :, x - corner[0] :][: mask.shape[0], : mask.shape[1]] = mask
        inner = cv2.erode(around, CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=[0])
        outlines.append(around > inner)
    far = [
        cv2.distanceTransform((~line).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for line in outlines
    ]
    return np.concatenate([far[1][outlines[0]], far[0][outlines[1]]])

"""The inner boundary of each mask: its pixels within a distance of its outline.

Cheng, Girshick, Dollár, Berg and Kirillov, "Boundary IoU: Improving Object-Centric Image Segmentation
Evaluation", CVPR 2021, section 3. The distance is the chessboard's, and the image's border is an outline too,
as in the authors' ``mask_to_boundary``.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.masks import Masks

DILATION = 0.02
CHUNK = 1 << 22
"""Pixels of crops that are held at once."""


def boundary_width(size: tuple[int, int], dilation: float = DILATION) -> int:
    """The distance in pixels for an image of ``size``: ``dilation`` of its diagonal, at least 1.

    Example:
        >>> boundary_width((480, 640)), boundary_width((8, 8))
        (16, 1)
    """
    return max(1, round(dilation * math.sqrt(size[0] ** 2 + size[1] ** 2)))


def boundaries(masks: Masks, width: int) -> Masks:
    """The pixels of each mask with a pixel outside it at most ``width`` rows and columns away.

    Example:
        >>> boundaries(Masks.from_dense(np.ones((1, 5, 5), bool)), 1).area.tolist()
        [16]
    """
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    parts: list[Masks] = []
    crops: list[NDArray[np.bool_]] = []
    corners: list[tuple[int, int]] = []

    def flush() -> None:
        if crops:
            parts.append(Masks.from_crops(crops, np.array(corners), masks.size))
            crops.clear()
            corners.clear()

    held = 0
    for i in range(len(masks)):
        crop, corner = masks.crop(i)
        held += crop.size
        if held > CHUNK:
            flush()
            held = crop.size
        if min(crop.shape, default=0) > 2 * width:  # a narrower one is boundary all over
            eroded = cv2.erode(crop.view(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=[0])
            crop = crop & (eroded == 0)
        crops.append(crop)
        corners.append(corner)
    flush()
    return Masks.concatenate(parts) if parts else Masks.empty(masks.size)

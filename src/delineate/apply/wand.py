"""The magic wand: what is like the pixel under it and connected to it; and outlines snapped to edges.

Snapping asks of every pixel within reach of the outline whether the surely inside or the surely outside is
nearer, where every change of colour on the way makes it longer: the outline falls on the strongest edge.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from delineate.core.errors import InputError

from .geodesic import path_costs

Mask = NDArray[np.bool_]
Map = NDArray[np.float32]
STEP = 1e-4  # the cost of a pixel's way where nothing changes
DISC = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))


def wand(pixels: Map, point: tuple[float, float], tolerance: float = 0.1, reach: int = 2) -> Mask:
    """The connected region of pixels like the one at ``point``, without holes, its outline on edges.

    Args:
        pixels: (H, W, 3) in 0..1.
        point: x, y in pixels of the image.
        tolerance: how far values may differ from those at the point, 0..1, in any channel.
        reach: how far, in pixels, the outline may move to an edge; 0 leaves it.

    Returns:
        (H, W) the region; it has the point's pixel.

    Raises:
        InputError: a point outside, or a tolerance out of range.

    Example:
        >>> image = np.zeros((20, 20, 3), np.float32)
        >>> image[5:15, 4:12] = 0.8
        >>> int(wand(image, (6.5, 7.5)).sum())  # of 80: its four corners are rounded
        76
    """
    height, width = pixels.shape[:2]
    if not (0 <= point[0] < width and 0 <= point[1] < height):
        raise InputError(
            f"wand: expected a point on the image of {width} x {height}, got {point[0]:g}, {point[1]:g}"
        )
    if not 0 <= tolerance <= 1:
        raise InputError(f"wand: expected a tolerance in 0..1, got {tolerance:g}; try 0.1")
    column, row = int(point[0]), int(point[1])
    even = np.asarray(cv2.medianBlur(pixels.astype(np.float32), 3), np.float32)
    like = np.abs(even - even[row, column]).max(axis=2) <= tolerance
    parts, _ = ndimage.label(like)
    region = np.asarray(ndimage.binary_fill_holes(parts == parts[row, column]), bool)
    snapped = snap(region, even, reach) if reach else region
    snapped[row, column] = True
    return snapped


def snap(region: Mask, pixels: Map, reach: int = 2) -> Mask:
    """A region whose outline moves to the strongest edge within ``reach`` pixels.

    What is too thin to have an inside deeper than ``reach`` is left as it is.

    Args:
        region: (H, W) the region.
        pixels: (H, W, 3) in 0..1.
        reach: pixels, 1 and more.

    Returns:
        (H, W) the region snapped.
    """
    solid = region.astype(np.uint8)
    inside = np.asarray(cv2.erode(solid, DISC, iterations=reach, borderValue=1)) > 0
    outside = np.asarray(cv2.dilate(solid, DISC, iterations=reach)) == 0
    thick = np.asarray(ndimage.binary_propagation(inside, mask=region), bool)
    if not inside.any() or not outside.any():
        return region.copy()
    doubtful = ~inside & ~outside
    near = np.asarray(cv2.dilate(doubtful.astype(np.uint8), DISC)) > 0
    inwards, outwards = (path_costs(pixels, side, near, STEP, power=2.0) for side in (inside, outside))
    return np.asarray(inside | (doubtful & (inwards < outwards)) | (region & ~thick), bool)

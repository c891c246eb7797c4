"""Outlines of few points that cover exactly the pixels of a mask.

The outline along pixel edges has a corner at every step, too many for anybody who edits it. Here a ring runs
through the middles of the pixel edges instead (the mid-crack contour), which lies at least sqrt(2) / 4 =
0.354 pixels away from every pixel's centre, and is then simplified by Douglas and Peucker (1973) with a
tolerance below that: no centre changes sides, so every rule that asks whether a pixel's centre lies inside
gives the same pixels back. The proof is by the tube around each new edge; all the same each object is
rasterised again and compared, and one that differs keeps its exact outline.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .masks import Masks
from .polygons import Polygon

Ring = NDArray[np.float64]
TOLERANCE = 0.35
"""Largest distance in pixels from the mid-crack contour to its simplification."""


def lean_outlines(masks: Masks) -> list[list[Polygon]]:
    """Per mask its 4-connected parts, each an exterior with its holes, of few points and the same pixels.

    Args:
        masks: N masks.

    Returns:
        N lists of polygons: ``Masks.from_polygons`` of each gives the mask back, pixel by pixel; an empty
        mask has none. Coordinates are multiples of half a pixel.

    Example:
        >>> image = np.hypot(*np.mgrid[-20:21, -20:21]) < 18
        >>> masks = Masks.from_dense(image[None])
        >>> lean, exact = lean_outlines(masks)[0][0], masks.to_polygons()[0][0]
        >>> len(lean.exterior), len(exact.exterior), Masks.from_polygons([[lean]], (41, 41)) == masks
        (40, 76, True)
    """
    exact = masks.to_polygons()
    lean = [[Polygon(_lean(p.exterior), tuple(map(_lean, p.holes))) for p in parts] for parts in exact]
    filled = [i for i, parts in enumerate(lean) if parts]
    if not filled:
        return lean
    original = masks[np.array(filled)]
    drawn = Masks.from_polygons([lean[i] for i in filled], masks.size)
    if drawn != original:
        for place, i in enumerate(filled):
            if drawn[place] != original[place]:
                lean[i] = exact[i]
    return lean


def _lean(ring: Ring) -> Ring:
    """The simplified mid-crack contour of a ring along pixel edges."""
    after = np.roll(ring, -1, axis=0)
    steps = np.abs(after - ring).sum(axis=1).astype(np.int64)
    edge = np.repeat(np.arange(len(ring)), steps)
    along = np.arange(len(edge)) - np.repeat(np.cumsum(steps) - steps, steps) + 0.5
    middles = ring[edge] + np.sign(after - ring)[edge] * along[:, None]
    origin = middles[0]
    fewer = cv2.approxPolyDP((middles - origin).astype(np.float32), TOLERANCE, closed=True)[:, 0]
    kept = fewer if len(fewer) >= 3 else middles - origin
    return kept.astype(np.float64) + origin

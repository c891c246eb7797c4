"""Where tissue lies on a slide: glass is pale and bright, and need not be looked at."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.data.rasters import Raster

LONGEST = 2048
"""Longer side of the small picture that tissue is looked for in."""
BRIGHT = 0.75
"""Glass is at least so bright, in every channel, as a part of the picture's white (its 99th percentile)."""
PALE = 38
"""And no more saturated than this, of 255: a pale background of stain is not glass."""
DIMMEST = 160
"""Glass of a slide is never darker than three quarters of this."""
MARGIN = 64
"""Pixels of the image around tissue that count as tissue."""
LITTLE = 0.05
"""Where less than this part of the picture is glass, all of it is looked at."""


@dataclass(frozen=True, eq=False)
class Tissue:
    """Where tissue lies.

    Attributes:
        mask: (h, w) bool, True on tissue, in a small picture of the whole image.
        size: (height, width) of the image.
    """

    mask: NDArray[np.bool_]
    size: tuple[int, int]

    @property
    def share(self) -> float:
        """Part of the image that is tissue, 0..1."""
        return float(self.mask.mean())

    def meets(self, x0: int, y0: int, x1: int, y1: int) -> bool:
        """Whether a window of the image has tissue, or lies within :data:`MARGIN` pixels of some."""
        down, across = (m / s for m, s in zip(self.mask.shape, self.size, strict=True))
        top, left = int(max(0, y0 - MARGIN) * down), int(max(0, x0 - MARGIN) * across)
        bottom, right = int(np.ceil((y1 + MARGIN) * down)), int(np.ceil((x1 + MARGIN) * across))
        return bool(self.mask[top:bottom, left:right].any())


def find_tissue(raster: Raster) -> Tissue | None:
    """Tissue by Otsu's threshold (1979) on the saturation of a small picture of the slide.

    Pixels under the threshold that are also bright are glass; pale tissue is darker than glass and stays.
    Specks of less than 4 pixels of the small picture count as dust.

    Args:
        raster: the slide, in colour.

    Returns:
        None where there is too little glass for skipping it to be worth while.

    Raises:
        InputError: not in colour; or a damaged part.
    """
    if not raster.colour or raster.dtype != np.uint8:
        raise InputError(
            f"{raster.path}: expected a picture in colour of 8 bits to tell tissue from glass, got "
            f"{raster.channels} channels of {raster.dtype}; use --no-tissue"
        )
    mask = tissue_mask(raster.overview(LONGEST))
    return None if 1 - mask.mean() < LITTLE else Tissue(mask, raster.size)


def tissue_mask(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W) True on tissue of a small (H, W, 3) RGB picture of a slide.

    Example:
        >>> slide = np.full((20, 20, 3), 240, np.uint8)
        >>> slide[5:10, 5:15] = (200, 120, 180)
        >>> int(tissue_mask(slide).sum())
        50
    """
    saturation = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)[:, :, 1]
    level, _ = cv2.threshold(saturation, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    darkest = picture.min(axis=2)
    white = max(DIMMEST, float(np.percentile(darkest, 99)))
    glass = (saturation <= min(level, PALE)) & (darkest >= BRIGHT * white)
    _, parts, stats, _ = cv2.connectedComponentsWithStats((~glass).astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= 4
    large[0] = False
    found: NDArray[np.bool_] = large[parts]
    return found

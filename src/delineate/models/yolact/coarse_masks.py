"""True masks on the grid of the prototypes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from delineate.core.masks import Masks


def coarse_masks(masks: Masks, frame: tuple[int, int], grid: tuple[int, int]) -> NDArray[np.bool_]:
    """(N, h, w) bool: where the mask, resized bilinearly without antialiasing, is above 0.5.

    The same cells as ``interpolate(mask, grid, mode="bilinear", align_corners=False) > 0.5`` on the padded
    frame, from each mask's own crop.

    Args:
        masks: N masks at the top left of the frame.
        frame: (height, width) of the padded network input in pixels.
        grid: (h, w) in cells.
    """
    result = np.zeros((len(masks), *grid), dtype=np.bool_)
    rows, columns = (_Neighbours(length, cells) for length, cells in zip(frame, grid, strict=True))
    for i in range(len(masks)):
        crop, (x, y) = masks.crop(i)
        if not crop.size:
            continue
        down, across = rows.near(y, y + crop.shape[0]), columns.near(x, x + crop.shape[1])
        padded = np.pad(crop, 1).astype(np.float32)  # a ring of zeros: neighbours outside the crop
        low, high, part = rows.of(down, y, crop.shape[0])
        lines = padded[low] * (1 - part)[:, None] + padded[high] * part[:, None]
        low, high, part = columns.of(across, x, crop.shape[1])
        values = lines[:, low] * (1 - part) + lines[:, high] * part
        result[i, down, across] = values > 0.5
    return result


class _Neighbours:
    """The two pixels around each cell's centre along one axis, and the part of the second."""

    def __init__(self, length: int, cells: int) -> None:
        at = np.maximum(
            (np.arange(cells, dtype=np.float32) + np.float32(0.5)) * np.float32(length / cells)
            - np.float32(0.5),
            0,
        )
        self.low = np.minimum(at.astype(np.int64), length - 1)
        self.high = np.minimum(self.low + 1, length - 1)
        self.part = (at - self.low).astype(np.float32)

    def near(self, begin: int, end: int) -> slice:
        """The cells that see any pixel of begin .. end - 1."""
        first = int(np.searchsorted(self.high, begin, side="left"))
        return slice(first, int(np.searchsorted(self.low, end, side="left")))

    def of(
        self, cells: slice, begin: int, length: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Their pixels counted in a crop from ``begin`` with a ring of one, and the part of the second."""
        low = np.clip(self.low[cells] - begin + 1, 0, length + 1)
        high = np.clip(self.high[cells] - begin + 1, 0, length + 1)
        return low, high, self.part[cells]

"""True masks on the grid of the prototypes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from delineate.core.masks import Masks

CHUNK = 1 << 22
"""Pixels that are decoded at once."""


def coarse_masks(masks: Masks, frame: tuple[int, int], grid: tuple[int, int]) -> NDArray[np.bool_]:
    """(N, h, w) bool: where the mask, resized bilinearly without antialiasing, is above 0.5.

    The same cells as ``interpolate(mask, grid, mode="bilinear", align_corners=False) > 0.5`` on the padded
    frame; only the four pixels around each cell's centre are looked at, and a few masks at a time decoded.

    Args:
        masks: N masks at the top left of the frame.
        frame: (height, width) of the padded network input in pixels.
        grid: (h, w) in cells.
    """
    result = np.zeros((len(masks), *grid), dtype=np.bool_)
    (top, bottom, down), (left, right, across) = (
        _neighbours(length, cells) for length, cells in zip(frame, grid, strict=True)
    )
    height, width = masks.size
    rows, columns = int(np.count_nonzero(top < height)), int(np.count_nonzero(left < width))
    top, bottom, left, right = top[:rows], bottom[:rows], left[:columns], right[:columns]
    down, across = down[:rows, None], across[:columns]
    pad = (
        (0, 0),
        (0, int(frame[0] > height)),
        (0, int(frame[1] > width)),
    )  # a row of padding is seen, no more
    step = max(1, CHUNK // (height * width))
    for begin in range(0, len(masks), step):
        dense = np.pad(masks[begin : begin + step].dense(), pad)  # (n, H, W)
        upper, lower = dense[:, top], dense[:, bottom]  # (n, rows, W)
        above = upper[:, :, left] * (1 - across) + upper[:, :, right] * across
        below = lower[:, :, left] * (1 - across) + lower[:, :, right] * across
        result[begin : begin + step, :rows, :columns] = above * (1 - down) + below * down > 0.5
    return result


def _neighbours(length: int, cells: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The two pixels around each cell's centre along one axis, and the part of the second."""
    half = np.float32(0.5)
    at = np.maximum((np.arange(cells, dtype=np.float32) + half) * np.float32(length / cells) - half, 0)
    low = np.minimum(at.astype(np.int64), length - 1)
    return low, np.minimum(low + 1, length - 1), (at - low).astype(np.float32)

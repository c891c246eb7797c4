"""Mask probabilities from a model's square grid into the image, one object's crop at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import MaskError
from .runs import CHUNK, Runs, from_crops, join
from .stages import timed

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@timed("masks")
def paste_runs(
    probabilities: NDArray[np.float32], boxes: NDArray[np.float32], size: tuple[int, int], threshold: float
) -> Runs:
    """Runs of the masks that torchvision's ``paste_masks_in_image`` followed by ``> threshold`` gives.

    The rule (torchvision ``roi_heads.py``): pad each m x m grid with one pixel of zeros, grow the box about
    its centre by (m + 2) / m, truncate its corners to integers, resize the grid bilinearly to
    (y2 - y1 + 1) x (x2 - x1 + 1), at least 1 x 1, and put it there. Only the part of each object that lies
    in the image is ever held.
    """
    _check(probabilities, boxes)
    grid = probabilities.shape[-1]
    corners = _grown(boxes, np.float32((grid + 2) / grid))
    full = np.maximum(corners[:, 2:] - corners[:, :2] + 1, 1)  # width, height before clipping
    begin = np.maximum(corners[:, :2], 0)
    seen = np.maximum(np.minimum(corners[:, :2] + full, [size[1], size[0]]) - begin, 0)
    padded = np.pad(probabilities.astype(np.float32, copy=False), ((0, 0), (1, 1), (1, 1)))
    places = np.concatenate((begin - corners[:, :2], seen, full), axis=1).tolist()
    parts = []
    cost = np.cumsum(seen[:, 0] * seen[:, 1])
    at = 0
    while at < len(padded):
        done = cost[at - 1] if at else 0
        end = max(at + 1, int(np.searchsorted(cost, done + CHUNK, side="right")))
        crops = [_crop(padded[i], places[i], threshold) for i in range(at, end)]
        parts.append(from_crops(crops, begin[at:end]))
        at = end
    return join(parts)


def _crop(grid: Floats, place: list[int], threshold: float) -> NDArray[np.bool_]:
    """The visible part of one object; place: its x, y, width, height in the full box, and its size."""
    x, y, width, height, full_width, full_height = place
    if not width or not height:
        return np.zeros((0, 0), dtype=np.bool_)
    left, right, at_left, at_right = _neighbours(len(grid), full_width, x, width)
    upper, lower, at_upper, at_lower = _neighbours(len(grid), full_height, y, height)
    across = grid[:, left] * at_left + grid[:, right] * at_right  # (m + 2, width)
    crop = across[upper] * at_upper[:, None]
    crop += across[lower] * at_lower[:, None]
    return np.asarray(crop > threshold)


def _check(probabilities: NDArray[np.float32], boxes: NDArray[np.float32]) -> None:
    shape = probabilities.shape
    if len(shape) != 3 or shape[1] != shape[2] or not shape[1] or boxes.shape != (shape[0], 4):
        raise MaskError(
            f"paste: expected probabilities (N, m, m) and boxes (N, 4), got {shape} and {boxes.shape}; "
            "give one square grid per box"
        )
    if not np.isfinite(boxes).all() or np.abs(boxes).max(initial=0) > 2**30:
        raise MaskError("paste: expected finite boxes below 2**30 pixels, got others; clip them to the image")


def _grown(boxes: NDArray[np.float32], factor: np.float32) -> Ints:
    """Boxes grown about their centres and truncated, (N, 4) int64, in torchvision's float32 steps."""
    half = np.float32(0.5)
    w_half = (boxes[:, 2] - boxes[:, 0]) * half * factor
    h_half = (boxes[:, 3] - boxes[:, 1]) * half * factor
    x, y = (boxes[:, 2] + boxes[:, 0]) * half, (boxes[:, 3] + boxes[:, 1]) * half
    grown = np.stack((x - w_half, y - h_half, x + w_half, y + h_half), axis=1)
    return grown.astype(np.int64)


def _neighbours(source: int, target: int, begin: int, count: int) -> tuple[Ints, Ints, Floats, Floats]:
    """Of some pixels of ``target`` the two cells of ``source`` between which each lies, and their shares.

    In float32, step by step as torch's bilinear resizing without aligned corners.
    """
    one, half = np.float32(1), np.float32(0.5)
    place = np.arange(begin, begin + count).astype(np.float32) + half
    at = np.maximum(place * (np.float32(source) / np.float32(target)) - half, np.float32(0))
    low = np.minimum(at.astype(np.int64), source - 1)
    share = np.minimum(at - low.astype(np.float32), one)
    return low, np.minimum(low + 1, source - 1), one - share, share

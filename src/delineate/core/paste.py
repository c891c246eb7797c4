"""Mask probabilities from a model's square grid into the image, one object's crop at a time."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from .errors import MaskError
from .runs import CHUNK, Runs, from_crops, join

Ints = NDArray[np.int64]


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
    padded = F.pad(torch.from_numpy(np.ascontiguousarray(probabilities, dtype=np.float32)), (1, 1, 1, 1))
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


def _crop(grid: torch.Tensor, place: list[int], threshold: float) -> NDArray[np.bool_]:
    """The visible part of one object; place: its x, y, width, height in the full box, and its size."""
    x, y, width, height, full_width, full_height = place
    if not width or not height:
        return np.zeros((0, 0), dtype=np.bool_)
    if full_width * full_height > 4 * width * height + CHUNK // 8:  # far larger than the image
        visible = _visible(grid.numpy(), (full_height, full_width), (y, y + height), (x, x + width))
        return np.asarray(visible > threshold)
    resized = F.interpolate(grid[None, None], (full_height, full_width), mode="bilinear", align_corners=False)
    return (resized[0, 0, y : y + height, x : x + width] > threshold).numpy()


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


def _visible(
    grid: NDArray[np.float32], size: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> NDArray[np.float32]:
    """Rows and columns (half-open ranges) of the grid resized bilinearly to ``size``."""
    visible = _weights(len(grid), size[0], rows) @ grid @ _weights(len(grid), size[1], columns).T
    return visible.astype(np.float32, copy=False)


def _weights(source: int, target: int, part: tuple[int, int]) -> NDArray[np.float32]:
    """Bilinear weights (part, source) of the pixels part[0] .. part[1] - 1 of ``target``."""
    at = np.maximum((np.arange(*part) + 0.5) * (source / target) - 0.5, 0)
    low = np.minimum(at.astype(np.int64), source - 1)
    weights = np.zeros((len(at), source), dtype=np.float32)
    rest = np.minimum(at - low, 1).astype(np.float32)
    rows = np.arange(len(at))
    weights[rows, low] += 1 - rest
    weights[rows, np.minimum(low + 1, source - 1)] += rest
    return weights

"""Masks carried from one frame of a video, or slice of a stack, to the next by optical flow."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.batch import to_rgb_float
from delineate.core.errors import InputError
from delineate.core.masks import Masks

SMALLEST = 48  # pixels of the window in which the flow is looked for


def follow(masks: Masks, before: NDArray[Any], after: NDArray[Any], margin: float = 1.0) -> Masks:
    """Where objects have moved.

    The flow is dense inverse search (Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search"), in
    a window around each object alone: the cost does not depend on the image's size.

    Args:
        masks: N objects on the first frame.
        before: the first frame, (H, W) or (H, W, 3), any depth.
        after: the second frame, of the same size.
        margin: the window reaches so many times the object's size beyond it, and at least 16 pixels.

    Returns:
        N masks on the second frame; one may be empty, where its object has left.

    Raises:
        InputError: frames or masks of different sizes.
    """
    if before.shape[:2] != after.shape[:2] or tuple(before.shape[:2]) != masks.size:
        raise InputError(
            f"follow: expected two frames and masks of one size, got {before.shape[:2]}, {after.shape[:2]} "
            f"and {masks.size}; give frames of one video"
        )
    crops, corners = [], []
    for i in range(len(masks)):
        crop, corner = _follow_one(masks[i], before, after, margin)
        crops.append(crop)
        corners.append(corner)
    return Masks.from_crops(crops, np.array(corners, np.int64).reshape(-1, 2), masks.size)


def _follow_one(
    mask: Masks, before: NDArray[Any], after: NDArray[Any], margin: float
) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """One object's mask in its window on the second frame, and the window's corner."""
    if not int(mask.area[0]):
        return np.zeros((0, 0), np.bool_), (0, 0)
    x0, y0, x1, y1 = window_around(mask, margin, mask.size)
    pair = np.stack([_grey(before[y0:y1, x0:x1]), _grey(after[y0:y1, x0:x1])])
    low, high = np.percentile(pair, (0.5, 99.5))
    first, second = np.clip(255 * (pair - low) / max(float(high - low), 1e-9), 0, 255).astype(np.uint8)
    flow = flow_between(second, first)  # of each pixel of the second frame to where it was
    rows, columns = np.mgrid[: y1 - y0, : x1 - x0].astype(np.float32)
    dense = np.zeros(first.shape, np.float32)
    crop, (left, top) = mask.crop(0)
    dense[top - y0 : top - y0 + crop.shape[0], left - x0 : left - x0 + crop.shape[1]] = crop
    moved = cv2.remap(dense, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR)
    return np.asarray(moved) > 0.5, (x0, y0)


def flow_between(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W, 2) dx, dy from each pixel of the first frame to its place on the second; (H, W) each."""
    finder = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # type: ignore[attr-defined]
    finder.setFinestScale(0 if min(first.shape) < 200 else 1)
    return np.asarray(finder.calc(first, second, None), np.float32)


def window_around(mask: Masks, margin: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the window around one mask, cut to the image."""
    x1, y1, x2, y2 = mask.boxes[0].tolist()
    reach = max(16.0, margin * max(x2 - x1, y2 - y1), (SMALLEST - max(x2 - x1, y2 - y1)) / 2)
    corners = (max(0, int(x1 - reach)), max(0, int(y1 - reach)))
    return (*corners, min(size[1], int(x2 + reach) + 1), min(size[0], int(y2 + reach) + 1))


def _grey(pixels: NDArray[Any]) -> NDArray[np.float32]:
    return pixels.astype(np.float32) if pixels.ndim == 2 else to_rgb_float(pixels).mean(axis=2)

"""Moving an image and its objects together: one affine map from the source to a training crop.

Image and objects go through the same matrix, so instances follow exactly: masks by nearest neighbour on one
label image where they do not overlap, one by one where they do.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.instances import Instances
from delineate.core.masks import Masks

SHRINK = 0.75  # below this factor the source is averaged over areas first, so that nothing aliases

Affine = NDArray[np.float64]  # (2, 3): source corner coordinates (x, y, 1) -> crop corner coordinates
Size = tuple[int, int]  # (height, width) in pixels


def place(linear: NDArray[np.float64], size: Size, crop: Size, rng: np.random.Generator) -> Affine:
    """The map that turns an image by ``linear`` and shows a random window of it.

    Where the turned image is larger than the crop, the crop lies anywhere inside it; where it is smaller, it
    lies anywhere inside the crop. Shifts are whole pixels, so that an unscaled, unturned crop copies values.

    Args:
        linear: (2, 2) scale, flip and rotation on (x, y).
        size: (height, width) of the source in pixels.
        crop: (height, width) of the crop in pixels.
        rng: where the position comes from.
    """
    corners = _corners(size) @ linear.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    slack = np.rint(np.array(crop[::-1]) - (high - low))
    shift = np.array([rng.integers(min(0, int(s)), max(0, int(s)) + 1) for s in slack], dtype=np.float64)
    return np.column_stack([linear, shift - low])


def _corners(size: Size) -> NDArray[np.float64]:
    """(4, 2) xy corners of a frame."""
    height, width = size
    return np.array([[0, 0], [width, 0], [0, height], [width, height]], dtype=np.float64)


def map_points(matrix: Affine, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(N, 2) xy corner coordinates through the map."""
    return np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]


def invert(matrix: Affine) -> Affine:
    """The way back: crop coordinates -> source coordinates."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def leaves_border(matrix: Affine, size: Size, crop: Size) -> bool:
    """Whether part of the crop shows no image."""
    corners = map_points(invert(matrix), _corners(crop))
    slack = 1e-6
    return bool((corners < -slack).any() or (corners > np.array([size[1], size[0]]) + slack).any())


def warp_image(image: NDArray[np.float32], matrix: Affine, crop: Size) -> NDArray[np.float32]:
    """(H, W, C) -> (*crop, C), bilinear, averaged over areas first when it shrinks; zeros outside."""
    window, shifted = _window(image, matrix, crop)
    factor = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if factor < SHRINK:
        height, width = (max(1, round(side * factor)) for side in window.shape[:2])
        ratio = np.array([window.shape[1] / width, window.shape[0] / height])
        window = cv2.resize(window, (width, height), interpolation=cv2.INTER_AREA)
        shifted = np.column_stack([shifted[:, :2] * ratio, shifted[:, 2]])
    warped = cv2.warpAffine(
        window, _centers(shifted), crop[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, dtype=np.float32).reshape(*crop, image.shape[2])


def inside(size: Size, matrix: Affine, crop: Size) -> NDArray[np.bool_]:
    """(*crop,) True where the crop shows the image of ``size`` (height, width)."""
    column, row = _source_pixels(matrix, (0, 0, crop[1], crop[0]))
    return (column >= 0) & (column < size[1]) & (row >= 0) & (row < size[0])


def warp_instances(truth: Instances, matrix: Affine, crop: Size, min_area: int = 1) -> Instances:
    """The objects in the frame of the crop, in their order; those with fewer visible pixels are dropped.

    Args:
        truth: objects in the source's pixels.
        matrix: source -> crop.
        crop: (height, width) of the crop in pixels.
        min_area: visible pixels an object needs to stay (of its box where there are no masks).
    """
    if truth.masks is None:
        return _warp_boxes(truth, matrix, crop, min_area)
    labels = truth.masks.to_label_image()
    if int(truth.masks.area.sum()) == int(np.count_nonzero(labels)):
        masks, kept = _warp_label_image(labels, len(truth), matrix, crop, min_area)
    else:
        masks, kept = _warp_one_by_one(truth.masks, matrix, crop, min_area)
    return _chosen(truth, kept, crop, masks)


def _chosen(
    truth: Instances, kept: NDArray[np.int64], size: tuple[int, int], masks: Masks | None, boxes: Any = None
) -> Instances:
    ids = None if truth.ids is None else truth.ids[kept]
    return Instances(
        size,
        boxes,
        truth.labels[kept],
        truth.scores[kept],
        masks,
        ids,
        truth.crowd[kept],
        classes=truth.classes,
    )


def _warp_label_image(
    labels: NDArray[np.int32], count: int, matrix: Affine, crop: Size, min_area: int
) -> tuple[Masks, NDArray[np.int64]]:
    moved = _nearest(labels, (0, 0), matrix, (0, 0, crop[1], crop[0]))
    areas = np.bincount(moved.ravel(), minlength=count + 1)
    areas[0] = 0
    keep = areas >= max(1, min_area)
    return Masks.from_label_image(np.where(keep[moved], moved, 0)), np.flatnonzero(keep) - 1


def _warp_one_by_one(
    masks: Masks, matrix: Affine, crop: Size, min_area: int
) -> tuple[Masks, NDArray[np.int64]]:
    crops: list[NDArray[np.bool_]] = []
    corners: list[tuple[int, int]] = []
    kept: list[int] = []
    for i in range(len(masks)):
        part, (x, y) = masks.crop(i)
        height, width = part.shape
        outline = np.array([[x, y], [x + width, y], [x, y + height], [x + width, y + height]])
        moved = map_points(matrix, outline)
        x0, y0 = (int(v) for v in np.clip(np.floor(moved.min(axis=0)), 0, crop[::-1]))
        x1, y1 = (int(v) for v in np.clip(np.ceil(moved.max(axis=0)), 0, crop[::-1]))
        if part.size == 0 or x1 <= x0 or y1 <= y0:
            continue
        seen = _nearest(part, (x, y), matrix, (x0, y0, x1, y1))
        if np.count_nonzero(seen) >= max(1, min_area):
            crops.append(seen)
            corners.append((x0, y0))
            kept.append(i)
    placed = Masks.from_crops(crops, np.array(corners, dtype=np.int64).reshape(-1, 2), crop)
    return placed, np.array(kept, dtype=np.int64)


def _warp_boxes(truth: Instances, matrix: Affine, crop: Size, min_area: int) -> Instances:
    x1, y1, x2, y2 = truth.boxes.T
    corners = np.stack([x1, y1, x2, y1, x1, y2, x2, y2], axis=1).reshape(-1, 2)
    moved = np.clip(map_points(matrix, corners).reshape(-1, 4, 2), 0, crop[::-1])
    boxes = np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1).astype(np.float32)
    kept = np.flatnonzero(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) >= max(1, min_area))
    return _chosen(truth, kept, crop, None, boxes[kept])


def _window(array: NDArray[Any], matrix: Affine, crop: Size) -> tuple[NDArray[Any], Affine]:
    """The part of the source that the crop shows, two pixels wider, and the map from that part."""
    corners = map_points(invert(matrix), _corners(crop))
    height, width = array.shape[:2]
    x0, y0 = np.clip(np.floor(corners.min(axis=0)).astype(int) - 2, 0, [width - 1, height - 1])
    x1, y1 = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 2, [x0 + 1, y0 + 1], [width, height])
    shifted = np.column_stack([matrix[:, :2], map_points(matrix, np.array([[x0, y0]]))[0]])
    return array[y0:y1, x0:x1], shifted


def _source_pixels(
    matrix: Affine, window: tuple[int, int, int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each pixel of a window (x0, y0, x1, y1) of the crop: column and row of the source under it."""
    x0, y0, x1, y1 = window
    back = invert(matrix)
    x, y = np.arange(x0, x1) + 0.5, np.arange(y0, y1)[:, None] + 0.5
    column, row = (np.floor(back[k, 0] * x + back[k, 1] * y + back[k, 2]).astype(np.int64) for k in (0, 1))
    return column, row


def _nearest(
    part: NDArray[Any], corner: tuple[int, int], matrix: Affine, window: tuple[int, int, int, int]
) -> NDArray[Any]:
    """A window of the crop, each pixel taken from the source pixel under its centre; zero outside ``part``.

    Args:
        part: (h, w) of the source.
        corner: (x, y) of the part in the source.
        matrix: source -> crop.
        window: (x0, y0, x1, y1) in the crop.
    """
    column, row = _source_pixels(matrix, window)
    column, row = column - corner[0], row - corner[1]
    height, width = part.shape
    known = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    taken: NDArray[Any] = part[row.clip(0, height - 1), column.clip(0, width - 1)]
    return np.where(known, taken, np.zeros((), part.dtype))


def _centers(matrix: Affine) -> Affine:
    """The same map between pixel-centre coordinates, as OpenCV counts: pixel (0, 0) is at 0, not at 0.5."""
    half = np.array([0.5, 0.5])
    return np.column_stack([matrix[:, :2], map_points(matrix, half[None])[0] - half])

"""Moving an image and its objects together: one affine map from the source to a training crop.

Image and objects go through the same matrix, so instances follow exactly: each pixel of the crop takes the
masks of the source pixel under its centre. Without a turn this is done on the masks' runs, else on label
images.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.core.runs import ranges, union

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
    (x0, y0, x1, y1), shifted = _shown((image.shape[0], image.shape[1]), matrix, crop)
    window = image[y0:y1, x0:x1]
    factor = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if factor < SHRINK:
        height, width = (max(1, round(side * factor)) for side in window.shape[:2])
        ratio = np.array([window.shape[1] / width, window.shape[0] / height])
        small = cv2.resize(window, (width, height), interpolation=cv2.INTER_AREA)
        window = np.asarray(small, dtype=np.float32)
        shifted = np.column_stack([shifted[:, :2] * ratio, shifted[:, 2]])
    warped = cv2.warpAffine(
        window, _centers(shifted), crop[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, dtype=np.float32).reshape(*crop, image.shape[2])


def inside(size: Size, matrix: Affine, crop: Size) -> NDArray[np.bool_]:
    """(*crop,) True where the crop shows the image of ``size`` (height, width)."""
    column, row = _source_pixels(matrix, crop)
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
    masks = _warp_runs(truth.masks, matrix, crop)
    if masks is None:
        masks = _warp_pixels(truth.masks, matrix, crop)
    kept = np.flatnonzero(masks.area >= max(1, min_area))
    return _chosen(truth, kept, crop, masks[kept])


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


def _warp_runs(masks: Masks, matrix: Affine, crop: Size) -> Masks | None:
    """The masks in the crop, some empty; None where the map turns them, for runs stand upright."""
    column, row = _source_pixels(matrix, crop)
    if column.shape[0] != 1 or row.shape[1] != 1:
        return None
    r = masks.runs
    left, right = _targets(column[0], r.x, r.x + 1)
    top, bottom = _targets(row[:, 0], r.y, r.y + r.length)
    seen = np.flatnonzero((right > left) & (bottom > top))
    number = (right - left)[seen]
    each = np.repeat(seen, number)
    x = ranges(left[seen], number)
    return Masks(crop, union(r.owner[each], x, top[each], (bottom - top)[each], len(masks), crop))


def _targets(
    source: NDArray[np.int64], first: NDArray[np.integer[Any]], end: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stretches [begin, end) of the crop whose ``source`` pixels, rising or falling, lie in [first, end)."""
    if source[0] <= source[-1]:
        return np.searchsorted(source, first), np.searchsorted(source, end)
    low, high = np.searchsorted(source[::-1], first), np.searchsorted(source[::-1], end)
    return len(source) - high, len(source) - low


def _warp_pixels(masks: Masks, matrix: Affine, crop: Size) -> Masks:
    """The masks in the crop, some empty, by as many label images as they overlap."""
    if not len(masks):
        return Masks.empty(crop)
    moved: list[Masks] = []
    window, matrix = _shown(masks.size, matrix, crop)
    masks = masks.window(*window)
    layer = _layers(masks)
    order = np.argsort(layer, kind="stable")
    column, row = _source_pixels(matrix, crop)
    height, width = masks.size
    known = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    source = np.where(known, row * width + column, height * width)  # (*crop,) into the flat window and a zero
    for members in np.split(order, np.cumsum(np.bincount(layer))[:-1]):
        labels = np.append(masks[members].to_label_image(), np.int32(0)).take(source)
        moved.append(Masks.from_label_image(labels, np.arange(1, len(members) + 1)))
    return Masks.concatenate(moved)[np.argsort(order)]


def _layers(masks: Masks) -> NDArray[np.int64]:
    """(N,) a layer for each mask, few in all, so that those of one layer share no pixel."""
    layer = np.zeros(len(masks), dtype=np.int64)
    i, j, _ = masks.intersection_pairs(masks)
    earlier = j < i
    for mask in np.unique(i[earlier]):  # greedy colouring, in order
        taken = layer[j[earlier & (i == mask)]]
        layer[mask] = np.setdiff1d(np.arange(len(taken) + 1), taken)[0]
    return layer


def _warp_boxes(truth: Instances, matrix: Affine, crop: Size, min_area: int) -> Instances:
    x1, y1, x2, y2 = truth.boxes.T
    corners = np.stack([x1, y1, x2, y1, x1, y2, x2, y2], axis=1).reshape(-1, 2)
    moved = np.clip(map_points(matrix, corners).reshape(-1, 4, 2), 0, crop[::-1])
    boxes = np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1).astype(np.float32)
    kept = np.flatnonzero(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) >= max(1, min_area))
    return _chosen(truth, kept, crop, None, boxes[kept])


def _shown(size: Size, matrix: Affine, crop: Size) -> tuple[tuple[int, int, int, int], Affine]:
    """The source's window (x0, y0, x1, y1) that the crop shows, two pixels wider, and the map from it."""
    corners = map_points(invert(matrix), _corners(crop))
    height, width = size
    x0, y0 = (int(v) for v in np.clip(np.floor(corners.min(axis=0)) - 2, 0, [width - 1, height - 1]))
    x1, y1 = (int(v) for v in np.clip(np.ceil(corners.max(axis=0)) + 2, [x0 + 1, y0 + 1], [width, height]))
    shifted = np.column_stack([matrix[:, :2], map_points(matrix, np.array([[x0, y0]]))[0]])
    return (x0, y0, x1, y1), shifted


def _source_pixels(matrix: Affine, crop: Size) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each pixel of the crop: column and row of the source under it, each to be broadcast to ``crop``."""
    back = invert(matrix)
    x, y = np.arange(crop[1])[None] + 0.5, np.arange(crop[0])[:, None] + 0.5
    # Without a term in x or y the sum stays a row or a column of numbers.
    parts = [[c * v for c, v in zip(back[k], (x, y), strict=False) if c] for k in (0, 1)]
    column, row = (np.floor(sum(parts[k]) + back[k, 2]).astype(np.int64) for k in (0, 1))
    return column, row


def _centers(matrix: Affine) -> Affine:
    """The same map between pixel-centre coordinates, as OpenCV counts: pixel (0, 0) is at 0, not at 0.5."""
    half = np.array([0.5, 0.5])
    return np.column_stack([matrix[:, :2], map_points(matrix, half[None])[0] - half])

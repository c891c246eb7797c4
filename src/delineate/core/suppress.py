"""Non-maximum suppression: of objects that overlap too much, only the best stays."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .boxes import overlapping_pairs
from .errors import InputError
from .masks import Masks

Ints = NDArray[np.int64]


def nms_boxes(boxes: ArrayLike, scores: ArrayLike, threshold: float, labels: ArrayLike | None = None) -> Ints:
    """Greedy suppression by box IoU, as ``torchvision.ops.nms`` (``batched_nms`` with labels).

    Args:
        boxes: (N, 4) xyxy.
        scores: (N,), higher is better; ties stay in the given order.
        threshold: an object goes when its IoU with a kept, better one is above this, 0..1.
        labels: (N,) classes; objects of different classes do not suppress each other.

    Returns:
        Kept indices by descending score, int64.

    Example:
        >>> nms_boxes([[0, 0, 4, 4], [0, 0, 4, 3], [9, 9, 10, 10]], [0.5, 0.9, 0.1], 0.5).tolist()
        [1, 2]
    """
    corners = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    score, label = _check(len(corners), scores, labels, threshold)
    i, j = overlapping_pairs(corners, corners)
    later = (i < j) & (label[i] == label[j])
    i, j = i[later], j[later]
    return _greedy(score, i, j, _pair_iou(corners, i, j).astype(np.float64) > threshold)


def nms_masks(
    masks: Masks,
    scores: ArrayLike,
    threshold: float,
    labels: ArrayLike | None = None,
    measure: Literal["iou", "ios"] = "iou",
) -> Ints:
    """Greedy suppression by what masks share: intersection over union, or over the smaller mask (``ios``).

    Arguments and result as :func:`nms_boxes`. Empty masks suppress nothing and are kept.
    """
    score, label = _check(len(masks), scores, labels, threshold)
    if measure not in ("iou", "ios"):
        raise InputError(f"nms_masks: expected measure 'iou' or 'ios', got {measure!r}; choose one")
    i, j, shared = masks.intersection_pairs(masks)
    later = (i < j) & (label[i] == label[j])
    i, j, shared = i[later], j[later], shared[later]
    area = masks.area
    whole = area[i] + area[j] - shared if measure == "iou" else np.minimum(area[i], area[j])
    return _greedy(score, i, j, shared / whole > threshold)


def _check(
    count: int, scores: ArrayLike, labels: ArrayLike | None, threshold: float
) -> tuple[NDArray[np.float64], Ints]:
    score = np.asarray(scores, dtype=np.float64).reshape(-1)
    label = (
        np.zeros(count, dtype=np.int64) if labels is None else np.asarray(labels, dtype=np.int64).reshape(-1)
    )
    if len(score) != count or len(label) != count:
        raise InputError(
            f"suppress: expected {count} scores and labels, got {len(score)} and {len(label)}; give one each"
        )
    if np.isnan(score).any():
        raise InputError("suppress: expected scores that are numbers, got NaN; check the model's output")
    if not 0 <= threshold <= 1:
        raise InputError(
            f"suppress: expected a threshold in 0..1, got {threshold}; it is an overlap fraction"
        )
    return score, label


def _pair_iou(boxes: NDArray[np.float32], i: Ints, j: Ints) -> NDArray[np.float32]:
    """IoU of boxes i with boxes j in float32, in torchvision's order of operations."""
    a, b = boxes[i], boxes[j]
    width = np.maximum(np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0]), np.float32(0))
    height = np.maximum(np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1]), np.float32(0))
    shared = width * height
    size_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    size_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    result: NDArray[np.float32] = shared / (size_a + size_b - shared)
    return result


def _greedy(scores: NDArray[np.float64], i: Ints, j: Ints, clash: NDArray[np.bool_]) -> Ints:
    """Kept indices by descending score, given the pairs (i, j) that may not both stay where clash is True."""
    order = np.argsort(-scores, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    p, q = rank[i[clash]], rank[j[clash]]
    better, worse = np.minimum(p, q), np.maximum(p, q)
    by_better = np.argsort(better, kind="stable")
    better, worse = better[by_better], worse[by_better]
    keep = np.ones(len(order), dtype=np.bool_)
    heads, starts = np.unique(better, return_index=True)
    ends = np.append(starts, len(better))[1:].tolist()
    for head, start, end in zip(heads.tolist(), starts.tolist(), ends, strict=True):
        if keep[head]:
            keep[worse[start:end]] = False
    return order[keep]

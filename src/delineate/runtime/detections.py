"""Detections of a fixed number inside a graph: the best of many, and of those that overlap the better one.

A graph has no lists of unforeseen length, so rows are never deleted: what goes gets a score of 0, and the
best K rows are kept, whatever they are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import nms

ROUNDS = 24
"""Of :func:`fixed_survivors`: chains of boxes that suppress each other are followed so far."""


def best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(B, N) -> values and indices (B, ``count`` or N) of the largest, in order."""
    top = scores.topk(min(count, scores.shape[1]), 1)
    return top.values, top.indices


def rows_of(table: Tensor, index: Tensor) -> Tensor:
    """(B, N, C) at (B, K) -> (B, K, C)."""
    return table.gather(1, index[..., None].expand(-1, -1, table.shape[2]))


def apart(pairs: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Of (...) row * ``count`` + column the rows and the columns; right for pairs below 2**24.

    By a quotient of floats, since exporters write ``//`` of whole numbers with operators that TensorRT lacks.
    """
    rows = (pairs / count).floor().long()
    return rows, pairs - rows * count


def within(boxes: Tensor, sizes: Tensor) -> Tensor:
    """(B, N, 4) boxes cut to images of (B, 2) height and width."""
    limit = torch.stack([sizes[:, 1], sizes[:, 0]], 1).repeat(1, 2)[:, None]
    return torch.minimum(boxes.clamp(min=0), limit)


def survivors(
    boxes: Tensor, scores: Tensor, threshold: float, groups: Tensor | None = None, *, plain: bool = False
) -> Tensor:
    """Which boxes stay when each deletes the worse ones of its group that overlap it more than ``threshold``.

    Args:
        boxes: (B, N, 4) xyxy, 0 or more.
        scores: (B, N), best first.
        threshold: IoU, 0..1.
        groups: (B, N) int64, 0 or more; None: all are one group.
        plain: without the operator for it, which TensorRT and others lack; see :func:`fixed_survivors`.

    Returns:
        (B, N) bool.
    """
    if threshold >= 1:
        return torch.ones_like(scores, dtype=torch.bool)
    if plain:
        same = None if groups is None else groups[:, :, None] == groups[:, None]
        return fixed_survivors(overlaps(boxes, boxes) > threshold, same)
    # Two boxes outside, which always stay: tracing takes lists of none or one for something else.
    outside = boxes.new_tensor([[-2.0, -2, -1, -1], [-4, -4, -3, -3]])
    flat = torch.cat([_apart(boxes, groups).reshape(-1, 4), outside])
    worth = F.pad(scores.reshape(-1), (0, 2), value=-1.0)
    stays = torch.zeros_like(worth).index_fill(0, nms(flat, worth, threshold), 1.0)
    return stays[:-2].view(scores.shape) > 0.5


def _apart(boxes: Tensor, groups: Tensor | None) -> Tensor:
    """Boxes moved so that those of other images and groups do not touch: groups by x, images by y.

    Two directions keep the coordinates small, so that float32 holds their fractions.
    """
    step = boxes.flatten().amax(0) + 1
    images = torch.arange(boxes.shape[0], dtype=boxes.dtype, device=boxes.device) * step
    down = images[:, None].expand(boxes.shape[:2])
    across = torch.zeros_like(down) if groups is None else groups.to(boxes.dtype) * step
    return boxes + torch.stack([across, down, across, down], 2)


def overlaps(a: Tensor, b: Tensor) -> Tensor:
    """(..., N, 4) and (..., M, 4) xyxy -> (..., N, M) intersection over union; 0 without any area."""
    low, high = (
        pick(a[..., :, None, side], b[..., None, :, side])
        for pick, side in ((torch.maximum, slice(0, 2)), (torch.minimum, slice(2, 4)))
    )
    shared = (high - low).clamp(min=0).prod(-1)
    area_a, area_b = ((c[..., 2] - c[..., 0]) * (c[..., 3] - c[..., 1]) for c in (a, b))
    return shared / (area_a[..., :, None] + area_b[..., None, :] - shared).clamp(min=1e-12)


def fixed_survivors(clash: Tensor, same: Tensor | None = None) -> Tensor:
    """Greedy suppression in a fixed number of products, which any runtime knows.

    Row j stays if no better row that stays itself clashes with it. That sentence is repeated, each time with
    what the last said of the better rows: after r rounds it is right for all rows that hang on chains of at
    most r others, so for all but contrived scenes after :data:`ROUNDS`.

    Args:
        clash: (..., N, N) bool, rows best first; only the part above the diagonal is read.
        same: (..., N, N) bool, or None: only rows that belong together may clash.

    Returns:
        (..., N) bool.
    """
    count = clash.shape[-1]
    place = torch.arange(count, device=clash.device)
    deletes = clash & (place[:, None] < place)
    if same is not None:
        deletes = deletes & same
    weights = deletes.float()
    stays = torch.ones_like(weights[..., :1, :])  # (..., 1, N)
    for _ in range(ROUNDS):
        stays = (stays @ weights < 0.5).float()
    return stays[..., 0, :] > 0.5

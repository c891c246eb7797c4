"""Boxes as numbers in 0..1 and as logits; their generalised IoU (Rezatofighi et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

EPS = 1e-6


def inverse_sigmoid(x: Tensor, eps: float = 1e-5) -> Tensor:
    """Logits of numbers in 0..1; finite for 0 and 1."""
    x = x.clamp(0, 1)
    return torch.log(x.clamp(min=eps) / (1 - x).clamp(min=eps))


def corners(boxes: Tensor) -> Tensor:
    """(..., 4) centre x, y, width, height -> x1, y1, x2, y2."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


def generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """(..., 4) and (..., 4) x1, y1, x2, y2, broadcast against each other -> (...) in -1..1."""
    shared = (
        (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    )
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared
    hull = (
        (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    )
    return shared / (union + EPS) - (hull - union) / (hull + EPS)


def boxes_of_masks(logits: Tensor) -> Tensor:
    """Boxes around where mask logits are above 0, as MaskDINO's ``mask2box`` draws them.

    From the first to the last index, so one cell short at the far sides; an empty mask gives a box beyond
    the image. Both are the original's, which its weights were trained with.

    Args:
        logits: (B, Q, h, w).

    Returns:
        (B, Q, 4) centre x, y, width, height in parts of the map.
    """
    height, width = logits.shape[2:]
    inside = logits > 0
    sides = []
    for occupied, extent in ((inside.any(2), width), (inside.any(3), height)):  # (B, Q, extent)
        place = torch.arange(extent, dtype=logits.dtype, device=logits.device)
        first = place.masked_fill(~occupied, 1e8).amin(2)
        last = place.masked_fill(~occupied, 0).amax(2)
        sides.append((first / extent, last / extent))
    (x1, x2), (y1, y2) = sides
    return torch.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], 2)

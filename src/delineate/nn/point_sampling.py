"""Masks at points: bilinear samples, and where to take them (Kirillov et al. 2020, "PointRend", section 3.1).

Points are x, y in 0..1 of the padded image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def sample_points(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of maps at points; zeros beyond the border.

    Args:
        maps: (N, C, h, w).
        points: (N, P, 2) x, y in 0..1.

    Returns:
        (N, C, P).
    """
    return F.grid_sample(maps, points[:, :, None] * 2 - 1, align_corners=False)[..., 0]


def sample_masks(masks: Tensor, points: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear values of binary masks at points, without a float copy of the masks.

    Args:
        masks: (N, h, w) bool or uint8, of an image that is padded to ``size`` at right and bottom.
        points: (N or 1, P, 2) x, y in 0..1 of ``size``.
        size: (height, width) of the padded image.

    Returns:
        (N, P) float32 in 0..1.
    """
    count, height, width = masks.shape
    x = points[..., 0] * size[1] - 0.5
    y = points[..., 1] * size[0] - 0.5
    left, top = x.floor(), y.floor()
    flat = masks.reshape(count, height * width)
    total = x.new_zeros(count, x.shape[1])
    for row, share_y in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, share_x in ((left, 1 - (x - left)), (left + 1, x - left)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            cell = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).long()
            value = flat.gather(1, cell.expand(count, -1)).to(x.dtype)
            total = total + value * (share_x * share_y * inside)
    return total


def uncertain_points(logits: Tensor, count: int, oversample: float = 3.0, important: float = 0.75) -> Tensor:
    """Random points, most of them where the mask is undecided; drawn from torch's generator.

    Args:
        logits: (N, h, w) of N masks.
        count: P points per mask.
        oversample: so many times P are drawn, of which the most uncertain are kept.
        important: part of P that is chosen by uncertainty; the rest is uniform.

    Returns:
        (N, P, 2) x, y in 0..1, without gradient.
    """
    masks = len(logits)
    drawn = torch.rand(masks, int(count * oversample), 2, device=logits.device)
    chosen = int(important * count)
    with torch.no_grad():
        doubt = -sample_points(logits.detach()[:, None].float(), drawn)[:, 0].abs()  # (N, 3 P)
        best = doubt.topk(chosen, 1).indices
        kept = drawn.gather(1, best[..., None].expand(-1, -1, 2))
    rest = torch.rand(masks, count - chosen, 2, device=logits.device)
    return torch.cat([kept, rest], 1)

"""Anchor points: the centres of the cells of a pyramid's maps, each with its stride.

Tian et al. 2019, "FCOS", section 3.1. A cell (i, j) of stride s stands for the point ((j + 0.5) s,
(i + 0.5) s).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def anchor_points(maps: Sequence[Tensor], strides: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The points of all levels, level by level, row by row.

    Args:
        maps: one (B, C, h, w) per level; only shape, device and type are read.
        strides: of each level, in pixels of the network's input.

    Returns:
        (A, 2) float32 x, y in pixels of the network's input, and (A, 1) float32 stride of each.

    Example:
        >>> points, strides = anchor_points([torch.zeros(1, 1, 1, 2)], [8])
        >>> points.tolist(), strides.tolist()
        ([[4.0, 4.0], [12.0, 4.0]], [[8.0], [8.0]])
    """
    points, sizes = [], []
    for level, stride in zip(maps, strides, strict=True):
        height, width = level.shape[2], level.shape[3]
        y = (torch.arange(height, dtype=torch.float32, device=level.device) + 0.5) * stride
        x = (torch.arange(width, dtype=torch.float32, device=level.device) + 0.5) * stride
        grid = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], 2)  # (h, w, 2)
        points.append(grid.reshape(-1, 2))
        sizes.append(torch.full((height * width, 1), float(stride), device=level.device))
    return torch.cat(points), torch.cat(sizes)

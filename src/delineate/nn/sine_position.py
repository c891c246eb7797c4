"""Where a cell lies, as sines and cosines (Carion et al. 2020, "DETR", appendix A.4)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

TEMPERATURE = 10000.0


def sine_position(size: tuple[int, int], channels: int, like: Tensor) -> Tensor:
    """The position code of every cell of a map.

    Args:
        size: (height, width) in cells.
        channels: of the code; the first half tells y, the second x, sines and cosines in turn.
        like: its device and type are taken.

    Returns:
        (height * width, channels), row by row. The first cell stands at 1 / n, the last at 1, of a full turn.
    """
    height, width = size
    y = _code(height, channels // 2, like)[:, None].expand(-1, width, -1)
    x = _code(width, channels // 2, like)[None].expand(height, -1, -1)
    return torch.cat([y, x], 2).view(height * width, channels)


def _code(count: int, channels: int, like: Tensor) -> Tensor:
    """(count, channels) of cells 1..count along one axis."""
    place = torch.arange(1, count + 1, dtype=like.dtype, device=like.device)
    place = place / (count + 1e-6) * (2 * math.pi)
    return sine_of(place, channels)


def sine_of(place: Tensor, channels: int) -> Tensor:
    """(...) numbers -> (..., channels): sin and cos in turn, of wavelengths rising to 2 pi * 10000."""
    power = torch.arange(channels // 2, dtype=place.dtype, device=place.device) * 2 / channels
    angle = place[..., None] / TEMPERATURE**power
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)

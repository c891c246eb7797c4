"""Boxes as offsets from reference boxes, and back.

Girshick et al. 2014, "Rich feature hierarchies", appendix C; Ren et al. 2015, "Faster R-CNN", equation 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

LARGEST_LOG_SCALE = math.log(1000.0 / 16)  # a box grows at most 62.5 times in one step


def encode(boxes: Tensor, references: Tensor, weights: Sequence[float] = (1, 1, 1, 1)) -> Tensor:
    """(N, 4) offsets (dx, dy, dw, dh) that lead from references to boxes; the inverse of :func:`decode`.

    Args:
        boxes: (N, 4) xyxy, in pixels.
        references: (N, 4) xyxy, in pixels, with positive sides.
        weights: factors of dx, dy, dw, dh that bring them to unit scale.

    Example:
        >>> encode(torch.tensor([[0., 0, 4, 4]]), torch.tensor([[0., 0, 2, 4]])).tolist()
        [[0.5, 0.0, 0.6931471824645996, 0.0]]
    """
    ref_size = references[:, 2:] - references[:, :2]
    ref_centre = references[:, :2] + 0.5 * ref_size
    size = boxes[:, 2:] - boxes[:, :2]
    centre = boxes[:, :2] + 0.5 * size
    scale = boxes.new_tensor(list(weights))
    return torch.cat([(centre - ref_centre) / ref_size, torch.log(size / ref_size)], dim=1) * scale


def decode(offsets: Tensor, references: Tensor, weights: Sequence[float] = (1, 1, 1, 1)) -> Tensor:
    """(N, 4) boxes, xyxy in pixels; the inverse of :func:`encode`. dw and dh are cut at log(1000 / 16).

    Args:
        offsets: (N, 4) dx, dy, dw, dh.
        references: (N, 4) xyxy, in pixels.
        weights: as given to :func:`encode`.
    """
    dx, dy, dw, dh = (offsets / offsets.new_tensor(list(weights))).unbind(1)
    width, height = references[:, 2] - references[:, 0], references[:, 3] - references[:, 1]
    x = dx * width + (references[:, 0] + 0.5 * width)
    y = dy * height + (references[:, 1] + 0.5 * height)
    half_w = 0.5 * torch.exp(dw.clamp(max=LARGEST_LOG_SCALE)) * width
    half_h = 0.5 * torch.exp(dh.clamp(max=LARGEST_LOG_SCALE)) * height
    return torch.stack([x - half_w, y - half_h, x + half_w, y + half_h], dim=1)


def clip(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, 4) boxes cut to an image of ``size`` (height, width), in pixels."""
    height, width = size
    x = boxes[:, 0::2].clamp(0, width)
    y = boxes[:, 1::2].clamp(0, height)
    return torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=1)


def at_least(boxes: Tensor, side: float) -> Tensor:
    """(N,) bool: both sides are ``side`` pixels or longer."""
    return ((boxes[:, 2:] - boxes[:, :2]) >= side).all(dim=1)

"""Losses of boxes that are told as four distances from a point.

Complete IoU: Zheng et al. 2020, "Distance-IoU Loss", equations 10 and 11. Distribution focal loss: Li et al.
2020, "Generalized Focal Loss", equation 6: each distance is a distribution over whole numbers of strides, and
its expectation is the distance.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

EPS = 1e-7


def paired_iou(a: Tensor, b: Tensor) -> Tensor:
    """(N,) intersection over union of box i of ``a`` with box i of ``b``, (N, 4) xyxy each, in 0..1."""
    shared = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    whole = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - shared
    return shared / (whole + EPS)


def complete_iou(a: Tensor, b: Tensor) -> Tensor:
    """(N,) complete IoU, at most 1: IoU less penalties for distant centres and unlike aspects.

    Args:
        a: (N, 4) xyxy.
        b: (N, 4) xyxy, the truth.

    The weight of the aspect's penalty is a constant to the gradient, as in the paper.
    """
    iou = paired_iou(a, b)
    span = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    apart = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2).square().sum(1)
    size_a, size_b = a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]
    turn_a = torch.atan(size_a[:, 0] / (size_a[:, 1] + EPS))
    turn_b = torch.atan(size_b[:, 0] / (size_b[:, 1] + EPS))
    aspect = (4 / math.pi**2) * (turn_b - turn_a).square()
    weight = (aspect / (1 - iou + aspect + EPS)).detach()
    return iou - apart / (span.square().sum(1) + EPS) - weight * aspect


def expected_distances(logits: Tensor, bins: int) -> Tensor:
    """(..., 4) expectations in strides of (..., 4 * bins) logits; sides vary slowest, bins fastest.

    With one bin there is no distribution: the distance is the logit's softplus.
    """
    if bins == 1:
        return F.softplus(logits)
    grid = torch.arange(bins, dtype=logits.dtype, device=logits.device)
    sides = logits.reshape(*logits.shape[:-1], 4, bins)
    return (sides.softmax(-1) * grid).sum(-1)  # not a matrix product, which autocast would round


def boxes_from_distances(points: Tensor, distances: Tensor) -> Tensor:
    """(..., 4) xyxy from (..., 2) points and (..., 4) distances left, top, right, bottom, in pixels.

    Example:
        >>> boxes_from_distances(torch.tensor([[8.0, 8.0]]), torch.tensor([[1.0, 2.0, 3.0, 4.0]])).tolist()
        [[7.0, 6.0, 11.0, 12.0]]
    """
    return torch.cat([points - distances[..., :2], points + distances[..., 2:]], -1)


def distances_from_boxes(points: Tensor, boxes: Tensor) -> Tensor:
    """(..., 4) distances left, top, right, bottom; the inverse of :func:`boxes_from_distances`."""
    return torch.cat([points - boxes[..., :2], boxes[..., 2:] - points], -1)


def distribution_focal_loss(logits: Tensor, distances: Tensor, bins: int) -> Tensor:
    """(N,) cross entropy with the two bins that enclose each true distance, mean over the four sides.

    Args:
        logits: (N, 4 * bins).
        distances: (N, 4) true distances in strides; cut to 0..bins - 1.
        bins: of each side, at least 2.
    """
    target = distances.clamp(0, bins - 1 - 0.01)
    low = target.floor()
    share = target - low  # of the upper bin
    logs = logits.reshape(-1, 4, bins).log_softmax(-1)  # (N, 4, bins)
    index = low.long().unsqueeze(-1)
    below, above = logs.gather(-1, index)[..., 0], logs.gather(-1, index + 1)[..., 0]
    loss: Tensor = -(below * (1 - share) + above * share).mean(-1)
    return loss

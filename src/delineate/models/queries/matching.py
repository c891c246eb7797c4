"""Which query answers for which object: the cheapest one-to-one assignment (Carion et al. 2020, section 3.1).

The mask costs are taken at random points, the same for all queries and objects of an image (Cheng et al.
2022, "Mask2Former", section 3.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from delineate.nn.point_sampling import sample_masks, sample_points


@dataclass(frozen=True)
class Targets:
    """The objects of one image, as losses need them.

    Attributes:
        labels: (N,) int64.
        boxes: (N, 4) centre x, y, width, height in 0..1 of the unpadded image.
        masks: (N, h, w) bool of the unpadded image.
    """

    labels: Tensor
    boxes: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Weights:
    """What each part counts, in the loss and in the matching.

    Attributes:
        classes: of the class.
        mask: of the masks' binary cross entropy.
        dice: of the masks' overlap.
        box: of the boxes' L1 distance.
        giou: of the boxes' generalised IoU.
    """

    classes: float = 2.0
    mask: float = 5.0
    dice: float = 5.0
    box: float = 0.0
    giou: float = 0.0


def mask_costs(logits: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Cross entropy and Dice of every query with every object.

    Args:
        logits: (Q, P) at P points.
        truth: (N, P) in 0..1.

    Returns:
        (Q, N) mean binary cross entropy and (Q, N) Dice distance, with 1 added on both sides.
    """
    points = logits.shape[1]
    entropy = (F.softplus(-logits) @ truth.T + F.softplus(logits) @ (1 - truth).T) / points
    probability = logits.sigmoid()
    shared = probability @ truth.T
    total = probability.sum(1)[:, None] + truth.sum(1)
    return entropy, 1 - (2 * shared + 1) / (total + 1)


def points_of(
    vectors: Tensor, features: Tensor, truth: Targets, points: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Mask logits (Q, P) of all queries and truth (N, P) at the points (P, 2) of one image.

    ``vectors`` (Q, C) and ``features`` (C, h, w) make the masks; ``size`` is the padded image's.
    """
    at = sample_points(features[None], points[None])[0]  # (C, P)
    return vectors @ at, sample_masks(truth.masks, points[None], size)


def assign(cost: Tensor) -> tuple[Tensor, Tensor]:
    """(Q, N) cost -> indices of the matched queries, rising, and of their objects."""
    rows, columns = linear_sum_assignment(cost.detach().float().cpu().numpy())
    device = cost.device
    return torch.as_tensor(rows, device=device), torch.as_tensor(columns, device=device)

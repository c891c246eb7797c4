"""Which true object each anchor or proposal stands for, and which of them train.

Ren et al. 2015, "Faster R-CNN", section 3.1.2; Girshick 2015, "Fast R-CNN", section 2.3.
"""

from __future__ import annotations

import torch
from torch import Tensor

BACKGROUND = -1
BETWEEN = -2


def match(iou: Tensor, foreground: float, background: float, keep_best: bool = False) -> Tensor:
    """(P,) int64: per candidate the index of its true object, ``BACKGROUND`` or ``BETWEEN``.

    A candidate belongs to the object it overlaps most if their IoU reaches ``foreground``, is background
    below ``background`` and neither in between.

    Args:
        iou: (G, P) IoU of G true objects and P candidates, 0..1; G may be 0.
        foreground: IoU from which a candidate is an object.
        background: IoU below which it is background; at most ``foreground``.
        keep_best: keep also, below ``foreground``, every candidate that ties for some object's best IoU; it
            goes to the object that *it* overlaps most, which need not be that one.

    Example:
        >>> match(torch.tensor([[0.8, 0.4, 0.1], [0.2, 0.0, 0.2]]), 0.7, 0.3).tolist()
        [0, -2, -1]
        >>> match(torch.tensor([[0.8, 0.4, 0.1], [0.2, 0.0, 0.2]]), 0.7, 0.3, keep_best=True).tolist()
        [0, -2, 1]
    """
    if iou.shape[0] == 0 or iou.shape[1] == 0:
        return torch.full((iou.shape[1],), BACKGROUND, dtype=torch.int64, device=iou.device)
    best, owner = iou.max(dim=0)
    matched = owner.clone()
    matched[best < background] = BACKGROUND
    matched[(best >= background) & (best < foreground)] = BETWEEN
    if keep_best:
        ties = (iou == iou.max(dim=1, keepdim=True).values).any(dim=0)
        matched[ties] = owner[ties]
    return matched


def sample(matched: Tensor, count: int, positive_fraction: float) -> tuple[Tensor, Tensor]:
    """Random positives and negatives of one image, from torch's global generator.

    Args:
        matched: (P,) as :func:`match` gives.
        count: how many candidates train at most; negatives fill what positives leave.
        positive_fraction: positives are at most this part of ``count``, 0..1.

    Returns:
        Indices of the positives and of the negatives, int64, in random order.
    """
    positive = torch.where(matched >= 0)[0]
    negative = torch.where(matched == BACKGROUND)[0]
    positives = min(len(positive), int(count * positive_fraction))
    negatives = min(len(negative), count - positives)
    chosen = torch.randperm(len(positive), device=matched.device)[:positives]
    others = torch.randperm(len(negative), device=matched.device)[:negatives]
    return positive[chosen], negative[others]

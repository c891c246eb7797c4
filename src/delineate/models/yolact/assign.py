"""Which object each prior trains on, and which background priors train at all.

Bolya et al. 2019, "YOLACT", section 4 (as Liu et al. 2016, "SSD", section 2.2, "Matching strategy" and "Hard
negative mining").
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import box_iou

from delineate.nn.matching import BACKGROUND, BETWEEN


def assign(
    priors: Tensor, truth: Tensor, crowds: Tensor, positive: float, negative: float, crowd: float
) -> Tensor:
    """(A,) int64: per prior the index of its object, ``BACKGROUND`` or ``BETWEEN`` (does not train).

    A prior takes the object it overlaps most, from an IoU of ``positive`` on; below ``negative`` it is
    background. Besides, every object gets a prior of its own: of all pairs the one with the highest IoU is
    bound, its object and its prior leave, and so on.

    Args:
        priors: (A, 4) xyxy in pixels of the network's input.
        truth: (G, 4) true boxes; G may be 0.
        crowds: (C, 4) boxes of crowd regions; C may be 0.
        positive: IoU from which a prior is an object.
        negative: IoU below which it is background.
        crowd: a background prior of which more than this part lies in a crowd region does not train.
    """
    matched = torch.full((len(priors),), BACKGROUND, dtype=torch.int64, device=priors.device)
    if len(truth):
        iou = box_iou(truth, priors)  # (G, A)
        best, owner = iou.max(dim=0)
        matched = torch.where(best >= positive, owner, BETWEEN)
        matched[best < negative] = BACKGROUND
        bound = _own_prior(iou)
        matched[bound] = torch.arange(len(bound), device=priors.device)
    if len(crowds):
        part = _covered(priors, crowds)
        matched[(matched < 0) & (part > crowd)] = BETWEEN
    return matched


def _own_prior(iou: Tensor) -> Tensor:
    """(G,) a prior for each object, no two the same, greedily by IoU; ``iou`` (G, A) is used up."""
    value, at = iou.max(dim=1)
    if len(set(at.tolist())) == len(at):  # nobody wants another's: greedy choice comes to each one's best
        return at
    waiting = torch.ones_like(at, dtype=torch.bool)
    bound = at.clone()
    for _ in range(min(iou.shape)):
        row = int(torch.where(waiting, value, -1.0).argmax())
        column = int(at[row])
        bound[row] = column
        waiting[row] = False
        iou[:, column] = -1
        rivals = torch.where(waiting & (at == column))[0]
        if len(rivals):
            value[rivals], at[rivals] = iou[rivals].max(dim=1)
    return bound


def _covered(priors: Tensor, crowds: Tensor) -> Tensor:
    """(A,) the largest part of each prior that lies in one crowd region, 0..1."""
    low = torch.maximum(priors[:, None, :2], crowds[None, :, :2])
    high = torch.minimum(priors[:, None, 2:], crowds[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=2)  # (A, C)
    area = (priors[:, 2:] - priors[:, :2]).prod(dim=1)
    return (shared / area[:, None]).amax(dim=1)


def hard_negatives(logits: Tensor, matched: Tensor, ratio: float, least: int) -> Tensor:
    """Indices of the background priors of one image that train: those least sure to be background.

    Args:
        logits: (A, K + 1), background in column 0.
        matched: (A,) as :func:`assign` gives.
        ratio: so many for each positive prior,
        least: but at least so many.
    """
    background = torch.where(matched == BACKGROUND)[0]
    wanted = max(int(ratio * int((matched >= 0).sum())), least)
    rows = logits.detach()[background].float()
    loss = rows.logsumexp(1) - rows[:, 0]
    return background[loss.topk(min(wanted, len(background))).indices]

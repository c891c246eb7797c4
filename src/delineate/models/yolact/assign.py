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
    background. Besides, every object gets a prior of its own: of all pairs that overlap, the one with the
    highest IoU is bound, its object and its prior leave, and so on.

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
        objects, own = _own_prior(iou)
        matched[own] = objects
    if len(crowds):
        part = _covered(priors, crowds)
        matched[(matched < 0) & (part > crowd)] = BETWEEN
    return matched


def _own_prior(iou: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs (objects, priors), no object and no prior twice, greedily by IoU; ``iou`` (G, A) is used up."""
    value, at = iou.max(dim=1)
    if len(set(at.tolist())) == len(at):  # nobody wants another's: the greedy choice is each one's best
        objects = torch.where(value > 0)[0]
        return objects, at[objects]
    bound: list[tuple[int, int]] = []
    for _ in range(min(iou.shape)):
        row = int(value.argmax())
        if value[row] <= 0:
            break
        column = int(at[row])
        bound.append((row, column))
        iou[:, column] = 0
        value[row] = 0
        rivals = torch.where((value > 0) & (at == column))[0]
        if len(rivals):
            value[rivals], at[rivals] = iou[rivals].max(dim=1)
    pairs = torch.tensor(bound, dtype=torch.int64, device=iou.device).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


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

"""What YOLACT is trained for.

Bolya et al. 2019, "YOLACT", sections 3.1 (mask loss), 4.1 (class and box) and 5 ("Semantic Segmentation
Loss"); Bolya et al. 2020, "YOLACT++", section 6 (rating loss).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.nn.box_coding import encode
from delineate.nn.normaliser import mean_count

from .assign import assign, hard_negatives
from .coarse_masks import coarse_masks
from .priors import VARIANCES
from .prototypes import MaskRater, combine, inside

SMALLEST_RATED = 25  # cells of the prototype grid; the masks of smaller objects do not train the rating


@dataclass(frozen=True)
class Training:
    """How objects train the network; the numbers are the original's.

    Attributes:
        positive: IoU from which a prior is an object.
        negative: IoU below which it is background; between the two it does not train.
        crowd: a background prior of which more than this part lies in a crowd region does not train.
        negatives: background priors for each positive one, the hardest.
        least_negatives: but at least so many an image, so that images without objects train too.
        masks: at most so many priors an image train the masks, drawn at random.
        least_side: objects with a shorter side, in pixels of the network's input, do not train.
        box: weight of the box loss.
        mask: weight of the mask loss.
        semantic: weight of the semantic segmentation loss; 0 leaves it out.
        rating: weight of the loss of the mask rating network, where there is one.
    """

    positive: float = 0.5
    negative: float = 0.4
    crowd: float = 0.7
    negatives: float = 3.0
    least_negatives: int = 0
    masks: int = 100
    least_side: float = 4.0
    box: float = 1.5
    mask: float = 6.125
    semantic: float = 1.0
    rating: float = 25.0


class Raw(NamedTuple):
    """What the network says before anything is decoded.

    Attributes:
        priors: (A, 4) xyxy in pixels of the network's input.
        offsets: (B, A, 4).
        logits: (B, A, K + 1), background in column 0.
        coefficients: (B, A, P) in -1..1.
        prototypes: (B, P, h, w) at least 0.
    """

    priors: Tensor
    offsets: Tensor
    logits: Tensor
    coefficients: Tensor
    prototypes: Tensor


class Truth(NamedTuple):
    """The objects of one image.

    Attributes:
        boxes: (G, 4) xyxy in pixels of the network's input.
        labels: (G,) int64.
        crowds: (C, 4) boxes of crowd regions.
        masks: G masks in the network's frame.
    """

    boxes: Tensor
    labels: Tensor
    crowds: Tensor
    masks: Masks


def truth_of(targets: Sequence[Instances] | None, least_side: float, device: torch.device) -> list[Truth]:
    """The objects that train.

    Raises:
        InputError: no targets, or objects without masks.
    """
    if targets is None:
        raise InputError("losses: expected a batch with targets, got none; give targets to collate")
    result = []
    for each in targets:
        crowds = each[each.crowd]
        long = ((each.boxes[:, 2:] - each.boxes[:, :2]) >= least_side).all(1)
        solid = (each.boxes[:, 2:] > each.boxes[:, :2]).all(1)
        objects = each[~each.crowd & long & solid]
        if len(objects) and objects.masks is None:
            raise InputError(
                "losses: expected objects with masks, got boxes only; train a Faster R-CNN on boxes"
            )
        masks = Masks.empty(each.size) if objects.masks is None else objects.masks
        result.append(
            Truth(
                torch.from_numpy(objects.boxes.copy()).to(device),
                torch.from_numpy(objects.labels.copy()).to(device),
                torch.from_numpy(crowds.boxes.copy()).to(device),
                masks,
            )
        )
    return result


def detection_losses(
    raw: Raw, truth: Sequence[Truth], frame: tuple[int, int], settings: Training, rater: MaskRater | None
) -> dict[str, Tensor]:
    """``class``, ``box``, ``mask`` and, with a rater, ``rating``: sums over the batch per positive prior.

    Args:
        raw: of the network.
        truth: per image.
        frame: (height, width) of the padded network input.
        settings: see :class:`Training`.
        rater: YOLACT++'s mask rating network.
    """
    zero = (
        raw.logits.sum() * 0 + raw.offsets.sum() * 0 + raw.coefficients.sum() * 0 + raw.prototypes.sum() * 0
    )
    sums = {"class": zero, "box": zero, "mask": zero}
    if rater is not None:
        sums["rating"] = sum((p.sum() for p in rater.parameters()), zero) * 0
    count = 0
    for image, each in enumerate(truth):
        with torch.no_grad():
            matched = assign(
                raw.priors, each.boxes, each.crowds, settings.positive, settings.negative, settings.crowd
            )
            negative = hard_negatives(
                raw.logits[image], matched, settings.negatives, settings.least_negatives
            )
            positive = torch.where(matched >= 0)[0]
            owner = matched[positive]
        found = _class_and_box(raw, image, each, positive, owner, negative)
        found |= _masks(raw, image, each, (positive, owner), frame, settings, rater)
        sums = {name: value + found.get(name, 0) for name, value in sums.items()}
        count += len(positive)
    total = mean_count(torch.tensor(count, device=raw.logits.device))
    weights = {"class": 1.0, "box": settings.box, "mask": settings.mask, "rating": settings.rating}
    return {name: value * weights[name] / total for name, value in sums.items()}


def _class_and_box(
    raw: Raw, image: int, truth: Truth, positive: Tensor, owner: Tensor, negative: Tensor
) -> dict[str, Tensor]:
    """Sums of the cross entropy over positive and hard negative priors, and of smooth L1 over positives."""
    chosen = torch.cat([positive, negative])
    goal = torch.zeros(len(chosen), dtype=torch.int64, device=chosen.device)
    goal[: len(positive)] = truth.labels[owner] + 1
    shifts = encode(truth.boxes[owner], raw.priors[positive], VARIANCES)
    return {
        "class": F.cross_entropy(raw.logits[image, chosen], goal, reduction="sum"),
        "box": F.smooth_l1_loss(raw.offsets[image, positive], shifts, reduction="sum"),
    }


def _masks(
    raw: Raw,
    image: int,
    truth: Truth,
    matches: tuple[Tensor, Tensor],
    frame: tuple[int, int],
    settings: Training,
    rater: MaskRater | None,
) -> dict[str, Tensor]:
    """Sum over positives of the binary cross entropy in the true box, per cell of it; and the rating."""
    positive, owner = matches
    total = len(positive)
    if not total:
        return {}
    if total > settings.masks:
        drawn = torch.randperm(total, device=positive.device)[: settings.masks]
        positive, owner = positive[drawn], owner[drawn]
    prototypes = raw.prototypes[image]
    grid = (int(prototypes.shape[1]), int(prototypes.shape[2]))
    goals = torch.from_numpy(coarse_masks(truth.masks, frame, grid)).to(positive.device)[owner].float()
    cells = truth.boxes.new_tensor([grid[1] / frame[1], grid[0] / frame[0]]).repeat(2)
    boxes = truth.boxes[owner] * cells  # (M, 4) in cells
    crop = inside(boxes, grid)
    logits = combine(prototypes, raw.coefficients[image, positive])  # (M, h, w)
    errors = F.binary_cross_entropy_with_logits(logits, goals, reduction="none") * crop
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    found = {"mask": (errors.sum((1, 2)) / area).sum() * (total / len(positive))}
    if rater is not None:
        found["rating"] = _rating(rater, logits.detach().sigmoid() * crop, goals, truth.labels[owner])
    return found


def _rating(rater: MaskRater, masks: Tensor, goals: Tensor, labels: Tensor) -> Tensor:
    """Sum of smooth L1 between the rated and the real IoU; the masks themselves do not learn from it."""
    large = goals.sum((1, 2)) > SMALLEST_RATED
    masks, goals, labels = masks[large], goals[large], labels[large]
    drawn = (masks > 0.5).float()
    shared = (drawn * goals).sum((1, 2))
    iou = shared / (drawn.sum((1, 2)) + goals.sum((1, 2)) - shared)
    rated = rater(masks)[torch.arange(len(labels), device=labels.device), labels]
    return F.smooth_l1_loss(rated, iou, reduction="sum")


def semantic_loss(logits: Tensor, truth: Sequence[Truth], frame: tuple[int, int]) -> Tensor:
    """Binary cross entropy of each class's pixels, summed over classes, mean over cells and images.

    Args:
        logits: (B, K, h, w).
        truth: per image.
        frame: (height, width) of the padded network input.
    """
    goal = torch.zeros_like(logits)
    for image, each in enumerate(truth):
        masks = coarse_masks(each.masks, frame, (int(logits.shape[2]), int(logits.shape[3])))
        for label in sorted(set(each.labels.tolist())):
            of_class = (each.labels == label).cpu().numpy()
            goal[image, label] = torch.from_numpy(np.any(masks[of_class], axis=0)).to(goal)
    errors = F.binary_cross_entropy_with_logits(logits, goal, reduction="sum")
    return errors / (logits.shape[2] * logits.shape[3] * len(logits))

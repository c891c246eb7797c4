"""Losses of the dense head: classes, boxes, distances, masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from delineate.core.errors import InputError
from delineate.nn.box_losses import complete_iou, distances_from_boxes, distribution_focal_loss
from delineate.nn.normaliser import mean_count
from delineate.nn.task_aligned import Assignment, Truth, assign

from .contact import cell_weights, neighbourhood
from .ellipse import TERMS, quadratic
from .head import Head, Raw
from .mask_cells import Cells


@dataclass(frozen=True)
class LossSettings:
    """How the head learns.

    Attributes:
        classes: weight of the class loss.
        box: weight of the complete IoU loss.
        distances: weight of the distribution focal loss.
        mask: weight of the masks' binary cross entropy.
        dice: weight of the masks' Dice loss.
        points: points an object has in one-to-many assignment.
        alpha: exponent of the score in the assignment.
        beta: exponent of the complete IoU in it.
        mask_points: cells of an object's box that its mask loss looks at, at most; more are sampled.
        neighbours: how much more a cell counts in the masks' cross entropy where a neighbour covers it or
            where objects meet (see contact.py): fewer masks run into neighbours, and all are coarser.

    Raises:
        InputError: a negative value, or no points.
    """

    classes: float = 0.5
    box: float = 7.5
    distances: float = 1.5
    mask: float = 5.0
    dice: float = 3.0
    points: int = 10
    alpha: float = 0.5
    beta: float = 6.0
    mask_points: int = 784
    neighbours: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 1 if name in ("points", "mask_points") else 0
            if not isinstance(value, int | float) or not least <= value <= 1e6:
                raise InputError(f"losses.{name}: expected {least} to 1000000, got {value!r}; correct it")


class Scene(NamedTuple):
    """What all heads of a batch share.

    Attributes:
        points: (A, 2) x, y in pixels.
        strides: (A, 1) pixels.
        prototypes: (B, P, h, w).
        stride: of the prototypes.
        truth: the objects.
        cells: their masks on the prototypes' grid.
    """

    points: Tensor
    strides: Tensor
    prototypes: Tensor
    stride: int
    truth: Truth
    cells: Cells


def head_losses(head: Head, raw: Raw, scene: Scene, settings: LossSettings, one: bool) -> dict[str, Tensor]:
    """The named losses of one head.

    Args:
        head: for its bins.
        raw: what it said.
        scene: the batch.
        settings: weights and assignment.
        one: one point an object, else ``settings.points``.
    """
    raw = Raw(*(part.float() for part in raw))
    boxes = head.boxes(raw.distances, scene.points, scene.strides)
    found = assign(
        raw.logits.detach(), boxes.detach(), scene.points, scene.truth,
        most=1 if one else settings.points, alpha=settings.alpha, beta=settings.beta,
        smallest=2 * float(scene.strides.min()), rounds=3 if one else 1,
    )  # fmt: skip
    total = mean_count(found.target.sum())
    at = (found.image, found.point)
    labels = scene.truth.labels[found.truth]
    # binary cross entropy of all points with 0, corrected at the positives
    classes = F.softplus(raw.logits).sum() - (raw.logits[(*at, labels)] * found.target).sum()
    losses = {"class": settings.classes * classes / total}
    predicted, true = boxes[at], scene.truth.boxes[found.truth]
    overlap = ((1 - complete_iou(predicted, true)) * found.target).sum()
    losses["box"] = settings.box * overlap / total
    if head.bins > 1 and settings.distances:
        strides = scene.strides[found.point]
        target = distances_from_boxes(scene.points[found.point], true) / strides
        spread = distribution_focal_loss(raw.distances[at], target, head.bins)
        losses["distances"] = settings.distances * (spread * found.target).sum() / total
    masks = mask_losses(raw.coefficients[at], predicted.detach(), found, scene, settings)
    losses["mask"], losses["dice"] = settings.mask * masks[0], settings.dice * masks[1]
    return losses


def mask_losses(
    coefficients: Tensor, boxes: Tensor, found: Assignment, scene: Scene, settings: LossSettings
) -> tuple[Tensor, Tensor]:
    """Binary cross entropy and Dice of the positives' masks inside their objects' boxes, means over them.

    Only the cells of each box are computed, at most ``settings.mask_points`` of them, evenly spread
    where there are more.

    Args:
        coefficients: (P, C) of the positives.
        boxes: (P, 4) predicted by them, in which their ellipses lie.
        found: the positives.
        scene: prototypes and truth.
        settings: cells a positive, and how much neighbours count.
    """
    number = mean_count(torch.tensor(float(len(boxes)), device=boxes.device))
    if not len(boxes):
        nothing = scene.prototypes.float().sum() * 0 + coefficients.sum() * 0
        return nothing, nothing
    images, count, height, width = scene.prototypes.shape
    first, size = scene.cells.corner[found.truth], scene.cells.size[found.truth]  # (P, 2)
    cells = size.prod(1)
    looked = cells.clamp(max=settings.mask_points)
    owner = torch.repeat_interleave(torch.arange(len(boxes), device=boxes.device), looked)  # (N,)
    ends = looked.cumsum(0)
    step = torch.arange(len(owner), device=boxes.device) - (ends - looked)[owner]
    place = step
    if bool((looked < cells).any()):  # one random cell of every stretch
        spread = (cells / looked)[owner]
        place = ((step + torch.rand_like(spread)) * spread).long().clamp(max=cells[owner] - 1)
    x = place % size[owner, 0] + first[owner, 0]
    y = place // size[owner, 0] + first[owner, 1]
    target = scene.cells.values[scene.cells.offsets[found.truth][owner] + place]
    flat = scene.prototypes.float().permute(0, 2, 3, 1).reshape(images * height * width, count)
    spot = (found.image[owner] * height + y) * width + x
    features = F.embedding(spot, flat)  # (N, P)
    logits = (features * F.embedding(owner, coefficients[:, :count])).sum(1)
    if coefficients.shape[1] == count + TERMS:
        places = (torch.stack([x, y], 1) + 0.5) * scene.stride
        logits = logits + quadratic(F.embedding(owner, coefficients[:, count:]), boxes[owner], places)
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none") / looked[owner]
    if settings.neighbours:
        near = neighbourhood(scene.cells, scene.truth.image, (images, height, width))
        entropy = entropy * cell_weights(near, spot, target, settings.neighbours)
    probability = logits.sigmoid()
    sums = torch.zeros(len(boxes), 2, device=boxes.device)
    sums = sums.index_add(0, owner, torch.stack([probability * target, probability + target], 1))
    dice = 1 - (2 * sums[:, 0] + 1) / (sums[:, 1] + 1)
    return entropy.sum() / number, dice.sum() / number

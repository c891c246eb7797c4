"""The losses of Mask DINO (Li et al. 2023, section 3.4): focal class loss, and boxes beside masks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .boxes import corners, generalised_iou
from .criterion import Criterion, Pairs
from .decoder import Prediction
from .matching import Targets, mask_costs, points_of

ALPHA, GAMMA = 0.25, 2.0  # Lin et al. 2017, "Focal Loss"


class BoxCriterion(Criterion):
    """Matching and losses of class, mask and box: overrides cost, class loss and adds the boxes'."""

    def cost(
        self, prediction: Prediction, image: int, truth: Targets, points: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """(Q, N) cost of every query for every object of one image."""
        logits, true = points_of(
            prediction.vectors[image].float(), prediction.features[image].float(), truth, points, size
        )
        entropy, dice = mask_costs(logits, true)
        return (
            self.box_cost(prediction, image, truth) + self.weights.mask * entropy + self.weights.dice * dice
        )

    def box_cost(self, prediction: Prediction, image: int, truth: Targets) -> Tensor:
        """(Q, N) cost of class and box alone."""
        assert prediction.boxes is not None
        boxes = prediction.boxes[image].float()
        probability = prediction.classes[image].float().sigmoid()[:, truth.labels]
        right = ALPHA * (1 - probability) ** GAMMA * -(probability + 1e-8).log()
        wrong = (1 - ALPHA) * probability**GAMMA * -(1 - probability + 1e-8).log()
        distance = torch.cdist(boxes, truth.boxes, p=1)
        overlap = generalised_iou(corners(boxes)[:, None], corners(truth.boxes))
        weights = self.weights
        return weights.classes * (right - wrong) + weights.box * distance - weights.giou * overlap

    def layer(
        self,
        name: str,
        prediction: Prediction,
        targets: list[Targets],
        pairs: Pairs,
        count: Tensor,
        size: tuple[int, int],
    ) -> dict[str, Tensor]:
        """The losses of one prediction for given pairs; ``count`` is the number of objects."""
        losses = self.class_and_box(prediction, targets, pairs, count)
        mask, dice = self.masks(name, prediction, targets, pairs, size)
        return losses | {"mask": mask / count, "dice": dice / count}

    def class_and_box(
        self, prediction: Prediction, targets: list[Targets], pairs: Pairs, count: Tensor
    ) -> dict[str, Tensor]:
        """``class``, ``box`` and ``giou``, summed over the queries, divided by ``count``."""
        assert prediction.boxes is not None
        logits = prediction.classes.float()
        wanted = torch.zeros_like(logits)
        found, true = [], []
        for i, (queries, objects) in enumerate(pairs):
            wanted[i, queries, targets[i].labels[objects]] = 1
            found.append(prediction.boxes[i, queries].float())
            true.append(targets[i].boxes[objects])
        boxes, truth = torch.cat(found), torch.cat(true)
        overlap = generalised_iou(corners(boxes), corners(truth))
        return {
            "class": focal(logits, wanted) / count,
            "box": (boxes - truth).abs().sum() / count,
            "giou": (1 - overlap).sum() / count,
        }

    def weighted(self, losses: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Each part summed over the predictions, times its weight."""
        share = {
            "class": self.weights.classes, "mask": self.weights.mask, "dice": self.weights.dice,
            "box": self.weights.box, "giou": self.weights.giou,
        }  # fmt: skip
        return {name: sum_of(losses, name) * share[name] for name in share}


def sum_of(losses: list[dict[str, Tensor]], name: str) -> Tensor:
    """The sum of one part over the predictions that have it."""
    return torch.stack([layer[name] for layer in losses if name in layer]).sum()


def focal(logits: Tensor, wanted: Tensor) -> Tensor:
    """Sum of the focal loss (Lin et al. 2017) over all logits; ``wanted`` is 0 or 1."""
    probability = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    hit = probability * wanted + (1 - probability) * (1 - wanted)
    balance = ALPHA * wanted + (1 - ALPHA) * (1 - wanted)
    return (balance * (1 - hit) ** GAMMA * entropy).sum()

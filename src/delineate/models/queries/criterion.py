"""The losses of Mask2Former (Cheng et al. 2022, section 3.3), layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from delineate.nn.normaliser import mean_count
from delineate.nn.point_sampling import sample_masks, sample_points, uncertain_points

from .decoder import Prediction
from .matching import Targets, Weights, assign, mask_costs, points_of

Pairs = list[tuple[Tensor, Tensor]]
TINY = 1e-6


@dataclass(frozen=True)
class Points:
    """Where masks are compared; drawn from torch's generator.

    Attributes:
        count: P points per mask.
    """

    count: int = 12544

    def to_match(self, device: torch.device, name: str, image: int) -> Tensor:
        """(P, 2) for all queries and objects of one image."""
        return torch.rand(self.count, 2, device=device)

    def to_lose(self, logits: Tensor, name: str) -> Tensor:
        """(N, P, 2) for N matched masks of the whole batch, (N, h, w) logits."""
        return uncertain_points(logits, self.count)


class Criterion:
    """Matching and losses of class and mask.

    Args:
        classes: K.
        weights: of the parts.
        points: where masks are compared.
        no_object: weight of the class "no object".
    """

    def __init__(
        self,
        classes: int,
        weights: Weights | None = None,
        points: Points | None = None,
        no_object: float = 0.1,
    ) -> None:
        self.classes = classes
        self.weights = weights or Weights()
        self.points = points or Points()
        self.no_object = no_object

    def __call__(
        self, predictions: list[Prediction], targets: list[Targets], size: tuple[int, int]
    ) -> list[dict[str, Tensor]]:
        """The unweighted losses of every layer.

        Args:
            predictions: of the layers, the last one last.
            targets: of the B images.
            size: (height, width) of the padded images.

        Returns:
            Per layer ``class``, ``mask``, ``dice``.
        """
        count = mean_count(torch.tensor(sum(len(t) for t in targets), device=predictions[0].classes.device))
        return [
            self.layer(name, prediction, targets, self.match(name, prediction, targets, size), count, size)
            for name, prediction in self.named(predictions).items()
        ]

    @staticmethod
    def named(predictions: list[Prediction]) -> dict[str, Prediction]:
        """Of a decoder's layers: ``aux0``, ``aux1``, ... and ``last``."""
        names = [*(f"aux{i}" for i in range(len(predictions) - 1)), "last"]
        return dict(zip(names, predictions, strict=True))

    def weighted(self, losses: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Each part summed over the layers, times its weight."""
        share = {"class": self.weights.classes, "mask": self.weights.mask, "dice": self.weights.dice}
        return {name: sum(layer[name] for layer in losses) * share[name] for name in share}  # type: ignore[misc]

    @torch.no_grad()
    def match(
        self, name: str, prediction: Prediction, targets: list[Targets], size: tuple[int, int]
    ) -> Pairs:
        """Per image the matched queries and their objects."""
        pairs: Pairs = []
        for i, truth in enumerate(targets):
            points = self.points.to_match(prediction.classes.device, name, i)
            pairs.append(assign(self.cost(prediction, i, truth, points, size)))
        return pairs

    def cost(
        self, prediction: Prediction, image: int, truth: Targets, points: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """(Q, N) cost of every query for every object of one image."""
        logits, true = points_of(
            prediction.vectors[image].float(), prediction.features[image].float(), truth, points, size
        )
        entropy, dice = mask_costs(logits, true)
        probability = prediction.classes[image].float().softmax(1)[:, truth.labels]
        weights = self.weights
        return weights.mask * entropy + weights.dice * dice - weights.classes * probability

    def layer(
        self,
        name: str,
        prediction: Prediction,
        targets: list[Targets],
        pairs: Pairs,
        count: Tensor,
        size: tuple[int, int],
    ) -> dict[str, Tensor]:
        """The losses of one layer for given pairs; ``count`` is the batch's number of objects."""
        logits = prediction.classes.float()
        wanted = torch.full(logits.shape[:2], self.classes, device=logits.device)
        for i, (queries, objects) in enumerate(pairs):
            wanted[i, queries] = targets[i].labels[objects]
        weight = logits.new_ones(self.classes + 1)
        weight[-1] = self.no_object
        entropy = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), weight, reduction="sum")
        entropy = entropy / mean_count(weight[wanted].sum(), TINY)  # the weighted mean over all queries
        mask, dice = self.masks(name, prediction, targets, pairs, size)
        return {"class": entropy, "mask": mask / count, "dice": dice / count}

    def masks(
        self,
        name: str,
        prediction: Prediction,
        targets: list[Targets],
        pairs: Pairs,
        size: tuple[int, int],
    ) -> tuple[Tensor, Tensor]:
        """Cross entropy and Dice distance of the matched masks at their points, summed over the masks."""
        flat = torch.cat(
            [
                (prediction.vectors[i, queries] @ prediction.features[i].flatten(1)).float()
                for i, (queries, _) in enumerate(pairs)
            ]
        )
        logits = torch.unflatten(flat, 1, prediction.features.shape[2:])  # (N, h, w) of the whole batch
        if not len(logits):
            nothing = (prediction.vectors.sum() + prediction.features.sum()).float() * 0
            return nothing, nothing
        points = self.points.to_lose(logits, name)  # (N, P, 2)
        guess = sample_points(logits[:, None], points)[:, 0]  # (N, P)
        with torch.no_grad():
            parts = torch.split(points, [len(queries) for queries, _ in pairs])
            true = torch.cat(
                [
                    sample_masks(truth.masks[objects], part, size)
                    for truth, (_, objects), part in zip(targets, pairs, parts, strict=True)
                ]
            )
        entropy = F.binary_cross_entropy_with_logits(guess, true, reduction="none").mean(1).sum()
        probability = guess.sigmoid()
        shared, total = (probability * true).sum(1), probability.sum(1) + true.sum(1)
        return entropy, (1 - (2 * shared + 1) / (total + 1)).sum()

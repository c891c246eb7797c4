"""Mask DINO: queries with boxes and masks, chosen from the encoder's cells, trained also by denoising.

Li, Zhang, Xu, Liu, Zhang, Ni and Shum 2023, "Mask DINO: Towards A Unified Transformer-based Framework for
Object Detection and Segmentation". What it changes in :class:`Mask2Former`: the decoder, the class loss
(focal, no class for "no object"), the box losses, denoising.
"""

from __future__ import annotations

import torch
from torch import Tensor

from delineate.core.batch import Batch
from delineate.nn.normaliser import largest_count, mean_count

from .box_criterion import BoxCriterion
from .box_decoder import BoxDecoder, Outcome
from .decoder import Prediction
from .denoising import Noise, noisy_queries
from .mask2former import Mask2Former, targets_of
from .segments import Ranking

TEMPERATURE = 0.06
"""Of the softmax by which queries compete for pixels."""


class MaskDINO(Mask2Former):
    """As :class:`Mask2Former`, with a :class:`BoxDecoder` and a :class:`BoxCriterion`.

    Attributes:
        noise: how denoising queries are disturbed.
    """

    family = "maskdino"
    sure_above = 0.25
    decoder: BoxDecoder
    criterion: BoxCriterion
    noise: Noise

    def predictions(self, images: Tensor) -> list[Prediction]:
        """Of every layer, the untouched queries' first."""
        return self.outcome(images).layers

    def outcome(self, images: Tensor) -> Outcome:
        """All that is said on the way, without denoising."""
        result: Outcome = self.decoder(self.pixel_decoder(self.backbone(images)))
        return result

    def scores(self, classes: Tensor) -> Tensor:
        """(B, Q, K) logits -> (B, Q, K) probabilities."""
        return classes.float().sigmoid()

    def ranking(self, classes: Tensor) -> Ranking:
        """(B, Q, K) logits -> how queries compete for pixels: a sharp softmax of the probabilities."""
        chances = classes.float().sigmoid()
        return Ranking((chances / TEMPERATURE).softmax(2), chances.amax(2))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Class, mask, Dice, box and GIoU losses, each summed over the layers; denoising's end in ``_dn``."""
        named = self.named_losses(batch)
        denoising = {name: value for name, value in named.items() if name.startswith("dn_")}
        plain = {name: value for name, value in named.items() if name not in denoising}
        losses = self.criterion.weighted(list(plain.values()))
        if denoising:
            parts = self.criterion.weighted(list(denoising.values()))
            losses |= {f"{name}_dn": value for name, value in parts.items()}
        return losses

    def named_losses(self, batch: Batch) -> dict[str, dict[str, Tensor]]:
        """The unweighted losses of every prediction: ``interm``, ``aux0``.., ``last`` and ``dn_aux0``..."""
        targets = targets_of(batch)
        size = (int(batch.images.shape[2]), int(batch.images.shape[3]))
        pyramid = self.pixel_decoder(self.backbone(batch.images))
        device = batch.images.device
        slots = largest_count(torch.tensor(max(len(t) for t in targets), device=device))
        noisy = noisy_queries(targets, self.decoder.labels, self.noise, slots)
        outcome: Outcome = self.decoder(pyramid, None if noisy is None else noisy[0])
        extra = 0 if noisy is None else noisy[0].content.shape[1]
        count = mean_count(torch.tensor(sum(len(t) for t in targets), device=device))
        criterion = self.criterion
        plain = {"interm": outcome.selected} | self.extra_predictions(outcome)
        plain |= {name: part(p, extra, None) for name, p in criterion.named(outcome.layers).items()}
        losses = {}
        for name, prediction in plain.items():
            pairs = criterion.match(name, prediction, targets, size)
            losses[name] = criterion.layer(name, prediction, targets, pairs, count, size)
        if noisy is not None:
            groups = noisy[1]
            for name, prediction in criterion.named(outcome.layers).items():
                losses[f"dn_{name}"] = criterion.layer(
                    f"dn_{name}", part(prediction, 0, extra), targets, groups.pairs(targets),
                    count * groups.groups, size,
                )  # fmt: skip
        return losses

    def extra_predictions(self, outcome: Outcome) -> dict[str, Prediction]:
        """Further predictions that are trained; none here."""
        return {}


def part(prediction: Prediction, first: int, last: int | None) -> Prediction:
    """The predictions of some of the queries."""
    classes, vectors, features, boxes = prediction
    return Prediction(
        classes[:, first:last],
        vectors[:, first:last],
        features,
        None if boxes is None else boxes[:, first:last],
    )

"""Mask2Former: queries that look only where their own mask is.

Cheng, Misra, Schwing, Kirillov and Girdhar 2022, "Masked-attention Mask Transformer for Universal Image
Segmentation". A backbone, a pixel decoder, a decoder of learnt queries; each query ends as a class and a
mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from delineate.core.batch import Batch, InputSpec
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic
from delineate.core.semantic import Semantic
from delineate.models.base import Segmenter

from .box_decoder import BoxDecoder
from .criterion import Criterion
from .decoder import MaskedDecoder, Prediction
from .matching import Targets
from .pixel_decoder import PixelDecoder
from .results import instances_of
from .segments import Ranking, panoptic_of, semantic_of

MAX_DET = 100


class Mask2Former(Segmenter):
    """The network, its losses and its results.

    Args:
        classes: K names.
        backbone: images -> features at strides 4, 8, 16, 32.
        pixel_decoder: features -> maps and mask features.
        decoder: maps -> predictions.
        criterion: predictions and targets -> losses.
        input: the network's frame.
    """

    family = "mask2former"
    sure_above = 0.8
    """Queries that are surer make segments."""

    def __init__(
        self,
        classes: Labels,
        backbone: nn.Module,
        pixel_decoder: PixelDecoder,
        decoder: MaskedDecoder | BoxDecoder,
        criterion: Criterion,
        input: InputSpec,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.input = input
        self.backbone = backbone
        self.pixel_decoder = pixel_decoder
        self.decoder = decoder
        self.criterion = criterion

    @property
    def tasks(self) -> tuple[str, ...]:
        """All three."""
        return ("instance", "semantic", "panoptic")

    def forward(self, images: Tensor) -> Prediction:
        """(B, 3, H, W), sides multiples of 32 -> the last layer's prediction."""
        return self.predictions(images)[-1]

    def predictions(self, images: Tensor) -> list[Prediction]:
        """Of every layer, the untouched queries' first."""
        result: list[Prediction] = self.decoder(self.pixel_decoder(self.backbone(images)))
        return result

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Class, mask and Dice losses, each summed over the layers."""
        size = (int(batch.images.shape[2]), int(batch.images.shape[3]))
        predictions = self.predictions(batch.images)
        return self.criterion.weighted(self.criterion(predictions, targets_of(batch), size))

    def scores(self, classes: Tensor) -> Tensor:
        """(B, Q, K + 1) logits -> (B, Q, K) probabilities."""
        return classes.float().softmax(2)[..., :-1]

    def instances(
        self,
        outputs: Any,
        batch: Batch,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
    ) -> list[Instances]:
        """Objects per image with a score above ``confidence``, default 0; best first, at most 100 by default.

        ``iou`` has no meaning here: queries do not repeat each other.
        """
        limit = MAX_DET if max_det is None else max_det
        results: list[Instances] = []
        scores = self.scores(outputs.classes)
        for i in range(len(batch)):
            found = instances_of(scores[i], outputs, batch, i, self.classes, limit, confidence or 0.0)
            results.append(found[torch.from_numpy(-found.scores).argsort(stable=True).numpy()])
        return results

    def ranking(self, classes: Tensor) -> Ranking:
        """(B, Q, K + 1) logits -> how queries compete for pixels."""
        chances = classes.float().softmax(2)
        best = chances.max(2)
        return Ranking(chances[..., :-1], best.values * (best.indices < chances.shape[2] - 1))

    @torch.inference_mode()
    def semantic(self, outputs: Any, batch: Batch) -> list[Semantic]:
        """The class of every pixel, per image: queries vote with class times mask probability."""
        shares = self.ranking(outputs.classes).shares
        return [semantic_of(shares[i], outputs, batch, i, self.classes) for i in range(len(batch))]

    @torch.inference_mode()
    def panoptic(
        self, outputs: Any, batch: Batch, *, confidence: float | None = None, visible: float | None = None
    ) -> list[Panoptic]:
        """Segments that do not overlap, per image; see :func:`.segments.panoptic_of`."""
        limits = (self.sure_above if confidence is None else confidence, 0.8 if visible is None else visible)
        ranking = self.ranking(outputs.classes)
        return [panoptic_of(ranking, outputs, batch, i, self.classes, *limits) for i in range(len(batch))]

    def load_published(self, weights: Mapping[str, Tensor]) -> bool:
        """The original's checkpoints and Hugging Face's.

        See :mod:`.original_weights` and :mod:`.hugging_face_weights`.
        """
        from .hugging_face_weights import load_hugging_face
        from .original_weights import load_original

        return load_original(self, weights) or load_hugging_face(self, weights)


def targets_of(batch: Batch) -> list[Targets]:
    """The objects of a batch as losses need them; crowd regions are left out.

    Raises:
        ValueError: a batch without targets.
    """
    if batch.targets is None:
        raise ValueError("losses: expected a batch with targets")
    device = batch.images.device
    results: list[Targets] = []
    for truth in batch.targets:
        kept = truth[~truth.crowd]
        height, width = truth.size
        masks = torch.zeros(0, height, width, dtype=torch.bool)
        if kept.masks is not None and len(kept):
            masks = torch.from_numpy(kept.masks.dense())
        boxes = torch.tensor(kept.boxes) / torch.tensor([width, height, width, height])
        centre, side = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        results.append(
            Targets(
                torch.tensor(kept.labels).long().to(device),
                torch.cat([centre, side], 1).to(device),
                masks.to(device),
            )
        )
    return results

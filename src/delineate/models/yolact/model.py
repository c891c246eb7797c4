"""YOLACT: prototypes of the whole image, and for each object how to mix them.

Bolya et al. 2019, "YOLACT: Real-time Instance Segmentation", figure 2.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from delineate.core.batch import Batch, InputSpec
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.prototypes import assemble
from delineate.core.suppress import Suppression
from delineate.nn.box_coding import decode

from ..base import Segmenter
from .choose import Found, Limits, choose
from .head import PredictionHead
from .losses import Raw, Training, detection_losses, semantic_loss, truth_of
from .neck import Body, Pyramid
from .original_weights import is_original, load_original
from .priors import VARIANCES, Priors
from .prototypes import MaskRater, PrototypeNet, combine, inside

log = logging.getLogger("delineate")


class Outputs(NamedTuple):
    """What the network says of every prior; A of them.

    Attributes:
        boxes: (B, A, 4) float32 xyxy in pixels of the network's input; not clipped.
        scores: (B, A, K) float32 class probabilities; they and the background's sum to 1.
        coefficients: (B, A, P) float32 in -1..1.
        prototypes: (B, P, h, w) float32 at least 0, over the whole padded input.
    """

    boxes: Tensor
    scores: Tensor
    coefficients: Tensor
    prototypes: Tensor


class Yolact(Segmenter):
    """The whole figure; sides of the input may be any.

    Args:
        classes: the K classes.
        input: how images become the input tensor.
        body: images -> C3, C4, C5.
        neck: -> P3 and up.
        head: -> offsets, logits, coefficients.
        prototypes: P3 -> prototypes.
        priors: the boxes that offsets are measured from.
        limits: what counts as a detection, unless a call says otherwise.
        training: how objects train it.
        suppression: used in place of Fast NMS; None: Fast NMS, as published.
        rater: YOLACT++'s network that rates masks, or None.
    """

    family = "yolact"

    def __init__(
        self,
        classes: Labels,
        input: InputSpec,
        body: Body,
        neck: Pyramid,
        head: PredictionHead,
        prototypes: PrototypeNet,
        priors: Priors,
        limits: Limits,
        training: Training,
        suppression: Suppression | None = None,
        rater: MaskRater | None = None,
    ) -> None:
        super().__init__()
        self.classes, self.input = classes, input
        self.body, self.neck, self.head = body, neck, head
        self.prototypes, self.rater = prototypes, rater
        channels = head.shared.in_channels
        self.semantic_head = nn.Conv2d(
            channels, len(classes), 1
        )  # only trained through, never used to detect
        self.priors, self.limits, self.training_settings = priors, limits, training
        self.suppression = suppression
        fresh = (neck, head, prototypes, self.semantic_head, *([rater] if rater is not None else []))
        for layer in (module for part in fresh for module in part.modules()):
            if isinstance(layer, nn.Conv2d):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> Outputs:
        """(B, 3, H, W) -> every prior's box, scores and coefficients, and the prototypes."""
        return self._outputs(self._raw(images)[0])

    def _outputs(self, raw: Raw) -> Outputs:
        """What the network says, decoded."""
        count = raw.offsets.shape[0]
        priors = raw.priors.expand(count, -1, -1)
        boxes = decode(raw.offsets.reshape(-1, 4), priors.reshape(-1, 4), VARIANCES)
        scores = raw.logits.softmax(-1)[..., 1:]
        return Outputs(boxes.reshape(count, -1, 4), scores, raw.coefficients, raw.prototypes)

    def _raw(self, images: Tensor) -> tuple[Raw, list[Tensor]]:
        """What the network says, and the pyramid, P3 first."""
        levels = self.neck(self.body(images))
        offsets, logits, coefficients = self.head(levels)
        grids = [(level.shape[2], level.shape[3]) for level in levels]
        priors = self.priors.boxes(grids, (images.shape[2], images.shape[3]), images.device)
        return Raw(priors, offsets, logits, coefficients, self.prototypes(levels[0])), levels

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """``class``, ``box``, ``mask``, ``semantic`` and, with a rater, ``rating`` of a batch with targets.

        Raises:
            InputError: no targets, or objects without masks.
        """
        raw, levels = self._raw(batch.images)
        return self._losses(batch, raw, levels[0])

    def _losses(self, batch: Batch, raw: Raw, finest: Tensor) -> dict[str, Tensor]:
        """The losses of what the network says of a batch; ``finest`` is P3."""
        settings = self.training_settings
        truth = truth_of(batch.targets, settings.least_side, batch.images.device)
        frame = (int(batch.images.shape[2]), int(batch.images.shape[3]))
        losses = detection_losses(raw, truth, frame, settings, self.rater)
        if settings.semantic:
            logits = self.semantic_head(finest).float()
            losses["semantic"] = settings.semantic * semantic_loss(logits, truth, frame)
        return losses

    def instances(
        self,
        outputs: Any,
        batch: Batch,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
    ) -> list[Instances]:
        """Detections in the pixels of the original images, best first; see :class:`Segmenter`.

        Scores are the boxes' class probabilities; :meth:`detect` also rates the masks, where the model has a
        network for it. An object none of whose pixels is above the threshold is left out.
        """
        limits = self._limits(confidence, iou, max_det)
        return [
            self._one(outputs, batch, image, self._choose(outputs, batch, image, limits))
            for image in range(len(batch))
        ]

    def detect(
        self,
        batch: Batch,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
    ) -> list[Instances]:
        """:meth:`forward` and :meth:`instances` in one.

        Where the model rates masks, the IoU expected of each mask multiplies its score.
        """
        limits = self._limits(confidence, iou, max_det)
        results = []
        with torch.inference_mode():
            outputs = self(batch.images)
            for image in range(len(batch)):
                found = self._choose(outputs, batch, image, limits)
                if self.rater is not None and len(found.rows):
                    found = self._rated(self.rater, outputs, batch, image, found, limits.confidence)
                results.append(self._one(outputs, batch, image, found))
        return results

    def load_published(self, weights: Mapping[str, Tensor]) -> bool:
        """Take the released ``yolact_*.pth``, told by their names; False for others.

        Raises:
            CheckpointError: weights of another variant; nothing is copied then.
        """
        if not is_original(weights):
            return False
        load_original(self, weights)
        return True

    def _limits(self, confidence: float | None, iou: float | None, max_det: int | None) -> Limits:
        own = self.limits
        usual = own.iou if self.suppression is None else self.suppression.iou
        return replace(
            own,
            confidence=own.confidence if confidence is None else confidence,
            iou=usual if iou is None else iou,
            max_det=own.max_det if max_det is None else max_det,
        )

    def _choose(self, outputs: Outputs, batch: Batch, image: int, limits: Limits) -> Found:
        if self.suppression is None:
            found = choose(outputs.boxes[image], outputs.scores[image], limits)
        else:
            found = self._suppressed(self.suppression, outputs, batch, image, limits)
        if found.lost:
            every = str(len(found.rows) + found.lost) if found.lost > 0 else "more"
            log.warning(
                "image %d of the batch: kept the %d best detections of %s; raise max_det to keep all",
                image, len(found.rows), every,
            )  # fmt: skip
        elif found.unseen and len(found.rows) < limits.max_det:
            log.warning(
                "image %d of the batch: %d candidates beyond the best %d were not looked at; "
                "raise candidates to look at all",
                image, found.unseen, (self.suppression or limits).candidates,
            )  # fmt: skip
        return found

    def _suppressed(
        self, suppression: Suppression, outputs: Outputs, batch: Batch, image: int, limits: Limits
    ) -> Found:
        """Detections by another rule than Fast NMS; each prior stands for its likeliest class."""
        best, label = outputs.scores[image].max(dim=1)
        rows = torch.where(best > limits.confidence)[0]
        boxes = batch.boxes_to_original(image, _numpy(outputs.boxes[image, rows]))
        kept, scores = replace(suppression, iou=limits.iou).choose(
            boxes,
            _numpy(best[rows]),
            label[rows].cpu().numpy(),
            limit=limits.max_det + 1,
            confidence=limits.confidence,
            masks=lambda some: self._masks(outputs, batch, image, rows[torch.from_numpy(some)], boxes[some]),
            coefficients=_numpy(outputs.coefficients[image, rows]),
        )
        chosen = rows[torch.from_numpy(kept[: limits.max_det]).to(rows.device)]
        values = torch.from_numpy(scores[: limits.max_det]).to(best.device)
        lost = -1 if len(kept) > limits.max_det else 0
        unseen = max(0, len(rows) - suppression.candidates)
        return Found(chosen, label[chosen], values, lost, unseen)

    def _rated(
        self, rater: MaskRater, outputs: Outputs, batch: Batch, image: int, found: Found, confidence: float
    ) -> Found:
        """Scores times the expected IoU of each mask, best first."""
        prototypes = outputs.prototypes[image]
        grid = (int(prototypes.shape[1]), int(prototypes.shape[2]))
        cells = outputs.boxes.new_tensor([grid[1] / batch.images.shape[3], grid[0] / batch.images.shape[2]])
        boxes = outputs.boxes[image, found.rows] * cells.repeat(2)
        masks = combine(prototypes, outputs.coefficients[image, found.rows]).sigmoid() * inside(boxes, grid)
        rated = rater(masks)[torch.arange(len(found.rows), device=boxes.device), found.labels]
        scores = (found.scores * rated).clamp(max=1)
        order = scores.argsort(descending=True, stable=True)
        order = order[scores[order] > confidence]
        return found._replace(rows=found.rows[order], labels=found.labels[order], scores=scores[order])

    def _one(self, outputs: Outputs, batch: Batch, image: int, found: Found) -> Instances:
        boxes = batch.boxes_to_original(image, _numpy(outputs.boxes[image, found.rows]))
        masks = self._masks(outputs, batch, image, found.rows, boxes)
        labels, scores = found.labels.cpu().numpy(), _numpy(found.scores)
        objects = Instances(batch.originals[image], boxes, labels, scores, masks, classes=self.classes)
        return objects[masks.area > 0]

    @staticmethod
    def _masks(outputs: Outputs, batch: Batch, image: int, rows: Tensor, boxes: np.ndarray) -> Masks:
        """Masks of the priors ``rows``, whose ``boxes`` are in original pixels."""
        prototypes = outputs.prototypes[image]
        cells = [n / p for n, p in zip(prototypes.shape[1:], batch.images.shape[2:], strict=True)]
        height, width = batch.sizes[image]
        return assemble(
            _numpy(prototypes),
            _numpy(outputs.coefficients[image, rows]),
            boxes,
            batch.originals[image],
            region=(height * cells[0], width * cells[1]),
            rule="yolact",
        )


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()

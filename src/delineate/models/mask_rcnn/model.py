"""Faster R-CNN and, with a mask branch, Mask R-CNN: the whole figure.

Ren et al. 2015, "Faster R-CNN", figure 2; He et al. 2017, "Mask R-CNN", figure 1.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import batched_nms

from delineate.core.batch import Batch, InputSpec
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.stuff import things_of
from delineate.nn.normaliser import mean_count

from ..whole_image import StuffBranch, WithStuff, objects_of
from .backbone import Backbone
from .boxes import BoxBranch, Found, Limits
from .masks import MaskBranch, nothing
from .proposals import ProposalNetwork
from .torchvision_weights import load_torchvision_state_dict

log = logging.getLogger("delineate")


class Outputs(NamedTuple):
    """Detections of a batch, padded to D = ``max_det`` rows an image; best first.

    Attributes:
        boxes: (B, D, 4) float32 xyxy in pixels of the network input.
        labels: (B, D) int64, 0..K-1.
        scores: (B, D) float32, 0..1; 0 in the padding.
        counts: (B,) int64, how many rows of each image are filled.
        totals: (B,) int64, how many there were before the cut at D.
        masks: (B, D, 28, 28) float32 probabilities inside the boxes, or None without a mask branch.
        stuff: (B, S + 1, H / 4, W / 4) logits of stuff and "other", or None without a branch for stuff.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    counts: Tensor
    totals: Tensor
    masks: Tensor | None = None
    stuff: Tensor | None = None


class FasterRCNN(WithStuff):
    """Boxes with classes.

    Args:
        classes: the K classes.
        input: how images become the input tensor.
        backbone: images -> pyramid.
        proposals: pyramid -> proposals.
        boxes: proposals -> boxes with classes.
        limits: what counts as a detection, unless a call says otherwise.
    """

    by_object = ("boxes", "masks")

    def __init__(
        self,
        classes: Labels,
        input: InputSpec,
        backbone: Backbone,
        proposals: ProposalNetwork,
        boxes: BoxBranch,
        limits: Limits,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.input = input
        self.backbone = backbone
        self.proposals = proposals
        self.boxes = boxes
        self.limits = limits

    def forward(
        self,
        images: Tensor,
        sizes: Sequence[tuple[int, int]] | None = None,
        limits: Limits | None = None,
    ) -> Outputs:
        """Detect.

        Args:
            images: (B, 3, H, W) normalised, H and W multiples of 32.
            sizes: B (height, width), the part of each that is image; boxes are clipped to it.
                None: all of it.
            limits: what counts as a detection; None: the model's own.
        """
        _, found = self._detect(images, sizes, limits)
        return _padded(found, (limits or self.limits).max_det, None)

    def _detect(
        self, images: Tensor, sizes: Sequence[tuple[int, int]] | None, limits: Limits | None
    ) -> tuple[list[Tensor], list[Found]]:
        padded = _size(images)
        sizes = [padded] * len(images) if sizes is None else sizes
        features = self.backbone(images)
        proposals = self.proposals(features, padded, sizes)
        return features, self.boxes.detect(features, proposals, sizes, limits or self.limits)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """``objectness``, ``proposal_box``, ``class`` and ``box`` of a batch with targets.

        Crowd regions and objects without area do not train. Images without objects do, as background.
        """
        return self._losses(batch, truth_of(batch, masks=False))

    def _losses(self, batch: Batch, truth: list[Instances]) -> dict[str, Tensor]:
        device = batch.images.device
        boxes = [torch.from_numpy(t.boxes.copy()).to(device) for t in truth]
        labels = [torch.from_numpy(t.labels.copy()).to(device) for t in truth]
        features = self.backbone(batch.images)
        proposals, losses = self.proposals.losses(features, _size(batch.images), batch.sizes, boxes)
        sampled = self.boxes.choose(proposals, boxes)
        chosen = sum(len(s.boxes) for s in sampled)
        count = mean_count(torch.tensor(chosen, device=device))  # also where none is: other processes wait
        if chosen:
            losses |= self.boxes.losses(features, sampled, boxes, labels, count)
        else:
            losses |= {"class": nothing(self.boxes), "box": nothing(self.boxes)}
        if self.stuff is not None:
            losses |= self.stuff.losses(features, batch)
        return losses | self._mask_losses(features, sampled, truth, labels)

    def _mask_losses(
        self, features: list[Tensor], sampled: Any, truth: list[Instances], labels: list[Tensor]
    ) -> dict[str, Tensor]:
        return {}

    def detect(
        self,
        batch: Batch,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
    ) -> list[Instances]:
        """:meth:`forward` and :meth:`instances` in one, with limits that hold from the first step on.

        Args:
            batch: of images; sizes are minded.
            confidence: as for :meth:`instances`, but may also be lower than the model's.
            iou: likewise, any value.
            max_det: likewise, any number.
        """
        limits = self._limits(confidence, iou, max_det)
        with torch.inference_mode():
            outputs = self.forward(batch.images, batch.sizes, limits)
        return self._instances(outputs, batch, limits, suppress=False)

    def load_published(self, weights: Mapping[str, Tensor]) -> bool:
        """Take torchvision's weights, told by their names; False for others."""
        if "roi_heads.box_predictor.cls_score.weight" not in weights:
            return False
        load_torchvision_state_dict(self, weights)
        return True

    def instances(
        self,
        outputs: Outputs,
        batch: Batch,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
    ) -> list[Instances]:
        """Detections in the pixels of the original images, best first.

        ``forward`` has already applied the model's own limits, so that here they can only be made tighter;
        where one asks for more, a warning is logged. :meth:`detect` takes any limits.

        Args:
            outputs: of :meth:`forward`.
            batch: that ``forward`` saw.
            confidence: keep scores above it, 0..1; default 0.05.
            iou: suppress boxes of a class that overlap more, 0..1; default 0.5.
            max_det: at most so many an image; default 100. A cut is logged as a warning.
        """
        limits = self._limits(confidence, iou, max_det)
        own = self.limits
        if limits.confidence < own.confidence or limits.iou > own.iou or limits.max_det > own.max_det:
            log.warning(
                "%s: expected limits no wider than the model's (%s), got %s; use detect() for wider ones",
                self.family,
                own,
                limits,
            )
        return self._instances(outputs, batch, limits, suppress=limits.iou < own.iou)

    def _limits(self, confidence: float | None, iou: float | None, max_det: int | None) -> Limits:
        own = self.limits
        return Limits(
            own.confidence if confidence is None else confidence,
            own.iou if iou is None else iou,
            own.max_det if max_det is None else max_det,
        )

    def _instances(
        self, outputs: Outputs, batch: Batch, limits: Limits, *, suppress: bool
    ) -> list[Instances]:
        results = []
        for image in range(len(batch)):
            filled, total = int(outputs.counts[image]), int(outputs.totals[image])
            rows = _passing(outputs, image, limits, suppress)
            if len(rows) > limits.max_det or len(rows) == filled < total:
                log.warning(
                    "image %d of the batch: kept the %d best detections of %d; raise max_det to keep all",
                    image,
                    min(len(rows), limits.max_det),
                    total if len(rows) == filled else len(rows),
                )
            results.append(self._one(outputs, batch, image, rows[: limits.max_det]))
        return results

    def _one(self, outputs: Outputs, batch: Batch, image: int, rows: Tensor) -> Instances:
        size = batch.originals[image]
        boxes = batch.boxes_to_original(image, _numpy(outputs.boxes[image, rows]))
        masks = None
        if outputs.masks is not None:
            masks = Masks.paste(_numpy(outputs.masks[image, rows]), boxes, size)
        labels = outputs.labels[image, rows].cpu().numpy()
        scores = _numpy(outputs.scores[image, rows])
        return things_of(Instances(size, boxes, labels, scores, masks, classes=self.classes))


class MaskRCNN(FasterRCNN):
    """Boxes with classes, and a mask in each.

    Args:
        classes: the K classes.
        input: how images become the input tensor.
        backbone: images -> pyramid.
        proposals: pyramid -> proposals.
        boxes: proposals -> boxes with classes.
        limits: what counts as a detection, unless a call says otherwise.
        masks: boxes with classes -> masks.
        stuff: pyramid -> scores of stuff; None: objects alone.
    """

    def __init__(
        self,
        classes: Labels,
        input: InputSpec,
        backbone: Backbone,
        proposals: ProposalNetwork,
        boxes: BoxBranch,
        limits: Limits,
        masks: MaskBranch,
        stuff: StuffBranch | None = None,
    ) -> None:
        super().__init__(classes, input, backbone, proposals, boxes, limits)
        self.masks = masks
        self.stuff = stuff

    def forward(
        self,
        images: Tensor,
        sizes: Sequence[tuple[int, int]] | None = None,
        limits: Limits | None = None,
    ) -> Outputs:
        """Detect, as :meth:`FasterRCNN.forward`, with the masks of what was found."""
        features, found = self._detect(images, sizes, limits)
        labels = torch.cat([f.labels for f in found])
        masks = self.masks.probabilities(features, [f.boxes for f in found], labels)
        outputs = _padded(found, (limits or self.limits).max_det, masks)
        return outputs if self.stuff is None else outputs._replace(stuff=self.stuff(features))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """``objectness``, ``proposal_box``, ``class``, ``box``, ``mask`` and maybe ``stuff`` of a batch.

        Raises:
            InputError: objects without masks.
        """
        return self._losses(batch, truth_of(batch, masks=True))

    def _mask_losses(
        self, features: list[Tensor], sampled: Any, truth: list[Instances], labels: list[Tensor]
    ) -> dict[str, Tensor]:
        masks = [Masks.empty(t.size) if t.masks is None else t.masks for t in truth]
        return self.masks.losses(features, sampled, masks, labels)


def truth_of(batch: Batch, masks: bool) -> list[Instances]:
    """The objects of a batch that train: no stuff, no crowds, none without area.

    Raises:
        InputError: no targets, or objects without masks where ``masks`` are asked for.
    """
    if batch.targets is None:
        raise InputError("losses: expected a batch with targets, got none; give targets to collate")
    objects = objects_of(batch).targets or []
    truth = [t[~t.crowd & (t.boxes[:, 2:] > t.boxes[:, :2]).all(1)] for t in objects]
    if masks and any(len(t) and t.masks is None for t in truth):
        raise InputError("losses: expected objects with masks, got boxes only; train a Faster R-CNN on boxes")
    return truth


def _padded(found: list[Found], rows: int, masks: Tensor | None) -> Outputs:
    """Lists of different lengths as tensors of ``rows`` an image."""
    first = found[0].boxes
    counts = [len(f.boxes) for f in found]
    boxes = first.new_zeros((len(found), rows, 4))
    labels = first.new_zeros((len(found), rows), dtype=torch.int64)
    scores = first.new_zeros((len(found), rows))
    squares = None if masks is None else masks.new_zeros((len(found), rows, *masks.shape[1:]))
    parts = [None] * len(found) if masks is None else torch.split(masks, counts)
    for image, (one, part) in enumerate(zip(found, parts, strict=True)):
        boxes[image, : counts[image]] = one.boxes
        labels[image, : counts[image]] = one.labels
        scores[image, : counts[image]] = one.scores
        if squares is not None and part is not None:
            squares[image, : counts[image]] = part
    totals = torch.tensor([f.total for f in found], device=first.device)
    return Outputs(boxes, labels, scores, torch.tensor(counts, device=first.device), totals, squares)


def _passing(outputs: Outputs, image: int, limits: Limits, suppress: bool) -> Tensor:
    """Rows of one image that tighter limits leave, best first, not yet cut to ``max_det``."""
    count = int(outputs.counts[image])
    scores = outputs.scores[image, :count]
    rows = torch.where(scores > limits.confidence)[0]
    if suppress:
        boxes, labels = outputs.boxes[image, rows], outputs.labels[image, rows]
        rows = rows[batched_nms(boxes, scores[rows], labels, limits.iou)]
    return rows


def _size(images: Tensor) -> tuple[int, int]:
    return int(images.shape[2]), int(images.shape[3])


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()

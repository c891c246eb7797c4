"""A one-stage segmenter in the manner of the YOLO family, written from the papers.

One pass gives at every point of three or four levels class scores, a box and the coefficients of a mask:
anchor-free (Tian et al. 2019, "FCOS"), with distances as distributions (Li et al. 2020, "GFL"), prototypes
(Bolya et al. 2019, "YOLACT"), task-aligned assignment (Feng et al. 2021, "TOOD"), and on request a second
head with one point an object, which needs no suppression (Wang et al. 2024, "YOLOv10").
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from delineate.core.batch import Batch, InputSpec
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.prototypes import assemble
from delineate.core.suppress import Suppression
from delineate.nn.points import anchor_points

from ..base import Segmenter
from .ellipse import TERMS, absolute, coordinate_maps
from .head import Head, Raw
from .losses import LossSettings, Scene, head_losses
from .mask_cells import Cells, mask_cells
from .network import Backbone, Neck, Prototypes
from .truth import joined, truth_of

log = logging.getLogger("delineate")


class Dense(NamedTuple):
    """What a one-to-many head says of every point; suppression comes after.

    Attributes:
        boxes: (B, A, 4) float32 xyxy in pixels of the network input.
        logits: (B, A, K) class logits.
        coefficients: (B, A, C) weights of the prototypes.
        prototypes: (B, C, h, w); a mask is where its weighted sum is above 0.
    """

    boxes: Tensor
    logits: Tensor
    coefficients: Tensor
    prototypes: Tensor


class Chosen(NamedTuple):
    """The D best of a one-to-one head, best first; nothing has to be suppressed.

    Attributes:
        boxes: (B, D, 4) float32 xyxy in pixels of the network input.
        scores: (B, D) float32, 0..1.
        labels: (B, D) int64, 0..K-1.
        coefficients: (B, D, C) weights of the prototypes.
        prototypes: (B, C, h, w); a mask is where its weighted sum is above 0.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    coefficients: Tensor
    prototypes: Tensor


@dataclass(frozen=True)
class Limits:
    """What counts as a detection, unless a call says otherwise.

    Attributes:
        confidence: keep scores above it, 0..1.
        max_det: at most so many an image.

    Raises:
        InputError: a value out of its range.
    """

    confidence: float = 0.05
    max_det: int = 300

    def __post_init__(self) -> None:
        if not 0 <= self.confidence <= 1:
            raise InputError(f"limits.confidence: expected 0 to 1, got {self.confidence}; try 0.25")
        if not 1 <= self.max_det <= 100_000:
            raise InputError(f"limits.max_det: expected 1 to 100000, got {self.max_det}; try 300")


class Parts(NamedTuple):
    """The modules of a :class:`YoloSeg`."""

    backbone: Backbone
    neck: Neck
    prototypes: Prototypes
    many: Head
    one: Head | None


class YoloSeg(Segmenter):
    """Backbone, neck, prototypes, and one head or two.

    Args:
        classes: the K classes.
        input: how images become the input tensor.
        parts: its modules.
        strides: of the levels, finest first.
        ellipse: whether masks have an ellipse term.
        inference: "one_to_many" or "one_to_one": the head that detects.
        suppression: for the one-to-many head.
        limits: what counts as a detection, unless a call says otherwise.
        loss: how it learns.
    """

    def __init__(
        self,
        classes: Labels,
        input: InputSpec,
        parts: Parts,
        *,
        strides: tuple[int, ...],
        ellipse: bool,
        inference: str,
        suppression: Suppression,
        limits: Limits,
        loss: LossSettings,
    ) -> None:
        super().__init__()
        self.classes, self.input = classes, input
        self.backbone, self.neck, self.prototypes, self.many, self.one = parts
        self.strides, self.ellipse, self.inference = strides, ellipse, inference
        self.suppression, self.limits, self.loss = suppression, limits, loss

    def features(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """(B, 3, H, W), sides multiples of 32 -> the neck's levels, finest first, and the prototypes."""
        maps = self.backbone(images)  # strides 4, 8, 16, 32
        levels = self.neck(maps[-len(self.strides) :])
        return levels, self.prototypes(levels[self.strides.index(8)], maps[0])

    def forward(self, images: Tensor) -> Dense | Chosen:
        """Detect.

        Args:
            images: (B, 3, H, W) normalised, H and W multiples of 32.

        Returns:
            :class:`Dense`, or :class:`Chosen` where ``inference`` is "one_to_one".
        """
        return self._detect(*self.features(images))

    def _detect(self, levels: list[Tensor], prototypes: Tensor) -> Dense | Chosen:
        """The head that detects, on the neck's levels."""
        head = self.one if self.inference == "one_to_one" and self.one is not None else self.many
        raw = head(levels)
        points, strides = anchor_points(levels, self.strides)
        raw = Raw(*(part.float() for part in raw))
        boxes = head.boxes(raw.distances, points, strides)
        if head is self.one:
            scores, labels = raw.logits.max(-1)
            scores, best = scores.topk(min(self.limits.max_det, scores.shape[1]), dim=1)
            boxes, coefficients = (
                t.gather(1, best[..., None].expand(-1, -1, t.shape[2])) for t in (boxes, raw.coefficients)
            )
            found = boxes, scores.sigmoid(), labels.gather(1, best)
            return Chosen(*found, *self._masks(coefficients, boxes, prototypes))
        return Dense(boxes, raw.logits, *self._masks(raw.coefficients, boxes, prototypes))

    def _masks(self, coefficients: Tensor, boxes: Tensor, prototypes: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients and prototypes of which masks are sums: with the ellipse multiplied out."""
        prototypes = prototypes.float()
        if not self.ellipse:
            return coefficients, prototypes
        height, width = prototypes.shape[2:]
        stride = self.prototypes.stride
        terms = absolute(coefficients[..., -TERMS:], boxes, (height * stride, width * stride))
        maps = coordinate_maps(height, width, stride, prototypes).expand(prototypes.shape[0], -1, -1, -1)
        return torch.cat([coefficients[..., :-TERMS], terms], -1), torch.cat([prototypes, maps], 1)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """``class``, ``box``, ``distances``, ``mask`` and ``dice``; the one-to-one head's end in ``_one``.

        Crowd regions and objects without area do not train. Images without objects do, as background.

        Raises:
            InputError: no targets, or objects without masks.
        """
        truth = truth_of(batch)
        return self._losses(truth, *self.features(batch.images))

    def _losses(self, truth: list[Instances], levels: list[Tensor], prototypes: Tensor) -> dict[str, Tensor]:
        """The heads' losses on the neck's levels."""
        device = prototypes.device
        cells = mask_cells(truth, self.prototypes.stride, (prototypes.shape[2], prototypes.shape[3]))
        points, strides = anchor_points(levels, self.strides)
        scene = Scene(
            points, strides, prototypes, self.prototypes.stride,
            joined(truth, device), Cells(*(c.to(device) for c in cells)),
        )  # fmt: skip
        losses = head_losses(self.many, self.many(levels), scene, self.loss, one=False)
        if self.one is not None:  # it learns from the features, but does not shape them
            scene = scene._replace(prototypes=prototypes.detach())
            raw = self.one([level.detach() for level in levels])
            second = head_losses(self.one, raw, scene, self.loss, one=True)
            losses |= {f"{name}_one": loss for name, loss in second.items()}
        return losses

    def instances(
        self,
        outputs: Dense | Chosen,
        batch: Batch,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
    ) -> list[Instances]:
        """Detections in the pixels of the original images, best first.

        Args:
            outputs: of :meth:`forward`.
            batch: that ``forward`` saw.
            confidence: keep scores above it, 0..1; default the model's own limits.
            iou: threshold of the suppression, 0..1, of masks by default; without meaning for the one-to-one
                head.
            max_det: at most so many an image; a cut is logged as a warning. The one-to-one head gives no
                more than its own limit.
        """
        limits = Limits(
            self.limits.confidence if confidence is None else confidence,
            self.limits.max_det if max_det is None else max_det,
        )
        suppression = self.suppression if iou is None else self.suppression.above(iou)
        return [self._one_image(outputs, batch, i, limits, suppression) for i in range(len(batch))]

    def _one_image(
        self, outputs: Dense | Chosen, batch: Batch, image: int, limits: Limits, suppression: Suppression
    ) -> Instances:
        size = batch.originals[image]
        rows, scores, labels = _passing(outputs, image, limits.confidence)
        boxes = batch.boxes_to_original(image, _numpy(outputs.boxes[image])[rows])
        coefficients = _numpy(outputs.coefficients[image])[rows]
        prototypes = _numpy(outputs.prototypes[image])
        stride = batch.images.shape[2] / prototypes.shape[1]  # pixels of the input a cell
        region = (batch.sizes[image][0] / stride, batch.sizes[image][1] / stride)

        looked: dict[int, int] = {}  # candidates that suppression looked at, and their places in shapes
        shapes: list[Masks] = []

        def masks(index: NDArray[np.int64]) -> Masks:
            looked.update(zip(index.tolist(), range(len(index)), strict=True))
            shapes.append(assemble(prototypes, coefficients[index], boxes[index], size, region=region))
            return shapes[0]

        if isinstance(outputs, Chosen):
            suppression = Suppression("none", candidates=suppression.candidates)
        kept, scores = suppression.choose(
            boxes, scores, labels, limit=limits.max_det + 1, masks=masks,
            coefficients=coefficients[:, : -TERMS if self.ellipse else None],
        )  # fmt: skip
        if len(kept) > limits.max_det:
            log.warning(
                "image %d of the batch: kept the %d best detections of more; raise max_det to keep all",
                image,
                limits.max_det,
            )
            kept, scores = kept[: limits.max_det], scores[: limits.max_det]
        final = shapes[0][[looked[k] for k in kept.tolist()]] if shapes else masks(kept)
        found = Instances(size, boxes[kept], labels[kept], scores, final, classes=self.classes)
        return found[found.area > 0]


def _passing(
    outputs: Dense | Chosen, image: int, confidence: float
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Rows of one image above the confidence, their scores and labels."""
    if isinstance(outputs, Chosen):
        scores, labels = _numpy(outputs.scores[image]), outputs.labels[image].cpu().numpy()
    else:
        logits = outputs.logits[image].float()
        best, index = logits.max(-1)
        scores, labels = _numpy(best.sigmoid()), index.cpu().numpy()
    rows = np.flatnonzero(scores > confidence)
    return rows, scores[rows], labels[rows]


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    return array

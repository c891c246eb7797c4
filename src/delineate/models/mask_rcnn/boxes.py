"""The box branch: which class each proposal holds, and its corrected box.

Girshick 2015, "Fast R-CNN", sections 2.1 and 2.3; the convolutional head: Wu and He 2018, "Group
Normalization", section 4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms, box_iou

from delineate.nn.box_coding import at_least, clip, decode, encode
from delineate.nn.layers import ConvNorm
from delineate.nn.matching import match, sample
from delineate.nn.roi import PyramidRoiAlign, stack_rois

from .proposals import SMOOTH_L1_BETA

CODE_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
MIN_SIDE = 1e-2  # pixels of the network input; shorter detections are dropped


@dataclass(frozen=True)
class SamplingSettings:
    """Which proposals train the heads.

    Attributes:
        foreground: IoU from which a proposal is an object; below it is background.
        samples: proposals an image that train.
        positive_fraction: of them at most this part are objects.
    """

    foreground: float = 0.5
    samples: int = 512
    positive_fraction: float = 0.25


@dataclass(frozen=True)
class Limits:
    """What counts as a detection.

    Attributes:
        confidence: scores must be above it, 0..1.
        iou: of two boxes of a class that overlap more, the lower score goes, 0..1.
        max_det: at most so many an image, the best ones.
    """

    confidence: float = 0.05
    iou: float = 0.5
    max_det: int = 100


class Found(NamedTuple):
    """The detections of one image, best first.

    Attributes:
        boxes: (N, 4) xyxy in pixels of the network input.
        labels: (N,) int64, 0..K-1.
        scores: (N,) float32, 0..1.
        total: how many there were before the cut at ``max_det``.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    total: int


class Sampled(NamedTuple):
    """The proposals of one image that train the heads.

    Attributes:
        boxes: (S, 4) xyxy in pixels of the network input; the positives come first.
        matched: (P,) index of the true object of each of the P positives.
    """

    boxes: Tensor
    matched: Tensor


class LinearHead(nn.Module):
    """Two fully connected layers (Lin et al. 2017, section 4.2)."""

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels * size * size, width)
        self.fc2 = nn.Linear(width, width)
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        """(R, C, size, size) -> (R, width)."""
        return torch.relu_(self.fc2(torch.relu_(self.fc1(x.flatten(1)))))


class ConvHead(nn.Module):
    """Four 3 x 3 convolutions and a fully connected layer (Wu and He 2018, section 4.2)."""

    def __init__(self, channels: int, size: int, width: int, norm: str) -> None:
        super().__init__()
        self.convs = nn.Sequential(*[ConvNorm(channels, channels, 3, norm) for _ in range(4)])
        self.fc = nn.Linear(channels * size * size, width)
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        """(R, C, size, size) -> (R, width)."""
        return torch.relu_(self.fc(self.convs(x).flatten(1)))


class BoxBranch(nn.Module):
    """Proposals -> class logits and one box a class -> detections.

    Args:
        head: :class:`LinearHead` or :class:`ConvHead`.
        columns: output column of each of the K classes; column 0 is background. 1..K unless the weights were
            made for ids with gaps, as COCO's.
        pool: RoIAlign of the head's input.
        settings: see :class:`SamplingSettings`.
    """

    columns: Tensor

    def __init__(
        self,
        head: LinearHead | ConvHead,
        columns: Sequence[int],
        pool: PyramidRoiAlign,
        settings: SamplingSettings,
    ) -> None:
        super().__init__()
        self.pool = pool
        self.head = head
        self.outputs = max(columns) + 1
        self.class_logits = nn.Linear(head.width, self.outputs)
        self.offsets = nn.Linear(head.width, self.outputs * 4)
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.settings = settings
        for layer, std in ((self.class_logits, 0.01), (self.offsets, 0.001)):  # He et al. 2017, released code
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Sequence[Tensor], proposals: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """All images' proposals -> (R, outputs) class logits and (R, outputs, 4) offsets, float32."""
        x = self.head(self.pool(features, stack_rois(proposals)))
        offsets = self.offsets(x).float()
        return self.class_logits(x).float(), offsets.view(len(x), self.outputs, 4)

    def detect(
        self,
        features: Sequence[Tensor],
        proposals: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        limits: Limits,
    ) -> list[Found]:
        """The detections of every image.

        Every (proposal, class) above the confidence is a candidate; only candidates are decoded.
        """
        logits, offsets = self(features, proposals)
        scores = logits.softmax(1)[:, self.columns]  # (R, K)
        counts = [len(p) for p in proposals]
        found = []
        for at, boxes, shift, size in zip(
            scores.split(counts), proposals, offsets.split(counts), sizes, strict=True
        ):
            which, label = torch.where(at > limits.confidence)
            score = at[which, label]
            candidates = clip(decode(shift[which, self.columns[label]], boxes[which], CODE_WEIGHTS), size)
            keep = at_least(candidates, MIN_SIDE)
            candidates, label, score = candidates[keep], label[keep], score[keep]
            kept = batched_nms(candidates, score, label, limits.iou)
            best = kept[: limits.max_det]
            found.append(Found(candidates[best], label[best], score[best], len(kept)))
        return found

    @torch.no_grad()
    def choose(self, proposals: Sequence[Tensor], truth: Sequence[Tensor]) -> list[Sampled]:
        """Random proposals, true boxes among them, that train the heads."""
        chosen = []
        for boxes, true_boxes in zip(proposals, truth, strict=True):
            boxes = torch.cat([boxes, true_boxes])
            settings = self.settings
            matched = match(box_iou(true_boxes, boxes), settings.foreground, settings.foreground)
            positive, negative = sample(matched, settings.samples, settings.positive_fraction)
            chosen.append(Sampled(boxes[torch.cat([positive, negative])], matched[positive]))
        return chosen

    def losses(
        self,
        features: Sequence[Tensor],
        sampled: Sequence[Sampled],
        truth: Sequence[Tensor],
        labels: Sequence[Tensor],
        count: Tensor,
    ) -> dict[str, Tensor]:
        """Cross entropy over the sampled proposals; smooth L1 of the true class's box over the same number.

        Args:
            features: of the pyramid.
            sampled: as :meth:`choose` gives.
            truth: per image (G, 4) true boxes.
            labels: per image (G,) int64 true classes 0..K-1.
            count: () sampled proposals of the batch, as :func:`~delineate.nn.normaliser.mean_count` gives it.
        """
        logits, offsets = self(features, [s.boxes for s in sampled])
        goal_class, positive, goal_box, start = [], [], [], 0
        for image, (boxes, matched) in enumerate(sampled):
            columns = self.columns.new_zeros(len(boxes))  # background
            columns[: len(matched)] = self.columns[labels[image][matched]]
            goal_class.append(columns)
            positive.append(torch.arange(start, start + len(matched), device=boxes.device))
            goal_box.append(encode(truth[image][matched], boxes[: len(matched)], CODE_WEIGHTS))
            start += len(boxes)
        column, at = torch.cat(goal_class), torch.cat(positive)
        shift = offsets[at, column[at]]
        box = F.smooth_l1_loss(shift, torch.cat(goal_box), beta=SMOOTH_L1_BETA, reduction="sum")
        class_loss = F.cross_entropy(logits, column, reduction="sum")
        return {"class": class_loss / count, "box": box / count}

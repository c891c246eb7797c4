"""The region proposal network: where objects may be.

Ren et al. 2015, "Faster R-CNN", section 3 and figure 3; on a pyramid: Lin et al. 2017, section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms, box_iou

from delineate.nn.anchors import Anchors
from delineate.nn.box_coding import at_least, clip, decode, encode
from delineate.nn.layers import ConvNorm
from delineate.nn.matching import match, sample
from delineate.nn.normaliser import mean_count

SMOOTH_L1_BETA = 1 / 9


@dataclass(frozen=True)
class ProposalSettings:
    """How anchors are chosen, for training and for detection.

    Attributes:
        foreground: IoU from which an anchor is an object.
        background: IoU below which it is background; between the two it does not train.
        samples: anchors an image that train.
        positive_fraction: of them at most this part are objects.
        before_nms: best anchors a level that are decoded, detecting.
        after_nms: proposals an image, detecting.
        before_nms_training: the same while training.
        after_nms_training: the same while training.
        iou: proposals of one level that overlap more are one.
        min_side: shorter proposals are dropped, in pixels.
    """

    foreground: float = 0.7
    background: float = 0.3
    samples: int = 256
    positive_fraction: float = 0.5
    before_nms: int = 1000
    after_nms: int = 1000
    before_nms_training: int = 2000
    after_nms_training: int = 2000
    iou: float = 0.7
    min_side: float = 1e-3


class ProposalHead(nn.Module):
    """3 x 3 convolutions, then objectness and box offsets of every anchor; shared by the levels.

    Args:
        channels: of the pyramid.
        anchors: A, anchors at a location.
        depth: how many 3 x 3 convolutions.
    """

    def __init__(self, channels: int, anchors: int, depth: int = 1) -> None:
        super().__init__()
        self.convs = nn.Sequential(*[ConvNorm(channels, channels, 3) for _ in range(depth)])
        self.objectness = nn.Conv2d(channels, anchors, 1)
        self.offsets = nn.Conv2d(channels, anchors * 4, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """L maps (B, C, H, W) -> L logits (B, H*W*A) and L offsets (B, H*W*A, 4); A runs fastest."""
        logits, offsets = [], []
        for feature in features:
            x = self.convs(feature)
            logits.append(self.objectness(x).permute(0, 2, 3, 1).flatten(1).float())
            offsets.append(self.offsets(x).permute(0, 2, 3, 1).reshape(x.shape[0], -1, 4).float())
        return logits, offsets


class ProposalNetwork(nn.Module):
    """Pyramid -> boxes that may hold an object, whatever its class.

    Args:
        channels: of the pyramid.
        anchors: one entry of sizes a level.
        depth: of the head.
        settings: see :class:`ProposalSettings`.
    """

    def __init__(self, channels: int, anchors: Anchors, depth: int, settings: ProposalSettings) -> None:
        super().__init__()
        self.head = ProposalHead(channels, anchors.per_location, depth)
        self.anchors = anchors
        self.settings = settings

    def forward(
        self, features: Sequence[Tensor], padded: tuple[int, int], sizes: Sequence[tuple[int, int]]
    ) -> list[Tensor]:
        """Proposals for detection.

        Args:
            features: L maps (B, C, H, W).
            padded: (height, width) of the network input.
            sizes: B (height, width), the valid part of each image; proposals are clipped to it.

        Returns:
            B tensors (P_i, 4) xyxy in pixels of the network input, best first.
        """
        logits, offsets = self.head(features)
        anchors = self._anchors(features, padded)
        settings = self.settings
        return self._best(logits, offsets, anchors, sizes, settings.before_nms, settings.after_nms)

    def losses(
        self,
        features: Sequence[Tensor],
        padded: tuple[int, int],
        sizes: Sequence[tuple[int, int]],
        truth: Sequence[Tensor],
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Proposals for training the heads, and the two losses of the proposal network.

        Args:
            features: as for :meth:`forward`.
            padded: as for :meth:`forward`.
            sizes: as for :meth:`forward`.
            truth: B tensors (G_i, 4) of the true boxes.

        Returns:
            Proposals (without gradient) and ``{"objectness", "proposal_box"}``.
        """
        logits, offsets = self.head(features)
        anchors = self._anchors(features, padded)
        settings = self.settings
        proposals = self._best(
            logits, offsets, anchors, sizes, settings.before_nms_training, settings.after_nms_training
        )
        losses = self._losses(torch.cat(logits, 1), torch.cat(offsets, 1), torch.cat(anchors), truth)
        return proposals, losses

    def _anchors(self, features: Sequence[Tensor], padded: tuple[int, int]) -> list[Tensor]:
        grids = [(int(f.shape[2]), int(f.shape[3])) for f in features]
        return self.anchors.boxes(grids, padded, features[0].device)

    @torch.no_grad()
    def _best(
        self,
        logits: list[Tensor],
        offsets: list[Tensor],
        anchors: list[Tensor],
        sizes: Sequence[tuple[int, int]],
        before: int,
        after: int,
    ) -> list[Tensor]:
        """The best anchors of each level, decoded, clipped and thinned; only those are ever decoded."""
        chosen = [level.topk(min(before, level.shape[1]), dim=1) for level in logits]
        levels = torch.cat([torch.full_like(top.indices[0], k) for k, top in enumerate(chosen)])
        proposals = []
        for image, size in enumerate(sizes):
            scores = torch.cat([top.values[image] for top in chosen]).sigmoid()
            moved = torch.cat([o[image, top.indices[image]] for o, top in zip(offsets, chosen, strict=True)])
            bases = torch.cat([a[top.indices[image]] for a, top in zip(anchors, chosen, strict=True)])
            boxes = clip(decode(moved, bases), size)
            keep = at_least(boxes, self.settings.min_side)
            boxes, scores = boxes[keep], scores[keep]
            kept = batched_nms(boxes, scores, levels[keep], self.settings.iou)
            proposals.append(boxes[kept[:after]])
        return proposals

    def _losses(
        self, logits: Tensor, offsets: Tensor, anchors: Tensor, truth: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Binary cross entropy and smooth L1, both over the number of sampled anchors of the whole batch.

        The batch is that of all processes: see :func:`delineate.nn.normaliser.mean_count`.
        """
        settings = self.settings
        objectness, box, count = logits.sum() * 0, offsets.sum() * 0, 0
        for image, boxes in enumerate(truth):
            with torch.no_grad():
                matched = match(
                    box_iou(boxes, anchors), settings.foreground, settings.background, keep_best=True
                )
                positive, negative = sample(matched, settings.samples, settings.positive_fraction)
                goal = encode(boxes[matched[positive]], anchors[positive])
            chosen = torch.cat([positive, negative])
            is_object = torch.zeros(len(chosen), device=logits.device)
            is_object[: len(positive)] = 1
            objectness = objectness + F.binary_cross_entropy_with_logits(
                logits[image, chosen], is_object, reduction="sum"
            )
            box = box + F.smooth_l1_loss(offsets[image, positive], goal, beta=SMOOTH_L1_BETA, reduction="sum")
            count += len(chosen)
        total = mean_count(torch.tensor(count, device=logits.device))
        return {"objectness": objectness / total, "proposal_box": box / total}

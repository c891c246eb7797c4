"""Faster R-CNN, Mask R-CNN and Panoptic FPN as a graph: proposals, boxes and masks of fixed numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from delineate.models.mask_rcnn.boxes import CODE_WEIGHTS, MIN_SIDE
from delineate.nn.box_coding import decode

from .detections import apart, best, rows_of, survivors, within
from .graphs import Graph
from .manifest import Result
from .regions import pooled

CANDIDATES = 2000
"""Of pairs of proposal and class so many are compared; PyTorch's way compares all above the confidence."""


class BoxGraph(Graph):
    """The two-stage detectors.

    Proposals that suppression leaves free, and candidates, are rows of score 0. Boxes are cut to the part of
    the input that is image, told by ``sizes``.
    """

    inputs = ("images", "sizes")

    def describe(self, max_det: int | None) -> tuple[tuple[str, ...], Result]:
        """Boxes, and by the model's branches masks and stuff."""
        model, limits = self.model, self.model.limits
        masks = hasattr(model, "masks")
        self.count = max_det or limits.max_det
        outputs = ["boxes", "scores", "labels"] + ["masks"] * masks + ["stuff"] * (model.stuff is not None)
        result = Result(
            "detections", model.tasks, self.count, "box" if masks else "",
            confidence=limits.confidence, floor=limits.confidence, iou=limits.iou,
        )  # fmt: skip
        return tuple(outputs), result

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) and (B, 2) -> (B, K, 4), (B, K), (B, K), (B, K, 28, 28), (B, S + 1, h, w)."""
        model: Any = self.model
        features = model.backbone(images)
        padded = (images.shape[2], images.shape[3])
        proposals, alive = self.proposals(features, padded, sizes)
        boxes, scores, labels = self.detections(features, proposals, alive, sizes)
        outputs = [boxes, scores, labels]
        if "masks" in self.outputs:
            outputs.append(self.masks(features, boxes, labels))
        if model.stuff is not None:
            outputs.append(model.stuff(features))
        return tuple(outputs)

    def proposals(self, features: list[Tensor], padded: Any, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """The best (B, P, 4) boxes of all levels, and (B, P) whether each is one."""
        network: Any = self.model.proposals
        settings = network.settings
        logits, offsets = network.head(features)
        grids = [(f.shape[2], f.shape[3]) for f in features]
        anchors = network.anchors.boxes(grids, padded, features[0].device)
        boxes, worth = [], []
        for logit, offset, anchor in zip(logits, offsets, anchors, strict=True):
            score, at = best(logit.sigmoid(), settings.before_nms)
            moved, count = rows_of(offset, at), at.shape[1]
            bases = anchor[at.reshape(-1)]
            some = within(decode(moved.reshape(-1, 4), bases).view(-1, count, 4), sizes)
            score = score * _long(some, settings.min_side)
            stays = survivors(some, score, settings.iou, plain=self.plain)
            boxes.append(some)
            worth.append(score * stays)
        every = torch.cat(boxes, 1)
        score, at = best(torch.cat(worth, 1), settings.after_nms)
        return rows_of(every, at), score > 0

    def detections(
        self, features: list[Tensor], proposals: Tensor, alive: Tensor, sizes: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(B, K, 4) boxes, (B, K) scores and labels, best first."""
        branch, limits = self.model.boxes, self.model.limits
        batch, count = alive.shape
        x = branch.head(pooled(branch.pool, features, proposals, self.plain))
        scores = branch.class_logits(x).float().softmax(1)[:, branch.columns]  # (B * P, K)
        classes = scores.shape[1]
        offsets = branch.offsets(x).float().view(batch, count * branch.outputs, 4)
        worth = torch.where(scores > limits.confidence, scores, 0).view(batch, count, classes)
        score, pair = best((worth * alive[..., None]).flatten(1), CANDIDATES)  # of pairs
        which, label = apart(pair, classes)
        bases = rows_of(proposals, which)
        shift = rows_of(offsets, which * branch.outputs + branch.columns[label])
        boxes = decode(shift.reshape(-1, 4), bases.reshape(-1, 4), CODE_WEIGHTS).view_as(bases)
        boxes = within(boxes, sizes)
        score = score * _long(boxes, MIN_SIDE)
        boxes = boxes * (score > 0)[..., None]  # so that empty rows move nothing
        score = score * survivors(boxes, score, limits.iou, label, plain=self.plain)
        score, at = best(score, self.count)
        return rows_of(boxes, at), score, label.gather(1, at)

    def masks(self, features: list[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        """(B, K, 28, 28) probabilities of each box's own class."""
        branch: Any = self.model.masks
        x = branch.convs(pooled(branch.pool, features, boxes, self.plain))
        squares: Tensor = branch.logits_of(x, labels.flatten()).sigmoid()
        return squares.view(*labels.shape, branch.size, branch.size)


def _long(boxes: Tensor, side: float) -> Tensor:
    """(B, N) bool: both sides are ``side`` pixels or longer."""
    return (boxes[..., 2:] - boxes[..., :2] >= side).all(2)

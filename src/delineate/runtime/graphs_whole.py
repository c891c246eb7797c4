"""The one-stage families as graphs: every point's or prior's words, the best of them, and their masks."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from delineate.core.errors import InputError
from delineate.core.suppress import Suppression
from delineate.models.yolact.choose import Limits
from delineate.models.yolact.prototypes import inside
from delineate.models.yolo_seg.ellipse import TERMS

from .detections import apart, best, fixed_survivors, overlaps, rows_of, survivors, within
from .graphs import Graph
from .manifest import Result


class Rows(NamedTuple):
    """Candidates of each image.

    Attributes:
        boxes: (B, N, 4) xyxy in pixels of the input.
        scores: (B, N).
        labels: (B, N) int64.
        coefficients: (B, N, P) of the prototypes.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    coefficients: Tensor

    def at(self, index: Tensor, scores: Tensor) -> Rows:
        """The rows of (B, K) ``index``, with other scores."""
        boxes, coefficients = rows_of(self.boxes, index), rows_of(self.coefficients, index)
        return Rows(boxes, scores, self.labels.gather(1, index), coefficients)


class MaskGraph(Graph):
    """What both families share: suppression by a rule."""

    count: int

    def suppressed(self, rule: Suppression, rows: Rows, ellipse: int = 0) -> Rows:
        """The best rows that a rule leaves; of the coefficients the last ``ellipse`` are no prototypes'."""
        scores, at = best(rows.scores, rule.candidates)
        rows = rows.at(at, scores)
        threshold = _box_threshold(rule)
        if rule.kind == "prototype":
            words = rows.coefficients[..., : rows.coefficients.shape[2] - ellipse]
            length = words.square().sum(2, keepdim=True).sqrt()
            ways = words / torch.where(length > 0, length, 1)
            alike = ways @ ways.transpose(1, 2) > rule.similarity
            clash = (overlaps(rows.boxes, rows.boxes) > rule.iou) & alike
            scores = scores * fixed_survivors(clash, rows.labels[:, :, None] == rows.labels[:, None])
        elif threshold is not None:
            scores = scores * survivors(rows.boxes, scores, threshold, rows.labels, plain=self.plain)
        scores, at = best(scores, self.count)
        return rows.at(at, scores)


class PointGraph(MaskGraph):
    """The one-stage segmenter with anchor points, with either head, and with stuff where it has it.

    Suppression by mask begins inside the graph, by box; what masks share is looked at outside, in the
    image's pixels.
    """

    inputs = ("images", "sizes")

    def describe(self, max_det: int | None) -> tuple[tuple[str, ...], Result]:
        """Boxes and masks, and stuff where the model has it."""
        model = self.model
        self.count = max_det or model.limits.max_det
        self.rule: Suppression = model.suppression
        self.chosen = model.one is not None and model.inference == "one_to_one"
        if self.chosen:
            self.rule = Suppression("none")
            self.count = min(self.count, model.limits.max_det)
        _check(self.rule)
        self.stuff = "stuff" in getattr(model, "settings", {})
        outputs = ("boxes", "scores", "labels", "masks") + (("stuff",) if self.stuff else ())
        by_mask = self.rule.kind == "mask"
        return outputs, Result(
            "detections", model.tasks, self.count, "cells",
            confidence=model.limits.confidence,
            iou=_box_threshold(self.rule),
            mask_iou=self.rule.iou if by_mask else None,
            mask_measure=self.rule.measure,
        )  # fmt: skip

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) and (B, 2) -> (B, K, 4), (B, K), (B, K), (B, K, h, w), (B, S + 1, h, w)."""
        said = self.model(images)
        if self.chosen:
            scores, labels = said.scores, said.labels
        else:
            logits, labels = said.logits.max(-1)
            scores = logits.sigmoid()
        rows = Rows(within(said.boxes, sizes), scores, labels, said.coefficients)
        found = self.suppressed(self.rule, rows, TERMS if self.model.ellipse else 0)
        masks = mixed(found.coefficients, said.prototypes)
        return (*found[:3], masks, *([said.stuff] if self.stuff else []))


class PriorGraph(MaskGraph):
    """YOLACT, with its mask rating and with stuff where it has them; Fast NMS or another rule."""

    def describe(self, max_det: int | None) -> tuple[tuple[str, ...], Result]:
        """Boxes and masks, and stuff where the model has it."""
        model = self.model
        self.limits: Limits = model.limits
        self.count = max_det or self.limits.max_det
        self.rule: Suppression | None = model.suppression
        if self.rule is not None:
            _check(self.rule)
        self.inputs = ("images",) if self.rule is None else ("images", "sizes")
        self.stuff = getattr(model, "stuff", None) is not None
        outputs = ("boxes", "scores", "labels", "masks") + (("stuff",) if self.stuff else ())
        by_mask = self.rule is not None and self.rule.kind == "mask"
        return outputs, Result(
            "detections", model.tasks, self.count, "soft_cells",
            confidence=self.limits.confidence, floor=self.limits.confidence,
            iou=self.limits.iou if self.rule is None else _box_threshold(self.rule),
            mask_iou=self.rule.iou if by_mask and self.rule else None,
            mask_measure="iou" if self.rule is None else self.rule.measure,
        )  # fmt: skip

    def forward(self, images: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
        """(B, 3, H, W) and maybe (B, 2) -> (B, K, 4), (B, K), (B, K), (B, K, h, w), (B, S + 1, h, w)."""
        said = self.model(images)
        if self.rule is None or sizes is None:
            found = self.fast(said)
        else:
            scores, labels = said.scores.max(-1)
            scores = torch.where(scores > self.limits.confidence, scores, 0)
            rows = Rows(within(said.boxes, sizes), scores, labels, said.coefficients)
            found = self.suppressed(self.rule, rows)
        boxes, scores, labels, coefficients = found
        masks = mixed(coefficients, said.prototypes)
        if self.model.rater is not None:
            scores = self.rated(masks, boxes, scores, labels, images)
            scores, order = best(scores, self.count)
            boxes, labels = rows_of(boxes, order), labels.gather(1, order)
            masks = masks.gather(1, order[..., None, None].expand_as(masks))
        return (boxes, scores, labels, masks, *([said.stuff] if self.stuff else []))

    def fast(self, said: Any) -> Rows:
        """Fast NMS (Bolya et al. 2019, section 3.4): a row goes when any better one overlaps it too much."""
        limits = self.limits
        worth = torch.where(said.scores > limits.confidence, said.scores, 0)  # (B, A, K)
        if limits.cross_class:
            worth, of_prior = worth.max(2, keepdim=True)
        batch, _, groups = worth.shape
        score, at = best(worth.transpose(1, 2).flatten(0, 1), limits.candidates)  # (B * K, N)
        score, at = score.view(batch, groups, -1), at.view(batch, -1)
        boxes = rows_of(said.boxes, at).view(batch, groups, -1, 4)
        count = boxes.shape[2]
        place = torch.arange(count, device=at.device)
        clash = (overlaps(boxes, boxes) > limits.iou) & (place[:, None] < place)
        score = (score * ~clash.any(2)).flatten(1)
        score, which = best(score, self.count)
        prior = at.gather(1, which)
        labels = of_prior[..., 0].gather(1, prior) if limits.cross_class else apart(which, count)[0]
        return Rows(rows_of(said.boxes, prior), score, labels, rows_of(said.coefficients, prior))

    def rated(self, masks: Tensor, boxes: Tensor, scores: Tensor, labels: Tensor, images: Tensor) -> Tensor:
        """(B, K) scores times the IoU that the rater expects of each mask."""
        height, width = masks.shape[2:]
        ratio = [width / images.shape[3], height / images.shape[2]] * 2
        cells = torch.stack([boxes[..., side] * ratio[side] for side in range(4)], 2)
        within_box = inside(cells.flatten(0, 1), (height, width))
        rates = self.model.rater(masks.flatten(0, 1).sigmoid() * within_box).gather(1, labels.view(-1, 1))
        rescored = (scores * rates.view(scores.shape)).clamp(max=1)
        return torch.where(rescored > self.limits.confidence, rescored, 0)


def mixed(coefficients: Tensor, prototypes: Tensor) -> Tensor:
    """(B, K, P) and (B, P, h, w) -> (B, K, h, w) mask logits."""
    return torch.unflatten(coefficients @ prototypes.flatten(2), 2, prototypes.shape[2:])


def _box_threshold(rule: Suppression) -> float | None:
    """The box IoU above which the worse of two goes inside the graph."""
    by_kind = {"box": rule.iou, "mask": rule.box_iou, "prototype": rule.iou}
    return by_kind.get(rule.kind)


def _check(rule: Suppression) -> None:
    """Refuses what is no fixed graph.

    Raises:
        InputError: soft suppression.
    """
    if rule.kind == "soft":
        raise InputError(
            "export: expected suppression by box, mask, prototype or none, got 'soft', which changes each "
            "score after the other; build the model with another suppression"
        )

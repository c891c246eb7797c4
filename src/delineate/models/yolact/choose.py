"""From every prior's scores to detections: Fast NMS.

Bolya et al. 2019, "YOLACT", section 3.4: a box goes when any better box of its class overlaps it too much,
even one that goes itself; all decisions are made at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_iou

from delineate.core.errors import InputError


@dataclass(frozen=True)
class Limits:
    """What counts as a detection.

    Attributes:
        confidence: scores must be above it, 0..1.
        iou: of two boxes of a class that overlap more, the lower score goes, 0..1.
        max_det: at most so many an image, the best ones.
        candidates: so many of the best boxes of each class are compared with each other; the rest is lost.
        cross_class: boxes of different classes suppress each other too.
    """

    confidence: float = 0.05
    iou: float = 0.5
    max_det: int = 100
    candidates: int = 200
    cross_class: bool = False

    def __post_init__(self) -> None:
        if not (
            0 <= self.confidence <= 1 and 0 <= self.iou <= 1 and self.max_det >= 1 and self.candidates >= 1
        ):
            raise InputError(f"limits: expected fractions in 0..1 and counts of 1 or more, got {self}")


class Found(NamedTuple):
    """The detections of one image, best first.

    Attributes:
        rows: (N,) int64 which prior each comes from.
        labels: (N,) int64, 0..K-1.
        scores: (N,) float32, 0..1.
        lost: how many good ones ``max_det`` cut off; -1: some.
        unseen: how many candidates beyond ``candidates`` were not looked at.
    """

    rows: Tensor
    labels: Tensor
    scores: Tensor
    lost: int
    unseen: int


def choose(boxes: Tensor, scores: Tensor, limits: Limits) -> Found:
    """Fast NMS on one image.

    Args:
        boxes: (A, 4) xyxy.
        scores: (A, K), 0..1.
        limits: see :class:`Limits`.

    Example:
        >>> boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 3], [9, 9, 10, 10]])
        >>> choose(boxes, torch.tensor([[0.5], [0.9], [0.1]]), Limits()).rows.tolist()
        [1, 2]
    """
    best, label = scores.max(dim=1)
    likely = torch.where(best > limits.confidence)[0]
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    unseen = 0
    if limits.cross_class:
        groups = [(likely, label[likely], best[likely])] if len(likely) else []
    else:
        groups = []
        some = scores[likely]
        for c in torch.where((some > limits.confidence).any(dim=0))[0].tolist():
            rows = likely[some[:, c] > limits.confidence]
            groups.append((rows, torch.full_like(rows, c), scores[rows, c]))
    for rows, labels, values in groups:
        order = values.argsort(descending=True, stable=True)
        unseen += max(0, len(order) - limits.candidates)
        order = order[: limits.candidates]
        overlap = box_iou(boxes[rows[order]], boxes[rows[order]]).triu(diagonal=1)
        kept = order[overlap.amax(dim=0) <= limits.iou]
        parts.append((rows[kept], labels[kept], values[kept]))
    if not parts:
        none = label[:0]
        return Found(none, none, best[:0], 0, 0)
    rows, labels, values = (torch.cat(column) for column in zip(*parts, strict=True))
    order = values.argsort(descending=True, stable=True)
    lost = max(0, len(order) - limits.max_det)
    order = order[: limits.max_det]
    return Found(rows[order], labels[order], values[order], lost, unseen)

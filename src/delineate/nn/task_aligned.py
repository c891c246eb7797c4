"""Which points answer for which objects: task-aligned assignment.

Feng et al. 2021, "TOOD", section 3.2: the points inside an object compete by score^alpha * IoU^beta; the best
few of each object are positive, and their class targets follow the same measure. With one point an object it
is the one-to-one assignment of Wang et al. 2024, "YOLOv10", section 3.1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .box_losses import complete_iou

TINY = 1e-9  # orders the points of an object that none of them overlaps


class Truth(NamedTuple):
    """The objects of a batch, one after the other.

    Attributes:
        boxes: (G, 4) xyxy in pixels of the network's input.
        labels: (G,) int64, 0..K-1.
        image: (G,) int64, which image of the batch each lies in.
    """

    boxes: Tensor
    labels: Tensor
    image: Tensor


class Assignment(NamedTuple):
    """P positive points.

    Attributes:
        image: (P,) int64, the image of each.
        point: (P,) int64, index of the point, 0..A-1.
        truth: (P,) int64, the object it answers for, 0..G-1.
        target: (P,) float32, what its class score should be, 0..1.
    """

    image: Tensor
    point: Tensor
    truth: Tensor
    target: Tensor


@torch.no_grad()
def assign(
    logits: Tensor,
    boxes: Tensor,
    points: Tensor,
    truth: Truth,
    *,
    most: int = 10,
    alpha: float = 0.5,
    beta: float = 6.0,
    smallest: float = 16.0,
    rounds: int = 1,
) -> Assignment:
    """Choose the positive points of every object.

    Args:
        logits: (B, A, K) class logits at the points.
        boxes: (B, A, 4) predicted boxes, xyxy in pixels.
        points: (A, 2) x, y in pixels.
        truth: the objects.
        most: points an object may have.
        alpha: exponent of the score.
        beta: exponent of the complete IoU.
        smallest: objects count as at least so many pixels wide and high when points inside are sought, so
            that every object owns one.
        rounds: how often objects that lost all their points to others choose again among free points.

    Returns:
        The positives; a point answers for one object only, the one it overlaps most. The class target is
        the measure, scaled so that each object's largest is its largest IoU.
    """
    count, room = len(truth.boxes), len(points)
    if not count:
        none = truth.labels.new_zeros(0)
        return Assignment(none, none, none, boxes.new_zeros(0))
    owner, point = _inside(truth.boxes, points, smallest)  # (N,) pairs
    image = truth.image[owner]
    ciou = complete_iou(boxes[image, point].float(), truth.boxes[owner])
    overlap = ciou.clamp(0, 1)
    score = logits[image, point, truth.labels[owner]].float().sigmoid()
    measure = boxes.new_zeros((count, room), dtype=torch.float32)
    measure[owner, point] = score.pow(alpha) * overlap.pow(beta) + TINY * ciou.exp()
    iou = torch.zeros_like(measure)
    iou[owner, point] = ciou
    place = truth.image[:, None] * room + torch.arange(room, device=points.device)  # (G, A) slot in the batch
    chosen = _choose_in_turns(measure, iou, place, most, len(logits) * room, rounds)
    owner, point = chosen.nonzero(as_tuple=True)
    best = torch.where(chosen, measure, 0).amax(1)
    best_iou = torch.where(chosen, iou, 0).amax(1)  # 0 at least
    target = measure[owner, point] / best[owner] * best_iou[owner]
    return Assignment(truth.image[owner], point, owner, target)


def _inside(boxes: Tensor, points: Tensor, smallest: float) -> tuple[Tensor, Tensor]:
    """Pairs (object, point) with the point inside the object's box, which is first grown to ``smallest``."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = ((boxes[:, 2:] - boxes[:, :2]) / 2).clamp(min=smallest / 2)
    x = (points[:, 0] - centre[:, :1]).abs() < half[:, :1]  # (G, A)
    y = (points[:, 1] - centre[:, 1:]).abs() < half[:, 1:]
    owner, point = (x & y).nonzero(as_tuple=True)
    return owner, point


def _choose_in_turns(
    measure: Tensor, iou: Tensor, place: Tensor, most: int, slots: int, rounds: int
) -> Tensor:
    """(G, A) bool: as :func:`_choose`; objects left without a point choose again among free ones."""
    chosen = _choose(measure, iou, place, most, slots)
    for _ in range(rounds - 1):
        seeking = ~chosen.any(1)
        if not bool(seeking.any()):
            break
        taken = torch.zeros(slots, dtype=torch.bool, device=measure.device)
        taken[place[chosen]] = True
        free = torch.where(seeking[:, None] & ~taken[place], measure, 0)
        chosen |= _choose(free, iou, place, most, slots)
    return chosen


def _choose(measure: Tensor, iou: Tensor, place: Tensor, most: int, slots: int) -> Tensor:
    """(G, A) bool: the ``most`` best points of each object; of a point chosen twice the larger IoU stays."""
    best, index = measure.topk(min(most, measure.shape[1]), dim=1)
    rows = torch.arange(len(measure), device=measure.device)[:, None].expand_as(index)[best > 0]
    columns = index[best > 0]
    slot = place[rows, columns]
    claim = iou[rows, columns]
    highest = torch.full((slots,), -torch.inf, device=measure.device).scatter_reduce(0, slot, claim, "amax")
    wins = claim == highest[slot]
    first = torch.full((slots,), len(measure), device=measure.device)  # of equals, the first object
    first = first.scatter_reduce(0, slot[wins], rows[wins], "amin")
    wins &= rows == first[slot]
    chosen = torch.zeros_like(measure, dtype=torch.bool)
    chosen[rows[wins], columns[wins]] = True
    return chosen

"""The confidence at which predictions reach a given precision, so that methods are compared fairly.

Two methods at the same confidence are not at the same operating point: one may call an object where the other
does not. At equal pooled precision their recall and their crowd errors can be set side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances

from .crowd import CrowdErrors, judged_objects
from .crowd_report import CrowdReport

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class OperatingPoint:
    """Pooled counts of the detections from a confidence on.

    Attributes:
        confidence: score from which (``>=``) detections count, 0..1.
        matched: true objects matched.
        predicted: detections that count.
        objects: true objects.
    """

    confidence: float
    matched: int
    predicted: int
    objects: int

    @property
    def precision(self) -> float:
        """Matched / predicted; 0 without any."""
        return self.matched / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Matched / objects; 0 without any."""
        return self.matched / self.objects if self.objects else 0.0

    @property
    def f1(self) -> float:
        """2 matched / (predicted + objects); 0 without any."""
        both = self.predicted + self.objects
        return 2 * self.matched / both if both else 0.0


def operating_points(
    images: Sequence[tuple[Instances, Instances]], iou: float = 0.5, by_class: bool = False
) -> list[OperatingPoint]:
    """The pooled operating point at each score that occurs, from the highest down.

    The number of matches of the detections from each score on is exact: a detection added to the others adds
    one match where an augmenting path frees an object for it, else none (Kuhn's algorithm, in the order of
    the scores), which gives every prefix its own largest matching at once.

    Args:
        images: (predicted, true) objects of each image, with masks.
        iou: IoU from which a pair matches, in 0.5..1.
        by_class: whether a match needs the same class.
    """
    each = [_gains(pred, truth, iou, by_class) for pred, truth in images]
    objects = sum(number for _, _, number in each)
    if not each:
        return []
    scores = np.concatenate([s for s, _, _ in each])
    gains = np.concatenate([g for _, g, _ in each])
    order = np.argsort(-scores, kind="stable")
    scores, matched = scores[order], np.cumsum(gains[order])
    if not len(scores):
        return []
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    return [OperatingPoint(float(scores[k]), int(matched[k]), int(k) + 1, objects) for k in last]


def confidence_at_precision(
    images: Sequence[tuple[Instances, Instances]],
    precision: float,
    iou: float = 0.5,
    by_class: bool = False,
) -> OperatingPoint:
    """The lowest confidence, and so the highest recall, at which the pooled precision is reached.

    Args:
        images: (predicted, true) objects of each image, with masks; predictions with their scores.
        precision: the precision to reach, in 0..1.
        iou: IoU from which a pair matches, in 0.5..1.
        by_class: whether a match needs the same class.

    Returns:
        The point; its precision is ``precision`` or more.

    Raises:
        InputError: no confidence reaches it; the message names the highest precision there is.

    Example:
        >>> from delineate.core.masks import Masks
        >>> true = Masks.from_label_image(np.array([[1, 1, 0, 2, 2]]))
        >>> found = Masks.from_label_image(np.array([[1, 1, 3, 2, 0]]))
        >>> pair = Instances((1, 5), masks=found, scores=[0.9, 0.6, 0.4]), Instances((1, 5), masks=true)
        >>> round(confidence_at_precision([pair], 0.9).confidence, 3)
        0.6
    """
    points = operating_points(images, iou, by_class)
    reached = [point for point in points if point.precision >= precision]
    if not reached:
        best = max(points, key=lambda p: p.precision, default=None)
        got = (
            "no predictions" if best is None else f"{best.precision:.3f} at confidence {best.confidence:.3f}"
        )
        raise InputError(
            f"confidence_at_precision: expected a precision of {precision:g} at some confidence, got at most "
            f"{got}; ask for less"
        )
    return reached[-1]


def crowd_at_precision(
    images: Sequence[tuple[Instances, Instances]],
    precision: float,
    iou: float = 0.5,
    by_class: bool = False,
) -> tuple[OperatingPoint, CrowdReport]:
    """The crowd errors at the lowest confidence that reaches a pooled precision.

    Args, Raises: as :func:`confidence_at_precision`.

    Returns:
        The point, and the crowd errors of the detections from its confidence on.
    """
    point = confidence_at_precision(images, precision, iou, by_class)
    return point, crowd_at_confidence(images, point.confidence, iou, by_class)


def crowd_at_confidence(
    images: Sequence[tuple[Instances, Instances]],
    confidence: float,
    iou: float = 0.5,
    by_class: bool = False,
) -> CrowdReport:
    """The crowd errors of the detections with a score from ``confidence`` on."""
    metric = CrowdErrors(iou, by_class)
    for pred, truth in images:
        metric.update(pred[pred.scores >= np.float32(confidence)], truth)
    return metric.compute()


def _gains(
    pred: Instances, truth: Instances, iou: float, by_class: bool
) -> tuple[NDArray[np.float32], Bools, int]:
    """Of one image: scores (D,) descending, whether each adds a match (D,), and the number of objects."""
    (found, masks), (true, true_masks) = judged_objects(pred, truth)
    order = np.argsort(-found.scores, kind="stable")
    found, masks = found[order], masks[order]
    i, j, shared = true_masks.intersection_pairs(masks)
    overlap = shared / (np.asarray(true_masks.area)[i] + np.asarray(masks.area)[j] - shared)
    good = overlap.astype(np.float32) >= np.float32(iou)
    if by_class:
        good &= true.labels[i] == found.labels[j]
    wanted: list[list[int]] = [[] for _ in range(len(found))]
    for a, b in zip(i[good].tolist(), j[good].tolist(), strict=True):
        wanted[b].append(a)
    holder: dict[int, int] = {}
    held: dict[int, int] = {}
    gains = np.array([_place(k, wanted, holder, held) for k in range(len(found))], dtype=np.bool_)
    return found.scores, gains, len(true)


def _place(start: int, wanted: list[list[int]], holder: dict[int, int], held: dict[int, int]) -> bool:
    """Give prediction ``start`` an object, moving others along an augmenting path; False if there is none.

    ``holder`` maps an object to its prediction, ``held`` a prediction to its object; both are changed.
    """
    came: dict[int, int] = {}  # object -> the prediction that reached it
    queue = [start]
    for prediction in queue:
        for true in wanted[prediction]:
            if true in came:
                continue
            came[true] = prediction
            if true in holder:
                queue.append(holder[true])
                continue
            free: int | None = true
            while free is not None:  # hand on along the path, back to the start
                giver = came[free]
                left = held.get(giver)
                holder[free], held[giver] = giver, free
                free = left
            return True
    return False

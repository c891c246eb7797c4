"""One annotation out of several: which objects there are, where their outlines run, and what they are.

Objects are those of :mod:`.annotator_groups` that enough annotators drew. Each object's mask comes from those
who drew it, within the window around their outlines: by vote, or by STAPLE (:mod:`.staple`). Where a vote is
a tie, as with two annotators everywhere that they differ, the mean of the signed distances to their outlines
decides, which puts the outline halfway (Rohlfing, Maurer, "Shape-Based Averaging", IEEE Transactions on Image
Processing 16, 2007). An object that two alone drew is voted on in any case: of two, STAPLE cannot tell who is
right, for its likelihood is nearly the same along a ridge. The vote is what stands by default: on known
nuclei it was never behind STAPLE (docs/benchmarks.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks

from .annotator_groups import THRESHOLD, group_objects
from .staple import staple

Method = Literal["staple", "vote"]
Floats = NDArray[np.float64]
MARGIN = 0.25
"""A window reaches beyond the outlines by this share of its longer side, two pixels at least: STAPLE's
specificity is that of the background in the window."""


@dataclass(frozen=True, eq=False)
class Consensus:
    """What annotators of one image agree on.

    Attributes:
        instances: G objects; the score of each is the share of the annotators who drew it.
        drawn: (G, R) who drew it.
        sensitivity: (G, R) share of the object's pixels that the annotator has, by STAPLE; NaN who did not
            draw.
        specificity: (G, R) share of the window's background that the annotator left out, likewise.
        dropped: objects that too few drew.
        ties: objects whose class is one of several that as many annotators gave.
    """

    instances: Instances
    drawn: NDArray[np.bool_]
    sensitivity: Floats
    specificity: Floats
    dropped: int
    ties: int


def consensus(
    annotations: Sequence[Instances],
    method: Method = "vote",
    threshold: float = THRESHOLD,
    least: int | None = None,
) -> Consensus:
    """The consensus of R annotators who saw one image.

    Args:
        annotations: their objects, with masks, of one size and one list of classes. Crowd regions stay where
            more than half of the annotators have one of that class, as the pixels that more than half mark.
        method: ``"vote"``, or ``"staple"``, of objects that three or more drew.
        threshold: mean IoU from which outlines are one object.
        least: annotators who must have drawn an object; default more than half, and both of two.

    Raises:
        InputError: no annotators, sizes or classes that differ, masks missing, or another method.

    Example:
        >>> image = np.array([[0, 1, 1, 1, 1, 1, 1, 0, 0]] * 3)
        >>> moved = [Masks.from_label_image(np.roll(image, k, axis=1)) for k in (-1, 0, 1)]
        >>> consensus([Instances((3, 9), masks=m) for m in moved], "vote").instances.boxes.tolist()
        [[1.0, 0.0, 7.0, 3.0]]
    """
    masks = _checked(annotations, method)
    normal = [np.flatnonzero(~own.crowd) for own in annotations]
    groups = group_objects([m[kept] for m, kept in zip(masks, normal, strict=True)], threshold)
    least = len(annotations) // 2 + 1 if least is None else least
    enough = (groups >= 0).sum(axis=1) >= least
    dropped, groups = int((~enough).sum()), groups[enough]
    crops: list[NDArray[np.bool_]] = []
    corners: list[tuple[int, int]] = []
    labels: list[int] = []
    quality = np.full((2, *groups.shape), np.nan)
    ties = 0
    for row, members in enumerate(groups):
        who: list[int] = np.flatnonzero(members >= 0).tolist()
        at = [int(normal[k][members[k]]) for k in who]
        stack, corner = _window([masks[k] for k in who], at)
        found = staple(stack)
        quality[:, row, who] = found.sensitivity, found.specificity
        crops.append(found.probability >= 0.5 if method == "staple" and len(who) > 2 else _vote(stack))
        corners.append(corner)
        votes = np.bincount([int(annotations[k].labels[i]) for k, i in zip(who, at, strict=True)])
        labels.append(int(votes.argmax()))
        ties += int((votes == votes.max()).sum() > 1)
    crowd, crowd_labels = _crowds(annotations, masks)
    drawn = groups >= 0
    instances = Instances(
        annotations[0].size,
        labels=np.array([*labels, *crowd_labels], dtype=np.int64),
        scores=np.array([*drawn.mean(axis=1), *[1.0] * len(crowd)], dtype=np.float32),
        masks=Masks.concatenate(
            [Masks.from_crops(crops, np.array(corners, dtype=np.int64), annotations[0].size), crowd]
        ),
        crowd=np.arange(len(labels) + len(crowd)) >= len(labels),
        classes=annotations[0].classes,
    )
    return Consensus(instances, drawn, quality[0], quality[1], dropped, ties)


def _checked(annotations: Sequence[Instances], method: str) -> list[Masks]:
    if not annotations or method not in ("staple", "vote"):
        raise InputError(
            f"consensus: expected annotations and the method staple or vote, got {len(annotations)} and "
            f"{method!r}; correct them"
        )
    first = annotations[0]
    masks = [own.masks for own in annotations if own.masks is not None]
    if len(masks) < len(annotations) or any(
        own.size != first.size or own.classes != first.classes for own in annotations
    ):
        raise InputError(
            "consensus: expected masks on one image size and one list of classes, got others; "
            "map the labels first"
        )
    return masks


def _window(masks: Sequence[Masks], at: Sequence[int]) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """The masks of one object as (R, h, w) in the window around them, and its corner."""
    height, width = masks[0].size
    found = [m.crop(i) for m, i in zip(masks, at, strict=True)]
    x1, y1 = min(x for _, (x, _) in found), min(y for _, (_, y) in found)
    x2 = max(x + crop.shape[1] for crop, (x, _) in found)
    y2 = max(y + crop.shape[0] for crop, (_, y) in found)
    margin = max(2, round(MARGIN * max(x2 - x1, y2 - y1)))
    x1, y1, x2, y2 = (
        max(0, x1 - margin),
        max(0, y1 - margin),
        min(width, x2 + margin),
        min(height, y2 + margin),
    )
    stack = np.zeros((len(found), y2 - y1, x2 - x1), dtype=np.bool_)
    for plane, (crop, (x, y)) in zip(stack, found, strict=True):
        plane[y - y1 : y - y1 + crop.shape[0], x - x1 : x - x1 + crop.shape[1]] = crop
    return stack, (x1, y1)


def _vote(stack: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels that more than half mark; of a tie those that lie inside on average."""
    twice = 2 * stack.sum(axis=0)
    tied = twice == len(stack)
    if not tied.any():
        return np.asarray(twice > len(stack))
    inside = np.zeros(stack.shape[1:])
    for mask in stack:
        padded = np.pad(mask, 1).view(np.uint8)
        inside += cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
        inside -= cv2.distanceTransform(1 - padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return np.asarray((twice > len(stack)) | (tied & (inside >= 0)))


def _crowds(annotations: Sequence[Instances], masks: Sequence[Masks]) -> tuple[Masks, list[int]]:
    """One crowd region of each class where more than half of the annotators mark one."""
    size = annotations[0].size
    found, labels = [Masks.empty(size)], []
    for label in sorted({int(k) for own in annotations for k in own.labels[own.crowd]}):
        votes = np.zeros(size, dtype=np.int64)
        for own, all_masks in zip(annotations, masks, strict=True):
            votes += all_masks[own.crowd & (own.labels == label)].union().dense()[0]
        marked = 2 * votes > len(annotations)
        if marked.any():
            found.append(Masks.from_dense(marked[None]))
            labels.append(label)
    return Masks.concatenate(found), labels

"""Panoptic quality: are the segments found, and how well are they outlined.

Kirillov, He, Girshick, Rother and Dollár, "Panoptic Segmentation", CVPR 2019, section 4, with the handling of
void and crowd regions of COCO's own evaluation (github.com/cocodataset/panopticapi), whose numbers these are.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic

from .panoptic_report import PanopticReport

Ints = NDArray[np.int64]
Counts = NDArray[np.float64]
"""(K, 4) per class: sum of matched IoU, matched pairs, predictions alone, true segments alone."""


class PanopticQuality:
    """Panoptic quality over many images.

    Example:
        >>> labels = Labels(("cell", "grass"), things=(True, False))
        >>> truth = Panoptic(np.array([[1, 1, 1, 1], [2, 2, 2, 2]]), labels=[0, 1], classes=labels)
        >>> pred = Panoptic(np.array([[1, 1, 1, 2], [2, 2, 2, 2]]), labels=[0, 1], classes=labels)
        >>> metric = PanopticQuality()
        >>> metric.update(pred, truth)
        >>> report = metric.compute()
        >>> round(report.all.pq, 3), round(report.things.sq, 3), report.stuff.rq
        (0.775, 0.75, 1.0)
    """

    def __init__(self) -> None:
        self._classes: Labels | None = None
        self._images: dict[int, Counts] = {}

    def update(self, pred: Panoptic, truth: Panoptic, image_id: int | None = None) -> None:
        """Add one image.

        Args:
            pred: the predicted segments; scores are not looked at.
            truth: the true segments. Its void is not judged, and its crowd regions need not be found.
            image_id: its number, needed to merge shards; default: the next free one.

        Raises:
            InputError: other classes or sizes, or an image id given twice.
        """
        if image_id is None:
            image_id = max(self._images, default=0) + 1
        classes = self._classes or truth.classes
        if not pred.classes == truth.classes == classes:
            raise InputError(
                "PanopticQuality: expected one list of classes in all predictions and truths, "
                f"got others in image {image_id}; map the labels first"
            )
        if image_id in self._images:
            raise InputError(f"PanopticQuality: expected every image once, got image {image_id} twice")
        self._images[image_id] = judge(pred, truth)
        self._classes = classes

    def merge(self, other: PanopticQuality) -> None:
        """Take over the images of another shard; the result does not depend on how images were shared out.

        Raises:
            InputError: other classes, or an image seen by both.
        """
        both = self._images.keys() & other._images.keys()
        known = [m._classes for m in (self, other) if m._classes is not None]
        if both or any(c != known[0] for c in known):
            what = f"image {min(both)} in both" if both else "another list of classes"
            raise InputError(
                f"PanopticQuality.merge: expected other images and the same classes, got {what}; "
                "give update() the dataset's own image_id"
            )
        self._classes = known[0] if known else None
        self._images.update(other._images)

    def compute(self) -> PanopticReport:
        """The quality over all images so far; may be called again after more updates."""
        classes = self._classes or Labels(())
        each = [self._images[i] for i in sorted(self._images)]  # one order: the sums do not depend on shards
        total = np.sum(each, axis=0) if each else np.zeros((len(classes), 4))
        return PanopticReport.of(total, classes, len(each))


def judge(pred: Panoptic, truth: Panoptic) -> Counts:
    """(K, 4) counts of one image, see :data:`Counts`.

    A pair matches where the classes agree and the IoU, leaving out the truth's void, is above 0.5; at most
    one partner can be so near, so nothing has to be assigned. A prediction without a partner does not count
    where more than half of it lies in void and in the crowd region of its class (the last one, where there
    are several).

    Raises:
        InputError: sizes or classes differ.
    """
    if pred.size != truth.size or pred.classes != truth.classes:
        what = "other classes" if pred.size == truth.size else f"{pred.size} and {truth.size}"
        raise InputError(
            f"panoptic quality: expected prediction and truth of one size and one list of classes, "
            f"got {what}; do not resize segments silently"
        )
    shared = overlaps(truth, pred)  # (T + 1, P + 1), row and column 0 void
    result = np.zeros((len(truth.classes), 4))
    union = truth.area[:, None] + pred.area[None] - shared[1:, 1:] - shared[0, 1:]
    iou = shared[1:, 1:] / np.maximum(union, 1)
    able = (truth.labels[:, None] == pred.labels[None]) & ~truth.crowd[:, None]
    t, p = np.nonzero(able & (iou > 0.5))
    np.add.at(result[:, 0], truth.labels[t], iou[t, p])
    np.add.at(result[:, 1], truth.labels[t], 1)
    lost = np.setdiff1d(np.flatnonzero(~truth.crowd), t)
    np.add.at(result[:, 3], truth.labels[lost], 1)
    alone = np.setdiff1d(np.arange(len(pred)), p)
    ignored = shared[0, 1:].copy()
    crowds: defaultdict[int, list[int]] = defaultdict(list)
    for i in np.flatnonzero(truth.crowd).tolist():
        crowds[int(truth.labels[i])].append(i)
    for label, regions in crowds.items():
        ignored += np.where(pred.labels == label, shared[regions[-1] + 1, 1:], 0)
    wrong = alone[ignored[alone] * 2 <= pred.area[alone]]
    np.add.at(result[:, 2], pred.labels[wrong], 1)
    return result


def overlaps(first: Panoptic, second: Panoptic) -> Ints:
    """(A + 1, B + 1) pixels that segments share; row 0 and column 0 are void."""
    rows, columns = len(first) + 1, len(second) + 1
    result = np.zeros(rows * columns, dtype=np.int64)
    for top in range(0, first.size[0], 256):  # rows at a time: no second picture of wide numbers
        part = first.map[top : top + 256].astype(np.int64) * columns + second.map[top : top + 256]
        result += np.bincount(part.ravel(), minlength=len(result))
    return result.reshape(rows, columns)

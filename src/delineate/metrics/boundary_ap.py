"""Boundary AP: COCO's average precision with an overlap that sees how well outlines fit.

Cheng, Girshick, Dollár, Berg and Kirillov, "Boundary IoU: Improving Object-Centric Image Segmentation
Evaluation", CVPR 2021, sections 4 and 6: the smaller of mask IoU and boundary IoU decides, of crowd regions
the mask's overlap alone.
In large objects mask IoU hardly sees the outline. The numbers are those of the authors' ``boundary-iou-api``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

from .average_precision_report import IOU_THRESHOLDS, AveragePrecisionReport, ClassTally
from .boundary import DILATION, boundaries, boundary_width
from .coco_matching import Matched, accumulate, match

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
MAX_DETS = (1, 10, 100)


@dataclass(frozen=True, eq=False)
class BoundaryReport(AveragePrecisionReport):
    """COCO's numbers with boundary overlaps.

    Attributes:
        dilation: the boundary's width as a part of the image's diagonal.
    """

    dilation: float = DILATION

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind the numbers, JSON-able."""
        return {
            **super().protocol,
            "definition": "boundary AP (boundary-iou-api): COCO AP, 101-point interpolated",
            "overlap": "the smaller of mask IoU and boundary IoU; of crowd regions the mask's",
            "boundary_width": f"{self.dilation:g} of the image's diagonal, rounded, at least 1 pixel",
        }


class _Image(NamedTuple):
    """What is kept of one image: its classes that occur, and detections beyond the limit by class."""

    classes: dict[int, Matched]
    truths: Ints
    crowds: Ints
    detections: Ints
    beyond: Ints


class BoundaryAveragePrecision:
    """Boundary AP and AR over many images.

    Memory grows by some 24 bytes a detection; masks are not kept. Boundaries are drawn only of masks
    whose mask IoU could match.

    Args:
        classes: the K classes that are scored; labels of predictions and truth index them.
        max_dets: ascending; at most so many detections of one class in one image are scored, highest scores
            first. AP is taken at the last.
        dilation: the boundary's width as a part of the image's diagonal.

    Raises:
        InputError: a setting outside these.

    Example:
        >>> true = np.zeros((1, 40, 40), bool)
        >>> true[:, 5:35, 5:35] = True
        >>> found = true.copy()
        >>> found[:, 5:7] = False
        >>> truth = Instances((40, 40), masks=Masks.from_dense(true))
        >>> metric = BoundaryAveragePrecision(truth.classes)
        >>> metric.update(Instances((40, 40), masks=Masks.from_dense(found)), truth)
        >>> round(metric.compute()["AP"], 3)  # mask IoU 0.93, boundary IoU 0.57
        0.2
    """

    def __init__(
        self, classes: Labels, *, max_dets: Sequence[int] = MAX_DETS, dilation: float = DILATION
    ) -> None:
        limits = [int(m) for m in max_dets]
        if not limits or limits[0] < 1 or any(a >= b for a, b in pairwise(limits)):
            raise InputError(
                f"BoundaryAveragePrecision: expected max_dets ascending from 1 up, got {tuple(max_dets)}; "
                "give for example (1, 10, 100)"
            )
        if not 0 < dilation <= 1:
            raise InputError(
                f"BoundaryAveragePrecision: expected a dilation in (0, 1], got {dilation}; give 0.02"
            )
        self.classes, self.max_dets, self.dilation = classes, tuple(limits), float(dilation)
        self._images: dict[int, _Image] = {}

    def update(self, pred: Instances, truth: Instances, image_id: int | None = None) -> None:
        """Add one image.

        Args:
            pred: all detections, with masks and scores.
            truth: the true objects, with masks; ``crowd`` ones are ignored as COCO does, ``areas`` decide
                size classes.
            image_id: its number, needed to merge shards; of equal scores that of the lower number ranks
                first. Default: the next free one.

        Raises:
            InputError: masks missing, image sizes or classes differ, or an image id given twice.
        """
        image_id = max(self._images, default=0) + 1 if image_id is None else int(image_id)
        if image_id in self._images:
            raise InputError(f"BoundaryAveragePrecision: expected every image once, got {image_id} twice")
        if pred.size != truth.size:
            raise InputError(
                f"BoundaryAveragePrecision: expected a prediction of the image's size {truth.size} "
                f"(height, width), got {pred.size}; predict on the original image"
            )
        for what, given in (("prediction", pred), ("truth", truth)):
            if given.masks is None and len(given):
                raise InputError(
                    f"BoundaryAveragePrecision: expected masks in the {what}, got boxes only; "
                    "use AveragePrecision"
                )
            if len(given) and int(given.labels.max()) >= len(self.classes):
                raise InputError(
                    f"BoundaryAveragePrecision: expected labels in 0..{len(self.classes) - 1} in the {what}, "
                    f"got {int(given.labels.max())}; map its classes to the dataset's"
                )
        self._images[image_id] = self._judged(pred, truth)

    def _judged(self, pred: Instances, truth: Instances) -> _Image:
        """What one image adds."""
        count = len(self.classes)
        detections = np.bincount(pred.labels, minlength=count)
        pred = _limited(pred, self.max_dets[-1])
        none = Masks.empty(truth.size)
        true, found = truth.masks or none, pred.masks or none
        i, j, overlap = boundary_overlaps(true, found, truth, pred, self.dilation)
        by_class: dict[int, Matched] = {}
        area = np.asarray(found.area, np.float64)
        for label in np.union1d(pred.labels, truth.labels).tolist():
            d, t = np.flatnonzero(pred.labels == label), np.flatnonzero(truth.labels == label)
            own = np.flatnonzero(truth.labels[i] == label)  # pairs are of one class
            pairs = np.searchsorted(t, i[own]), np.searchsorted(d, j[own]), overlap[own]
            by_class[label] = match(
                pairs, truth.area[t], truth.crowd[t], pred.scores[d].astype(np.float64), area[d]
            )
        return _Image(
            by_class,
            np.bincount(truth.labels[~truth.crowd], minlength=count),
            np.bincount(truth.labels[truth.crowd], minlength=count),
            detections,
            np.maximum(detections - self.max_dets[-1], 0),
        )

    def merge(self, other: BoundaryAveragePrecision) -> None:
        """Take over the images of another shard; the result does not depend on how images were shared out.

        Raises:
            InputError: other settings, or an image seen by both.
        """
        both = self._images.keys() & other._images.keys()
        mine, theirs = ((m.classes, m.max_dets, m.dilation) for m in (self, other))
        if both or mine != theirs:
            what = f"image {min(both)} in both" if both else f"{theirs[1:]} and its classes"
            raise InputError(
                f"BoundaryAveragePrecision.merge: expected other images and the settings {mine[1:]}, "
                f"got {what}; give update() the dataset's own image_id"
            )
        self._images.update(other._images)

    def compute(self) -> BoundaryReport:
        """AP and AR of all images so far; may be called again after more updates."""
        images = [self._images[i] for i in sorted(self._images)]
        order = np.argsort(self.classes.ids, kind="stable")  # as pycocotools, by class id
        precision, recall = accumulate(
            [[i.classes[k] for i in images if k in i.classes] for k in order.tolist()], self.max_dets
        )
        tally = ClassTally.zeros(len(order))
        for i in images:
            tally = tally + ClassTally(i.truths, i.crowds, i.detections, i.beyond, int(i.beyond.any()))
        report = BoundaryReport.of(
            precision,
            recall,
            kind="mask",
            names=tuple(self.classes.name(k) for k in order.tolist()),
            max_dets=self.max_dets,
            detection_area="mask",
            images=len(images),
            tally=tally.take(order),
        )
        assert isinstance(report, BoundaryReport)
        return replace(report, dilation=self.dilation)


def _limited(pred: Instances, limit: int) -> Instances:
    """At most ``limit`` detections of each class, all by falling score."""
    order = np.argsort(-pred.scores, kind="stable")
    labels = pred.labels[order]
    keep = np.ones(len(order), np.bool_)
    for label, number in enumerate(np.bincount(labels)):
        if number > limit:
            keep[np.flatnonzero(labels == label)[limit:]] = False
    return pred[order[keep]]


def boundary_overlaps(
    true: Masks, found: Masks, truth: Instances, pred: Instances, dilation: float
) -> tuple[Ints, Ints, Floats]:
    """The pairs of one class that could match: true object, detection, overlap, (P,) each, sorted.

    Args:
        true, found: masks of the objects, which may be none.
        truth, pred: the objects, for their classes and crowd regions.
        dilation: the boundary's width as a part of the image's diagonal.
    """
    i, j, shared = true.intersection_pairs(found)
    crowd = truth.crowd[i]
    area = np.asarray(found.area)[j]
    joint = np.where(crowd, area, np.asarray(true.area)[i] + area - shared)
    overlap = shared / joint
    able = (truth.labels[i] == pred.labels[j]) & (overlap >= IOU_THRESHOLDS[0])
    i, j, overlap, crowd = i[able], j[able], overlap[able], crowd[able]
    rows, columns = np.unique(i[~crowd]), np.unique(j[~crowd])
    width = boundary_width(true.size, dilation)
    outer, inner = boundaries(true[rows], width), boundaries(found[columns], width)
    a, b, both = outer.intersection_pairs(inner)
    edge = both / (np.asarray(outer.area)[a] + np.asarray(inner.area)[b] - both)
    keys = a * max(len(columns), 1) + b
    wanted = np.searchsorted(rows, i[~crowd]) * max(len(columns), 1) + np.searchsorted(columns, j[~crowd])
    at = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    if len(wanted):
        known = keys[at] == wanted if len(keys) else np.zeros(len(wanted), np.bool_)
        edges = np.where(known, edge[at] if len(keys) else 0.0, 0.0)
        overlap[~crowd] = np.minimum(overlap[~crowd], edges)
    return i, j, overlap

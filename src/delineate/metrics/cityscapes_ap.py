"""Cityscapes' instance-level average precision.

Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016, section 4.2, as
``evalInstanceLevelSemanticLabeling`` of cityscapesscripts 2.3.0 computes it. What lies in void, in groups
nobody told apart and on objects too small to be judged is ignored.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.panoptic import Panoptic

from .cityscapes_report import CityscapesReport

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

THRESHOLDS = np.arange(0.5, 1.0, 0.05)
SMALLEST = 100
FALSE, TRUE, NEUTRAL = 0, 1, 2


class JudgedClass(NamedTuple):
    """One class in one image.

    Attributes:
        scores: (E,) float64 of its entries: each prediction, and each pair of an object and a prediction.
        verdicts: (T, E) int8: what an entry counts as at each threshold; NEUTRAL: not at all.
        missed: (T,) objects without a prediction.
        objects: true objects that count.
        predictions: those with a pixel.
    """

    scores: Floats
    verdicts: NDArray[np.int8]
    missed: Ints
    objects: int
    predictions: int


class CityscapesAveragePrecision:
    """Cityscapes AP over many images, of the classes that are things.

    At each threshold an object takes the prediction of the highest score that overlaps it enough, others
    that do are false positives, and so are predictions that overlap nothing enough, unless more of them than
    the threshold lies in what is ignored. Memory grows by some twenty bytes a detection.

    Args:
        classes: the classes; those that are stuff are not scored.
        smallest: pixels from which a true object counts.

    Raises:
        InputError: a setting outside these.

    Example:
        >>> true = Instances((20, 20), masks=Masks.from_dense(np.ones((1, 20, 20), bool)))
        >>> metric = CityscapesAveragePrecision(true.classes)
        >>> metric.update(true, true)
        >>> metric.compute().scores
        {'AP': 1.0, 'AP50%': 1.0}
    """

    def __init__(self, classes: Labels, *, smallest: int = SMALLEST) -> None:
        if smallest < 0:
            raise InputError(
                f"CityscapesAveragePrecision: expected pixels from 0 up as the smallest object, "
                f"got {smallest}; give 100"
            )
        self.classes, self.smallest = classes, int(smallest)
        self._images: dict[int, dict[int, JudgedClass]] = {}

    def update(
        self,
        pred: Instances,
        truth: Instances | Panoptic,
        image_id: int | None = None,
        *,
        void: Masks | None = None,
    ) -> None:
        """Add one image.

        Args:
            pred: all detections, with masks and scores; they may overlap.
            truth: the true objects, with masks; ``crowd`` ones are groups (``cargroup``). Or all segments of
                the image, of which void is then known.
            image_id: its number, needed to merge shards; default: the next free one.
            void: pixels that are not judged, as any masks; none where ``truth`` has the objects alone.

        Raises:
            InputError: masks missing, image sizes or classes differ, or an image id given twice.
        """
        image_id = max(self._images, default=0) + 1 if image_id is None else int(image_id)
        if image_id in self._images:
            raise InputError(f"CityscapesAveragePrecision: expected every image once, got {image_id} twice")
        if isinstance(truth, Panoptic):
            void = Masks.from_label_image((truth.map == 0).astype(np.uint8))
            truth = truth.to_instances()
        if pred.size != truth.size or (void is not None and void.size != truth.size):
            raise InputError(
                f"CityscapesAveragePrecision: expected a prediction of the image's size {truth.size} "
                f"(height, width), got {pred.size}; predict on the original image"
            )
        for what, given in (("prediction", pred), ("truth", truth)):
            if given.masks is None and len(given):
                raise InputError(
                    f"CityscapesAveragePrecision: expected masks in the {what}, got boxes only; "
                    "use a model that predicts masks"
                )
            if len(given) and int(given.labels.max()) >= len(self.classes):
                raise InputError(
                    f"CityscapesAveragePrecision: expected labels in 0..{len(self.classes) - 1} in the "
                    f"{what}, got {int(given.labels.max())}; map its classes to the dataset's"
                )
        self._images[image_id] = self._judged(pred, truth, void)

    def _judged(self, pred: Instances, truth: Instances, void: Masks | None) -> dict[int, JudgedClass]:
        """What each class adds."""
        found, scores, labels = _with_pixels(pred)
        regions, region_labels, group = _regions(truth)
        area, region_area = np.asarray(found.area), np.asarray(regions.area)
        i, j, shared = regions.intersection_pairs(found)
        same = region_labels[i] == labels[j]
        i, j, shared = i[same], j[same], shared[same]
        overlap = shared / (region_area[i] + area[j] - shared)
        ignored = np.zeros(len(found), np.int64)
        if void is not None:
            _, k, covered = void.union().intersection_pairs(found)
            np.add.at(ignored, k, covered)
        small = region_area < self.smallest
        np.add.at(ignored, j, shared * group[i])
        np.add.at(ignored, j, shared * small[i])
        beyond = (ignored / np.maximum(area, 1)) > THRESHOLDS[:, None]  # (T, D)
        counts = ~(group | small)
        good = overlap > THRESHOLDS[:, None]  # (T, P)
        result: dict[int, JudgedClass] = {}
        for label in np.union1d(labels, region_labels).tolist():
            if self.classes.things[label]:
                own, mine = labels == label, region_labels == label
                pairs = np.flatnonzero(mine[i])
                numbers = np.cumsum(own) - 1  # a detection's place within the class
                result[label] = _judge_class(
                    scores[own],
                    (i[pairs], numbers[j[pairs]], counts[i[pairs]], good[:, pairs]),
                    beyond[:, own],
                    int((mine & counts).sum()),
                )
        return result

    def merge(self, other: CityscapesAveragePrecision) -> None:
        """Take over the images of another shard; the result does not depend on how images were shared out.

        Raises:
            InputError: other settings, or an image seen by both.
        """
        both = self._images.keys() & other._images.keys()
        if both or (self.classes, self.smallest) != (other.classes, other.smallest):
            what = f"image {min(both)} in both" if both else f"smallest={other.smallest} and its classes"
            raise InputError(
                "CityscapesAveragePrecision.merge: expected other images and the same settings, "
                f"got {what}; give update() the dataset's own image_id"
            )
        self._images.update(other._images)

    def compute(self) -> CityscapesReport:
        """AP of all images so far; may be called again after more updates."""
        things = [k for k, thing in enumerate(self.classes.things) if thing]
        images = [self._images[i] for i in sorted(self._images)]
        ap = np.full((len(things), len(THRESHOLDS)), np.nan)
        counts = np.zeros((len(things), 2), np.int64)
        for row, label in enumerate(things):
            judged = [image[label] for image in images if label in image]
            if judged:
                counts[row] = sum(c.objects for c in judged), sum(c.predictions for c in judged)
            if counts[row, 0]:
                ap[row] = class_ap(judged) if counts[row, 1] else 0.0
        return CityscapesReport.of(
            ap,
            names=[self.classes.name(k) for k in things],
            counts=counts,
            thresholds=THRESHOLDS,
            smallest=self.smallest,
            images=len(images),
        )


def _with_pixels(pred: Instances) -> tuple[Masks, Floats, Ints]:
    """The predictions that have a pixel: masks, scores, labels."""
    masks = Masks.empty(pred.size) if pred.masks is None else pred.masks
    keep = np.asarray(masks.area) > 0
    return masks[keep], pred.scores[keep].astype(np.float64), pred.labels[keep]


def _regions(truth: Instances) -> tuple[Masks, Ints, Bools]:
    """The true objects, then the groups, one a class: masks, labels, whether a group."""
    masks = Masks.empty(truth.size) if truth.masks is None else truth.masks
    there = np.asarray(masks.area) > 0
    single, crowd = np.flatnonzero(there & ~truth.crowd), np.flatnonzero(there & truth.crowd)
    labels, group = np.unique(truth.labels[crowd], return_inverse=True)
    regions = Masks.concatenate([masks[single], masks[crowd].merge(group)])
    is_group = np.arange(len(regions)) >= len(single)
    return regions, np.concatenate([truth.labels[single], labels]), is_group


def _judge_class(
    scores: Floats, pairs: tuple[Ints, Ints, Bools, Bools], beyond: Bools, objects: int
) -> JudgedClass:
    """The entries of one class in one image.

    Args:
        scores: (D,) of the predictions.
        pairs: (P,) region, prediction, whether the region counts, and (T, P) whether they overlap enough.
        beyond: (T, D) predictions of which more than the threshold lies in what is ignored.
        objects: how many true objects count.
    """
    region, prediction, counts, good = pairs
    alone = np.ones(beyond.shape, np.bool_)
    verdicts = np.full((len(THRESHOLDS), len(scores) + len(region)), NEUTRAL, np.int8)
    missed = np.zeros(len(THRESHOLDS), np.int64)
    order = np.lexsort((-scores[prediction], region))  # the highest score of each region first
    for t in range(len(THRESHOLDS)):
        alone[t, prediction[good[t]]] = False
        chosen = order[(good[t] & counts)[order]]
        verdicts[t, len(scores) + chosen] = FALSE
        first = np.unique(region[chosen], return_index=True)[1]
        verdicts[t, len(scores) + chosen[first]] = TRUE
        missed[t] = objects - len(first)
    verdicts[:, : len(scores)][alone & ~beyond] = FALSE
    entries = np.concatenate([scores, scores[prediction]])
    used = (verdicts != NEUTRAL).any(axis=0)
    return JudgedClass(entries[used], verdicts[:, used], missed, objects, len(scores))


def class_ap(images: list[JudgedClass]) -> Floats:
    """(T,) average precision of one class that has objects and predictions."""
    scores = np.concatenate([c.scores for c in images])
    verdicts = np.concatenate([c.verdicts for c in images], axis=1)
    missed = np.sum([c.missed for c in images], axis=0)
    order = np.argsort(scores, kind="stable")
    result = np.zeros(len(THRESHOLDS))
    for t in range(len(THRESHOLDS)):
        at = order[verdicts[t, order] != NEUTRAL]
        if len(at):
            result[t] = area_under(scores[at], verdicts[t, at] == TRUE, int(missed[t]))
    return result


def area_under(scores: Floats, true: Bools, missed: int) -> float:
    """The step-wise integral of precision over recall, in the reference's own order of operations.

    Args:
        scores: (E,) ascending.
        true: (E,) whether an entry is right.
        missed: objects that no prediction overlaps enough.
    """
    first = np.unique(scores, return_index=True)[1]  # a point of the curve per score
    below = np.concatenate(([0], np.cumsum(true)))[first].astype(np.float64)  # right ones of lower scores
    tp = true.sum() - below
    fp = len(scores) - first - tp
    precision = np.append(tp / (tp + fp), 1.0)
    recall = np.append(tp / np.maximum(tp + below + missed, 1), 0.0)
    steps = np.convolve(np.concatenate((recall[:1], recall, [0.0])), [-0.5, 0, 0.5], "valid")
    return float(np.dot(precision, steps))

"""PASCAL VOC average precision of boxes and of masks, as the development kit computes it.

Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", IJCV 2010, section 4.2 (11 points,
until 2009), and the devkit from 2010 on (all points); of masks: Hariharan et al., "Simultaneous Detection and
Segmentation", ECCV 2014, section 5, "AP^r". A detection is compared with the one true object of its class
that it overlaps most; difficult objects (``crowd``) neither count nor make false positives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels

from .voc_report import VocReport

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

Rules = Literal["devkit", "python"]
Pixels = Literal["corners", "inclusive"]
FALSE, TRUE, NEUTRAL = 0, 1, 2


class ImageVerdicts(NamedTuple):
    """One image's D detections, judged.

    Attributes:
        labels: (D,) class indices.
        scores: (D,) float64.
        verdicts: (T, D) int8 at each threshold: FALSE, TRUE, or NEUTRAL for one on a difficult object.
        truths: (K,) true objects that count.
        difficult: (K,) true objects that do not.
    """

    labels: Ints
    scores: Floats
    verdicts: NDArray[np.int8]
    truths: Ints
    difficult: Ints


class VocAveragePrecision:
    """VOC AP over many images, by the rules of 2007 (11 points) and of 2010 and later (all points) at once.

    Memory grows by some ten bytes a detection; masks are not kept.

    Args:
        kind: ``"box"`` or ``"mask"``: what overlaps are taken of.
        classes: the K classes that are scored; labels of predictions and truth index them.
        thresholds: ascending IoU thresholds in (0, 1]; the challenge's is 0.5.
        rules: ``"devkit"``: a match has an IoU of ``threshold`` or more, as in the MATLAB kit.
            ``"python"``: above it, as in py-faster-rcnn, Detectron2 and their like; their 11 recalls are
            rounded otherwise too.
        pixels: ``"corners"``: boxes are corner coordinates and x2 - x1 is the width, as everywhere here;
            VOC's pixel indices xmin, xmax become xmin - 1, xmax on reading. ``"inclusive"``: boxes hold
            indices of pixels, to whose width 1 is added as in the kit.

    Raises:
        InputError: a setting outside these.

    Example:
        >>> truth = Instances((8, 8), boxes=[[0, 0, 4, 4], [4, 4, 8, 8]])
        >>> metric = VocAveragePrecision("box", truth.classes)
        >>> metric.update(truth[:1].replace(scores=[0.9]), truth)
        >>> {name: round(value, 4) for name, value in metric.compute().scores.items()}
        {'AP50': 0.5, 'AP50_2007': 0.5455}
    """

    def __init__(
        self,
        kind: Literal["box", "mask"],
        classes: Labels,
        *,
        thresholds: Sequence[float] = (0.5,),
        rules: Rules = "devkit",
        pixels: Pixels = "corners",
    ) -> None:
        for name, value, known in (
            ("kind", kind, ("box", "mask")),
            ("rules", rules, ("devkit", "python")),
            ("pixels", pixels, ("corners", "inclusive")),
        ):
            if value not in known:
                raise InputError(
                    f"VocAveragePrecision, {name}: expected one of {known}, got {value!r}; choose from these"
                )
        self.thresholds = tuple(float(t) for t in thresholds)
        ascending = list(self.thresholds) == sorted(set(self.thresholds))
        if not self.thresholds or not ascending or self.thresholds[0] <= 0 or self.thresholds[-1] > 1:
            raise InputError(
                f"VocAveragePrecision: expected ascending IoU thresholds in (0, 1], got {self.thresholds}; "
                "give for example (0.5,)"
            )
        self.kind, self.classes, self.rules, self.pixels = kind, classes, rules, pixels
        self._images: dict[int, ImageVerdicts] = {}

    def update(self, pred: Instances, truth: Instances, image_id: int | None = None) -> None:
        """Add one image.

        Args:
            pred: all detections with scores; with masks where ``kind="mask"``.
            truth: the true objects; those that are ``crowd`` are VOC's difficult ones.
            image_id: its number, needed to merge shards; of equal scores that of the lower number ranks
                first. Default: the next free one.

        Raises:
            InputError: masks missing, image sizes or classes differ, or an image id given twice.
        """
        image_id = max(self._images, default=0) + 1 if image_id is None else int(image_id)
        if image_id in self._images:
            raise InputError(f"VocAveragePrecision: expected every image once, got image {image_id} twice")
        if pred.size != truth.size:
            raise InputError(
                f"VocAveragePrecision: expected a prediction of the image's size {truth.size} "
                f"(height, width), got {pred.size}; predict on the original image"
            )
        for what, given in (("prediction", pred), ("truth", truth)):
            if self.kind == "mask" and given.masks is None and len(given):
                raise InputError(
                    f"VocAveragePrecision: expected masks in the {what}, got boxes only; use kind='box'"
                )
            if len(given) and int(given.labels.max()) >= len(self.classes):
                raise InputError(
                    f"VocAveragePrecision: expected labels in 0..{len(self.classes) - 1} in the {what}, "
                    f"got {int(given.labels.max())}; map its classes to the dataset's"
                )
        best, overlap = self._best(pred, truth)
        verdicts = self._verdicts(pred, truth, best, overlap)
        count = len(self.classes)
        self._images[image_id] = ImageVerdicts(
            pred.labels,
            pred.scores.astype(np.float64),
            verdicts,
            np.bincount(truth.labels[~truth.crowd], minlength=count),
            np.bincount(truth.labels[truth.crowd], minlength=count),
        )

    def _best(self, pred: Instances, truth: Instances) -> tuple[Ints, Floats]:
        """(D,) the true object of its class that each detection overlaps most, the first of equals; its IoU.

        -1 and 0 where it overlaps none.
        """
        best, overlap = np.full(len(pred), -1), np.zeros(len(pred))
        if self.kind == "box":
            for label in np.intersect1d(pred.labels, truth.labels).tolist():
                d, t = np.flatnonzero(pred.labels == label), np.flatnonzero(truth.labels == label)
                table = box_overlaps(pred.boxes[d], truth.boxes[t], self.pixels)  # (d, t)
                first = table.argmax(1)
                best[d], overlap[d] = t[first], table[np.arange(len(d)), first]
        elif pred.masks is not None and truth.masks is not None:
            i, j, shared = truth.masks.intersection_pairs(pred.masks)
            same = truth.labels[i] == pred.labels[j]
            i, j, shared = i[same], j[same], shared[same]
            iou = shared / (np.asarray(truth.masks.area)[i] + np.asarray(pred.masks.area)[j] - shared)
            order = np.lexsort((i, -iou, j))
            first = order[np.unique(j[order], return_index=True)[1]]
            best[j[first]], overlap[j[first]] = i[first], iou[first]
        return np.where(overlap > 0, best, -1), overlap

    def _verdicts(self, pred: Instances, truth: Instances, best: Ints, overlap: Floats) -> NDArray[np.int8]:
        """(T, D) verdicts: of the detections on one object only the first by score is true."""
        result = np.full((len(self.thresholds), len(pred)), FALSE, dtype=np.int8)
        order = np.argsort(-pred.scores, kind="stable")
        difficult = np.append(truth.crowd, False)[best]
        for row, threshold in zip(result, self.thresholds, strict=True):
            near = overlap >= threshold if self.rules == "devkit" else overlap > threshold
            row[near & difficult] = NEUTRAL
            ranked = order[(near & ~difficult)[order]]
            row[ranked[np.unique(best[ranked], return_index=True)[1]]] = TRUE
        return result

    def merge(self, other: VocAveragePrecision) -> None:
        """Take over the images of another shard; the result does not depend on how images were shared out.

        Raises:
            InputError: other settings, or an image seen by both.
        """
        both = self._images.keys() & other._images.keys()
        mine, theirs = self._settings(), other._settings()
        if both or mine != theirs:
            what = f"image {min(both)} in both" if both else f"{theirs[1:]} and its classes"
            raise InputError(
                f"VocAveragePrecision.merge: expected other images and the settings {mine[1:]}, got {what}; "
                "give update() the dataset's own image_id"
            )
        self._images.update(other._images)

    def _settings(self) -> tuple[Labels, str, tuple[float, ...], str, str]:
        return self.classes, self.kind, self.thresholds, self.rules, self.pixels

    def compute(self) -> VocReport:
        """The AP of all images so far; may be called again after more updates."""
        images = [self._images[i] for i in sorted(self._images)]
        count, levels = len(self.classes), len(self.thresholds)
        empty = (np.zeros(0, np.int64), np.zeros(0), np.zeros((levels, 0), np.int8))
        labels = np.concatenate([empty[0], *(i.labels for i in images)])
        scores = np.concatenate([empty[1], *(i.scores for i in images)])
        verdicts = np.concatenate([empty[2], *(i.verdicts for i in images)], axis=1)
        truths = np.sum([i.truths for i in images], axis=0) if images else np.zeros(count, np.int64)
        difficult = np.sum([i.difficult for i in images], axis=0) if images else np.zeros(count, np.int64)
        ap = np.full((2, levels, count), np.nan)  # all points and 11 points
        for k in range(count):
            own = np.flatnonzero(labels == k)
            own = own[np.argsort(-scores[own], kind="stable")]
            for t in range(levels):
                if truths[k]:
                    ap[:, t, k] = average_precisions(verdicts[t, own], int(truths[k]), self.rules)
        return VocReport.of(
            ap,
            kind=self.kind,
            names=self.classes.names,
            thresholds=self.thresholds,
            rules=self.rules,
            pixels=self.pixels,
            images=len(images),
            counts=(truths, difficult, np.bincount(labels, minlength=count)),
        )


def box_overlaps(found: NDArray[np.float32], true: NDArray[np.float32], pixels: Pixels) -> Floats:
    """(D, T) IoU in float64, in the devkit's order of sums; 0 where boxes share nothing."""
    one = 1.0 if pixels == "inclusive" else 0.0
    d, t = found.astype(np.float64)[:, None], true.astype(np.float64)[None]
    width = np.minimum(d[..., 2], t[..., 2]) - np.maximum(d[..., 0], t[..., 0]) + one
    height = np.minimum(d[..., 3], t[..., 3]) - np.maximum(d[..., 1], t[..., 1]) + one
    shared = width * height
    own, other = ((b[..., 2] - b[..., 0] + one) * (b[..., 3] - b[..., 1] + one) for b in (d, t))
    able = (width > 0) & (height > 0)
    return np.divide(shared, own + other - shared, out=np.zeros(able.shape), where=able)


def average_precisions(verdicts: NDArray[np.int8], truths: int, rules: Rules) -> tuple[float, float]:
    """AP over all points and over 11 points of one class.

    Args:
        verdicts: (D,) of its detections, the highest score first.
        truths: true objects that count, from 1 up.
        rules: decides how the 11 recalls are rounded.

    Example:
        >>> average_precisions(np.array([TRUE, FALSE, NEUTRAL, TRUE], np.int8), 2, "devkit")[0].__round__(4)
        0.8333
    """
    judged = verdicts[verdicts != NEUTRAL]
    true = np.cumsum(judged == TRUE, dtype=np.float64)
    recall = true / truths
    precision = true / np.arange(1, len(judged) + 1)
    envelope = np.maximum.accumulate(np.concatenate(([0.0], precision, [0.0]))[::-1])[::-1]
    steps = np.concatenate(([0.0], recall, [1.0]))
    at = np.flatnonzero(steps[1:] != steps[:-1])
    all_points = float(np.sum((steps[at + 1] - steps[at]) * envelope[at + 1]))
    eleven = 0.0
    for wanted in RECALLS[rules]:
        reached = int(np.searchsorted(recall, wanted, side="left"))
        eleven += (float(envelope[reached + 1]) if reached < len(recall) else 0.0) / 11
    return all_points, eleven


_PRODUCTS = np.arange(11) * 0.1
RECALLS: dict[Rules, list[float]] = {
    # MATLAB's 0:0.1:1 counts from both ends
    "devkit": [*_PRODUCTS[:6].tolist(), *(1 - _PRODUCTS[:5][::-1]).tolist()],
    "python": _PRODUCTS.tolist(),
}

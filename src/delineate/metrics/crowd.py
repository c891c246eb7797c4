"""What average precision hides: objects merged, split, missed beside their neighbours, found twice.

Every true object has exactly one fate, the first that fits:

1. ``matched``: paired one to one with a prediction of IoU >= 0.5 (the matching of
   :mod:`delineate.metrics.cell_matching`, so precision and recall are those of the cell scores);
2. ``mislabelled``: so paired, but with a prediction of another class (only where classes are looked at);
3. ``merged``: a prediction covers more than half of it and more than half of another object;
4. ``split``: two or more predictions lie for more than half inside it, and together cover more than half;
5. ``inexact``: a prediction that is nothing of the above has an IoU >= 0.1 with it (one to one);
6. ``missed``: nothing there. ``missed_beside_found`` counts those with a matched neighbour.

Every prediction likewise: ``matched``, ``mislabelled``, ``merging`` (made an object merged), ``part`` (of a
split one), ``duplicate`` (IoU >= 0.5 with an object that has its match), ``inexact``, ``fragment`` (more than
half of it inside one object), ``spurious``.

A *merged pair* is a pair of neighbours (gap below half their mean diameter) that one prediction covers,
more than half of each, where not both have a match of their own: a large object may keep its match while it
swallows a small one. Truths of which one lies mostly inside the other (overlapping annotations) make no
merged pair: one mask over both may be right.

"Covers more than half" is how the Cell Tracking Challenge finds vertices that must be split (Matula et al.,
"Cell Tracking Accuracy Measurement Based on Comparison of Acyclic Oriented Graphs", PLoS ONE 10(12), 2015,
section "AOGM measure"). Caicedo et al., "Evaluation of Deep Learning Strategies for Nucleus Segmentation in
Fluorescence Images", Cytometry A 95, 2019, count merges and splits of nuclei beside missed ones too. The IoU
of 0.1 that tells a poor outline from a miss is that of TIDE (Bolya et al., ECCV 2020, section 2.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks

from .cell_matching import in_crowd
from .crowd_fates import PREDICTION_FATES, TRUTH_FATES, Fates, judge
from .crowd_report import CrowdCounts, CrowdReport
from .neighbours import Neighbours, diameters

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

GAPS = (np.nextafter(0, 1), 0.1, 0.25, 0.5)  # 0 is touching
OVERLAPS = (np.nextafter(0, 1), 0.1, 0.25, 0.5)
SIZES = (0.5, 0.8, 1.25, 2.0)


class CrowdErrors:
    """Crowd errors over many images, at the operating point: give it the predictions that count.

    Args:
        iou: IoU from which a pair matches, in 0.5..1.
        by_class: whether a match needs the same class. Merged and split objects are found over all classes
            either way; merged pairs of two classes are counted apart too.

    Raises:
        InputError: ``iou`` outside 0.5..1.

    Example:
        >>> true = Masks.from_label_image(np.array([[1, 1, 2, 2, 2, 0, 0, 3]] * 2))
        >>> predicted = Masks.from_label_image(np.array([[1, 1, 1, 1, 1, 0, 0, 0]] * 2))
        >>> metric = CrowdErrors()
        >>> metric.update(Instances((2, 8), masks=predicted), Instances((2, 8), masks=true))
        >>> report = metric.compute()
        >>> report.total.matched, report.total.merged, report.total.missed, report.total.merged_pairs
        (1, 1, 1, 1)
    """

    def __init__(self, iou: float = 0.5, by_class: bool = False) -> None:
        if not 0.5 <= iou <= 1:
            raise InputError(
                f"CrowdErrors, iou: expected a number in 0.5..1, got {iou}; give for example 0.5"
            )
        self.iou, self.by_class = float(iou), bool(by_class)
        self._images: dict[int, CrowdCounts] = {}

    def update(self, pred: Instances, truth: Instances, image_id: int | None = None) -> None:
        """Add one image.

        Args:
            pred: the predicted objects that count, with masks; scores are not looked at.
            truth: the true objects, with masks. Crowd regions are left out, and so are predictions of which
                more than half lies in one.
            image_id: its number, needed to merge shards; default: the next free one.

        Raises:
            InputError: masks missing, image sizes differ, or an image id given twice.
        """
        if image_id is None:
            image_id = max(self._images, default=0) + 1
        if image_id in self._images:
            raise InputError(f"CrowdErrors: expected every image once, got image {image_id} twice")
        self._images[image_id] = count(judge_image(pred, truth, self.iou, self.by_class))

    def merge(self, other: CrowdErrors) -> None:
        """Take over the images of another shard; the result does not depend on how images were shared out.

        Raises:
            InputError: other settings, or an image seen by both.
        """
        both = self._images.keys() & other._images.keys()
        if both or (other.iou, other.by_class) != (self.iou, self.by_class):
            what = f"image {min(both)} in both" if both else f"iou={other.iou}, by_class={other.by_class}"
            raise InputError(
                f"CrowdErrors.merge: expected other images and the same settings, got {what}; "
                "give update() the dataset's own image_id"
            )
        self._images.update(other._images)

    def compute(self) -> CrowdReport:
        """The errors of all images so far; may be called again after more updates."""
        return CrowdReport.of(self._images, self.iou, self.by_class)


@dataclass(frozen=True)
class JudgedImage:
    """One image with the fate of each object, for counting and for drawing.

    Attributes:
        truth: the T true objects judged: without crowd regions and masks without a pixel, in canonical order.
        predicted: the D predictions judged, likewise.
        fates: of the truth and of the predictions.
        near: the neighbouring pairs of the truth.
    """

    truth: Instances
    predicted: Instances
    fates: Fates
    near: Neighbours

    def of_truth(self, *names: str) -> Instances:
        """The true objects of these fates."""
        return self.truth[np.isin(self.fates.truth, [TRUTH_FATES.index(n) for n in names])]

    def of_predicted(self, *names: str) -> Instances:
        """The predictions of these fates."""
        return self.predicted[np.isin(self.fates.prediction, [PREDICTION_FATES.index(n) for n in names])]

    def merging(self) -> Instances:
        """The predictions that made an object merged, those matched with another object too."""
        return self.predicted[self.fates.merging]


def judge_image(pred: Instances, truth: Instances, iou: float = 0.5, by_class: bool = False) -> JudgedImage:
    """Give every true object and every prediction of one image its fate.

    Args:
        pred: the predicted objects that count, with masks.
        truth: the true objects, with masks.
        iou: IoU from which a pair matches, in 0.5..1.
        by_class: whether a match needs the same class.

    Raises:
        InputError: masks missing, or image sizes differ.
    """
    (found, found_masks), (true, true_masks) = judged_objects(pred, truth)
    near = Neighbours.of(true_masks)
    fates = judge(true_masks, true.labels, found_masks, found.labels, near, iou, by_class)
    return JudgedImage(true, found, fates, near)


def judged_objects(
    pred: Instances, truth: Instances
) -> tuple[tuple[Instances, Masks], tuple[Instances, Masks]]:
    """The predictions and the true objects that count, each with their masks, in canonical order.

    Left out: crowd regions of the truth, predictions of which more than half lies in one, masks without a
    pixel.

    Raises:
        InputError: masks missing, or image sizes differ.
    """
    if (pred.masks is None and len(pred)) or (truth.masks is None and len(truth)):
        raise InputError(
            "CrowdErrors: expected masks in both prediction and truth, got boxes only; "
            "use a model that predicts masks"
        )
    if pred.size != truth.size:
        raise InputError(
            f"CrowdErrors: expected a prediction of the image's size {truth.size} (height, width), "
            f"got {pred.size}; predict on the original image"
        )
    found, found_masks = _judged(pred)
    if truth.crowd.any() and truth.masks is not None:
        outside = ~in_crowd(found_masks, truth.masks[truth.crowd])
        found, found_masks = found[outside], found_masks[outside]
    return (found, found_masks), _judged(truth[~truth.crowd])


def _judged(objects: Instances) -> tuple[Instances, Masks]:
    """The objects with a pixel, in an order that depends on them alone, so that ties fall the same way."""
    masks = Masks.empty(objects.size) if objects.masks is None else objects.masks
    runs = masks.runs

    def key(k: int) -> tuple[int, bytes]:
        part = slice(runs.offsets[k], runs.offsets[k + 1])
        return int(objects.labels[k]), b"".join(a[part].tobytes() for a in (runs.x, runs.y, runs.length))

    order = np.array(sorted(np.flatnonzero(masks.area).tolist(), key=key), dtype=np.int64)
    return objects[order], masks[order]


def count(image: JudgedImage) -> CrowdCounts:
    """The numbers of one judged image, by neighbour situation."""
    near, fates = image.near, image.fates
    number = len(image.truth)
    size = diameters(np.asarray(image.truth.masks.area, np.float64) if image.truth.masks else np.zeros(0))
    relative = size / (float(np.median(size)) if number else 1.0)
    gap, overlap = np.full(number, np.inf), np.zeros(number)
    beside = np.zeros(number, np.bool_)
    matched = fates.truth == TRUTH_FATES.index("matched")
    for one, other in ((near.first, near.second), (near.second, near.first)):
        np.minimum.at(gap, one, near.gap)
        np.maximum.at(overlap, one, near.box_iou)
        np.logical_or.at(beside, one, matched[other])
    labels = image.truth.labels
    across = labels[near.first] != labels[near.second]
    smaller = np.minimum(relative[near.first], relative[near.second])
    own = {"gap": (gap, GAPS), "overlap": (overlap, OVERLAPS), "size": (relative, SIZES)}
    of_pairs = {"gap": (near.gap, GAPS), "overlap": (near.box_iou, OVERLAPS), "size": (smaller, SIZES)}
    missed = fates.truth == TRUTH_FATES.index("missed")
    return CrowdCounts(
        predictions=np.bincount(fates.prediction, minlength=len(PREDICTION_FATES)),
        missed_beside_found=int((missed & beside).sum()),
        merged_objects=int(fates.under_merger.sum()),
        merged_pairs_across_classes=int((fates.merged_pair & across).sum()),
        objects={name: _table(*binned, fates.truth, len(TRUTH_FATES)) for name, binned in own.items()},
        pairs={
            name: np.stack([table.sum(axis=1), table[:, 1]], axis=1)
            for name, binned in of_pairs.items()
            for table in [_table(*binned, fates.merged_pair.astype(np.int64), 2)]
        },
    )


def _table(values: Floats, edges: tuple[float, ...], kind: Ints, kinds: int) -> Ints:
    """(bins, kinds) how many values of each kind lie in each bin; a value on an edge lies above it."""
    row = np.digitize(values, edges)
    table = np.zeros((len(edges) + 1, kinds), np.int64)
    np.add.at(table, (row, kind), 1)
    return table

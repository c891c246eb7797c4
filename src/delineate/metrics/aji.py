"""AJI, AJI+ and panoptic quality of one kind of object, as papers on cells and nuclei state them.

- AJI: Kumar et al., "A Dataset and a Technique for Generalized Nuclear Segmentation for Computational
  Pathology", IEEE TMI 2017, algorithm 1: each true object takes the prediction of the highest IoU, which
  several may take.
- AJI+, DQ, SQ, PQ: Graham et al., "HoVer-Net", Medical Image Analysis 2019, section 4.2: one to one.
- mPQ+: Graham et al., "CoNIC Challenge", Medical Image Analysis 2024: PQ of each class over all images at
  once, and its mean.

The numbers are those of HoVer-Net's and CoNIC's published ``stats_utils.py``, with their small constants.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

from .aji_report import EPSILON, AggregatedJaccardReport, ImageOverlap
from .cell_matching import OverlapPairs, in_crowd, match_pairs

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class AggregatedJaccard:
    """AJI, AJI+, DQ, SQ and PQ over many images; and PQ of each class where there are several.

    Scores play no part: choose the operating point first. Memory grows by a few numbers an image.

    Args:
        classes: the K classes of truth and predictions; default: those of the first truth. They matter to
            mPQ+ alone.

    Example:
        >>> true = Instances((4, 5), masks=Masks.from_label_image(np.array([[1, 1, 0, 2, 2]] * 4)))
        >>> found = Instances((4, 5), masks=Masks.from_label_image(np.array([[1, 1, 0, 0, 2]] * 4)))
        >>> metric = AggregatedJaccard()
        >>> metric.update(found, true)
        >>> {name: round(value, 3) for name, value in list(metric.compute().scores.items())[:3]}
        {'AJI': 0.75, 'AJI+': 0.75, 'PQ': 0.5}
    """

    def __init__(self, classes: Labels | None = None) -> None:
        self._classes = classes
        self._images: dict[int, ImageOverlap] = {}

    def update(self, pred: Instances, truth: Instances, image_id: int | None = None) -> None:
        """Add one image.

        Args:
            pred: the predicted objects, with masks; scores are not looked at.
            truth: the true objects, with masks. Crowd regions are left out, and so are predictions of which
                more than half lies in one (the definitions know no crowds).
            image_id: its number, needed to merge shards; default: the next free one.

        Raises:
            InputError: masks missing, sizes or classes differ, or an image id given twice.
        """
        if (pred.masks is None and len(pred)) or (truth.masks is None and len(truth)):
            raise InputError(
                "AggregatedJaccard: expected masks in both prediction and truth, got boxes only; "
                "use a model that predicts masks"
            )
        if pred.size != truth.size:
            raise InputError(
                f"AggregatedJaccard: expected a prediction of the image's size {truth.size} (height, width), "
                f"got {pred.size}; predict on the original image"
            )
        if image_id is None:
            image_id = max(self._images, default=0) + 1
        if image_id in self._images:
            raise InputError(f"AggregatedJaccard: expected every image once, got image {image_id} twice")
        classes = truth.classes if self._classes is None else self._classes
        top = max(int(o.labels.max(initial=-1)) for o in (pred, truth))
        if top >= len(classes):
            raise InputError(
                f"AggregatedJaccard: expected labels in 0..{len(classes) - 1} in image {image_id}, "
                f"got {top}; map the classes to the dataset's"
            )
        self._images[image_id] = overlap_of(pred, truth, len(classes))
        self._classes = classes

    def merge(self, other: AggregatedJaccard) -> None:
        """Take over the images of another shard; the result does not depend on how images were shared out.

        Raises:
            InputError: other classes, or an image seen by both.
        """
        both = self._images.keys() & other._images.keys()
        known = [m._classes for m in (self, other) if m._classes is not None]
        if both or any(c != known[0] for c in known):
            what = f"image {min(both)} in both" if both else "another list of classes"
            raise InputError(
                f"AggregatedJaccard.merge: expected other images and the same classes, got {what}; "
                "give update() the dataset's own image_id"
            )
        self._classes = known[0] if known else None
        self._images.update(other._images)

    def compute(self) -> AggregatedJaccardReport:
        """The scores of all images so far; may be called again after more updates."""
        names = () if self._classes is None else self._classes.names
        return AggregatedJaccardReport.of([self._images[i] for i in sorted(self._images)], names)


def overlap_of(pred: Instances, truth: Instances, classes: int) -> ImageOverlap:
    """What one image adds; masks without a pixel are no objects, as in a label image."""
    true, true_labels = _judged(truth, ~truth.crowd)
    found, labels = _judged(pred, np.ones(len(pred), np.bool_))
    if truth.crowd.any() and truth.masks is not None:
        outside = ~in_crowd(found, truth.masks[truth.crowd])
        found, labels = found[outside], labels[outside]
    true_area, area = np.asarray(true.area), np.asarray(found.area)
    i, j, shared = true.intersection_pairs(found)
    joint = true_area[i] + area[j] - shared
    iou = shared / joint
    near = shared / (joint + EPSILON)
    sums = []
    for chosen in (best_of_each(i, near), one_to_one(i, j, near)):
        alone = np.ones(len(true), np.bool_), np.ones(len(found), np.bool_)
        alone[0][i[chosen]] = alone[1][j[chosen]] = False
        rest = int(true_area[alone[0]].sum() + area[alone[1]].sum())
        sums.append((int(shared[chosen].sum()), int(joint[chosen].sum()) + rest))
    whole = _matched(i, j, iou, iou > 0.5, len(true), len(found))
    same = (iou > 0.5) & (true_labels[i] == labels[j])
    rows = np.zeros((classes, 4))
    for k in np.union1d(true_labels, labels).tolist():
        sizes = int((true_labels == k).sum()), int((labels == k).sum())
        rows[k] = _matched(i, j, iou, same & (true_labels[i] == k), *sizes)
    return ImageOverlap(aji=sums[0], aji_plus=sums[1], all_classes=whole, by_class=rows)


def best_of_each(i: Ints, iou: Floats) -> Ints:
    """Positions of the pairs in which each true object has its highest IoU, the first of equal ones.

    Args:
        i: (P,) true objects, ascending.
        iou: (P,) above 0.
    """
    order = np.lexsort((np.arange(len(i)), -iou, i))
    first = np.flatnonzero(np.concatenate(([True], np.diff(i[order]) > 0))) if len(i) else order
    return np.asarray(order[first], np.int64)


def one_to_one(i: Ints, j: Ints, iou: Floats) -> Ints:
    """Positions of the pairs of the one-to-one matching with the highest sum of IoU.

    Solved exactly on each connected group of overlapping masks by itself.

    Args:
        i, j: (P,) true and predicted objects, each pair once.
        iou: (P,) above 0.
    """
    if not len(i):
        return np.zeros(0, np.int64)
    base = int(i.max()) + 1
    nodes = base + int(j.max()) + 1
    graph = coo_array((np.ones(len(i), np.int8), (i, j + base)), shape=(nodes, nodes))
    group = connected_components(graph, directed=False)[1][i]
    order = np.argsort(group, kind="stable")
    chosen: list[Ints] = []
    for part in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        rows, row = np.unique(i[part], return_inverse=True)
        columns, column = np.unique(j[part], return_inverse=True)
        cost = np.zeros((len(rows), len(columns)))
        at = np.full(cost.shape, -1)
        cost[row, column], at[row, column] = -iou[part], part
        taken = at[linear_sum_assignment(cost)]
        chosen.append(taken[taken >= 0])
    return np.concatenate(chosen)


def _matched(i: Ints, j: Ints, iou: Floats, good: NDArray[np.bool_], n_true: int, n_found: int) -> Floats:
    """(4,) matched pairs, predictions alone, true objects alone, sum of the matched pairs' IoU.

    Above 0.5 partners are unique where no two masks of one side overlap; where they do, the most pairs and
    then the highest sum decide.
    """
    i, j, iou = i[good], j[good], iou[good]
    if len(np.unique(i)) < len(i) or len(np.unique(j)) < len(j):
        true, found = match_pairs(OverlapPairs(i, j, iou.astype(np.float32), n_true, n_found), 0.5)
        iou = iou[np.isin(i * (int(j.max()) + 1) + j, true * (int(j.max()) + 1) + found)]
    return np.array([len(iou), n_found - len(iou), n_true - len(iou), iou.sum()])


def _judged(objects: Instances, keep: NDArray[np.bool_]) -> tuple[Masks, Ints]:
    """Masks with a pixel, and their labels."""
    masks = Masks.empty(objects.size) if objects.masks is None else objects.masks
    keep = keep & (np.asarray(masks.area) > 0)
    return masks[keep], objects.labels[keep]

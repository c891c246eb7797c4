"""Cell and nucleus detection quality: one-to-one matching of masks at IoU thresholds.

The definition is StarDist's ``matching`` (Schmidt, Weigert, Broaddus, Myers, "Cell Detection with
Star-convex Polygons", MICCAI 2018, section 3, and its published package 0.9): at each threshold the
matching with the most pairs of IoU >= threshold, ``accuracy = TP / (TP + FP + FN)``, which the cell
literature calls AP. Classes and scores play no part; choose the operating point first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks

from .cell_report import CellCounts, CellMatchingReport, CellScores

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)


@dataclass(frozen=True)
class OverlapPairs:
    """The pairs of true and predicted masks of one image that share a pixel, sorted by (true, predicted).

    Attributes:
        true: (P,) int64 index of the true mask, 0..n_true-1.
        predicted: (P,) int64 index of the predicted mask, 0..n_predicted-1.
        iou: (P,) float32 intersection over union, in 0..1; float32 as StarDist computes it.
        n_true: number of true masks, those without a pixel left out.
        n_predicted: number of predicted masks, those without a pixel left out.
    """

    true: NDArray[np.int64]
    predicted: NDArray[np.int64]
    iou: NDArray[np.float32]
    n_true: int
    n_predicted: int

    @classmethod
    def of(cls, true: Masks, predicted: Masks) -> OverlapPairs:
        """All overlapping pairs; a mask without a pixel is no object, as in a label image."""
        true_area, predicted_area = np.asarray(true.area), np.asarray(predicted.area)
        i, j, shared = true.intersection_pairs(predicted)
        iou = (shared / (true_area[i] + predicted_area[j] - shared)).astype(np.float32)
        return cls(i, j, iou, int(np.count_nonzero(true_area)), int(np.count_nonzero(predicted_area)))


def match_pairs(pairs: OverlapPairs, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The one-to-one matching with the most pairs of ``iou >= threshold``; among those the highest IoU sum.

    Solved exactly (Hungarian method) on each connected group of overlapping masks by itself, so that a
    field of thousands of cells costs little. Works on overlapping masks too.

    Args:
        pairs: the overlapping pairs of one image.
        threshold: IoU from which a pair may match, in (0, 1].

    Returns:
        (T,) indices of the matched true masks, ascending, and (T,) indices of their predicted masks.

    Example:
        >>> import numpy as np
        >>> pairs = OverlapPairs(np.array([0, 0]), np.array([0, 1]), np.array([0.6, 0.3], np.float32), 1, 2)
        >>> [m.tolist() for m in match_pairs(pairs, 0.5)]
        [[0], [0]]
    """
    good = pairs.iou >= np.float32(threshold)
    # From 0.5 up only pairs that may match decide; below, StarDist's tie-break sees every overlap.
    keep = good if threshold >= 0.5 else np.ones_like(good)
    i, j, iou, good = pairs.true[keep], pairs.predicted[keep], pairs.iou[keep], good[keep]
    alone = (_times_seen(i) == 1) & (_times_seen(j) == 1)
    rows, columns = [i[alone & good]], [j[alone & good]]
    group = _groups(i[~alone], j[~alone])
    order = np.argsort(group, kind="stable")
    for part in np.split(np.flatnonzero(~alone)[order], np.flatnonzero(np.diff(group[order])) + 1):
        if len(part):
            chosen = _assign(i[part], j[part], iou[part], good[part], min(pairs.n_true, pairs.n_predicted))
            rows.append(i[part][chosen])
            columns.append(j[part][chosen])
    true, predicted = np.concatenate(rows), np.concatenate(columns)
    order = np.argsort(true, kind="stable")
    return true[order], predicted[order]


def _times_seen(index: NDArray[np.int64]) -> NDArray[np.int64]:
    _, inverse, counts = np.unique(index, return_inverse=True, return_counts=True)
    return counts[inverse].astype(np.int64)


def _groups(i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.int64]:
    """(P,) the connected group of each pair in the graph of true and predicted masks."""
    if not len(i):
        return np.zeros(0, np.int64)
    first_predicted = int(i.max()) + 1
    nodes = first_predicted + int(j.max()) + 1
    graph = coo_array((np.ones(len(i), np.int8), (i, j + first_predicted)), shape=(nodes, nodes))
    _, component = connected_components(graph, directed=False)
    return np.asarray(component, np.int64)[i]


def _assign(
    i: NDArray[np.int64],
    j: NDArray[np.int64],
    iou: NDArray[np.float32],
    good: NDArray[np.bool_],
    n_matched: int,
) -> NDArray[np.int64]:
    """Positions of the chosen pairs of one connected group."""
    true, row = np.unique(i, return_inverse=True)
    predicted, column = np.unique(j, return_inverse=True)
    cost = np.zeros((len(true), len(predicted)))
    position = np.full(cost.shape, -1)
    cost[row, column] = -good.astype(np.float64) - iou / (2 * n_matched)
    position[row, column] = np.arange(len(i))
    at = position[linear_sum_assignment(cost)]
    at = at[at >= 0]
    return at[good[at]].astype(np.int64)


class CellMatching:
    """TP, FP, FN and what follows from them at each IoU threshold, over many images.

    Feed it images one by one; :meth:`compute` gives the scores pooled over all objects of the set and
    averaged over images (StarDist's ``by_image=False`` and ``True``), for the whole and for each group.
    Memory grows by a few numbers an image.

    Args:
        thresholds: IoU thresholds in (0, 1], ascending; a pair matches from the threshold on (``>=``).

    Raises:
        InputError: thresholds outside (0, 1] or not ascending.

    Example:
        >>> import numpy as np
        >>> true = Masks.from_label_image(np.array([[1, 1, 0, 2, 2]] * 4))
        >>> predicted = Masks.from_label_image(np.array([[1, 1, 0, 0, 2]] * 4))
        >>> metric = CellMatching()
        >>> metric.update(Instances((4, 5), masks=predicted), Instances((4, 5), masks=true))
        >>> [(s.threshold, s.tp, s.fp, s.fn) for s in metric.compute().pooled[:2]]
        [(0.5, 2, 0, 0), (0.55, 1, 1, 1)]
    """

    def __init__(self, thresholds: Sequence[float] = THRESHOLDS) -> None:
        self.thresholds = tuple(float(t) for t in thresholds)
        ascending = all(a < b for a, b in pairwise(self.thresholds))
        if not self.thresholds or not ascending or self.thresholds[0] <= 0 or self.thresholds[-1] > 1:
            raise InputError(
                f"CellMatching: expected ascending IoU thresholds in (0, 1], got {self.thresholds}; "
                "give for example (0.5, 0.75, 0.9)"
            )
        self._images: dict[int, CellCounts] = {}

    def update(self, pred: Instances, truth: Instances, image_id: int | None = None, group: str = "") -> None:
        """Add one image.

        Args:
            pred: the predicted objects, with masks; scores are not looked at.
            truth: the true objects, with masks. Crowd regions are left out, and so are predictions of
                which more than half lies in one (the definition knows no crowds).
            image_id: its number, needed to merge shards; default: the next free one.
            group: what to tell apart in the report, such as the modality.

        Raises:
            InputError: masks missing, image sizes differ, or an image id given twice.
        """
        if pred.masks is None or truth.masks is None:
            raise InputError(
                "CellMatching: expected masks in both prediction and truth, "
                "got boxes only; use AveragePrecision"
            )
        if pred.size != truth.size:
            raise InputError(
                f"CellMatching: expected a prediction of the image's size {truth.size} (height, width), "
                f"got {pred.size}; predict on the original image"
            )
        if image_id is None:
            image_id = max(self._images, default=0) + 1
        if image_id in self._images:
            raise InputError(f"CellMatching: expected every image once, got image {image_id} twice")
        true, predicted = truth.masks, pred.masks
        if truth.crowd.any():
            predicted = predicted[~in_crowd(predicted, true[truth.crowd])]
            true = true[~truth.crowd]
        pairs = OverlapPairs.of(true, predicted)
        matched = [match_pairs(pairs, threshold) for threshold in self.thresholds]
        self._images[image_id] = CellCounts(
            group=group,
            n_true=pairs.n_true,
            n_predicted=pairs.n_predicted,
            tp=tuple(len(true_index) for true_index, _ in matched),
            iou_sum=tuple(_iou_sum(pairs, *m) for m in matched),
        )

    def merge(self, other: CellMatching) -> None:
        """Take over the images of another shard; the result does not depend on how images were shared out.

        Raises:
            InputError: other thresholds, or an image seen by both.
        """
        both = self._images.keys() & other._images.keys()
        if other.thresholds != self.thresholds or both:
            what = f"image {min(both)} in both" if both else f"thresholds {other.thresholds}"
            raise InputError(
                f"CellMatching.merge: expected other images and the same thresholds, got {what}; "
                "give update() the dataset's own image_id"
            )
        self._images.update(other._images)

    def compute(self) -> CellMatchingReport:
        """The scores of all images so far; may be called again after more updates."""
        counts = [self._images[i] for i in sorted(self._images)]
        names = sorted({c.group for c in counts if c.group})
        return CellMatchingReport(
            thresholds=self.thresholds,
            images=len(counts),
            pooled=CellScores.pool(counts, self.thresholds),
            by_image=CellScores.average(counts, self.thresholds),
            groups={
                name: CellMatchingReport(
                    thresholds=self.thresholds,
                    images=len(members),
                    pooled=CellScores.pool(members, self.thresholds),
                    by_image=CellScores.average(members, self.thresholds),
                    groups={},
                )
                for name in names
                for members in [[c for c in counts if c.group == name]]
            },
        )


def _iou_sum(pairs: OverlapPairs, true: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    if not len(true):
        return 0.0
    width = int(pairs.predicted.max()) + 1
    keys = pairs.true * width + pairs.predicted  # ascending: pairs are sorted by (true, predicted)
    return float(pairs.iou[np.searchsorted(keys, true * width + predicted)].sum(dtype=np.float64))


def in_crowd(predicted: Masks, crowd: Masks) -> NDArray[np.bool_]:
    """(D,) predictions of which more than half lies in one of the crowd regions."""
    inside = np.zeros(len(predicted), dtype=np.int64)
    _, j, shared = crowd.intersection_pairs(predicted)
    np.maximum.at(inside, j, shared)
    return 2 * inside > np.asarray(predicted.area)

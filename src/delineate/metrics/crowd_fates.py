"""What became of each true object of an image, and what each prediction is: one fate each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from delineate.core.masks import Masks

from .cell_matching import OverlapPairs, match_pairs
from .neighbours import Neighbours

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

TRUTH_FATES = ("matched", "mislabelled", "merged", "split", "inexact", "missed")
PREDICTION_FATES = (
    "matched",
    "mislabelled",
    "merging",
    "part",
    "duplicate",
    "inexact",
    "fragment",
    "spurious",
)
TruthFate = Literal["matched", "mislabelled", "merged", "split", "inexact", "missed"]

HALF = 0.5
"""More than this share of an object inside another: the other covers it, or it lies in the other."""
BACKGROUND = 0.1
"""IoU below which a prediction has nothing to do with an object (TIDE's background threshold)."""


@dataclass(frozen=True)
class Fates:
    """One image judged.

    Attributes:
        truth: (T,) index into :data:`TRUTH_FATES`.
        prediction: (D,) index into :data:`PREDICTION_FATES`.
        merged_pair: (P,) of the neighbouring true pairs: one prediction covers both, and not both have a
            match of their own.
        under_merger: (T,) the true object lies under a prediction that merges, matched by it or not.
        merging: (D,) the prediction made an object merged, matched with another one or not.
    """

    truth: Ints
    prediction: Ints
    merged_pair: Bools
    under_merger: Bools
    merging: Bools


@dataclass(frozen=True)
class _Overlaps:
    """The true and predicted masks that share pixels: indices (Q,) and shares (Q,)."""

    true: Ints
    predicted: Ints
    iou: NDArray[np.float32]
    covered: NDArray[np.float64]  # of the true object
    inside: NDArray[np.float64]  # of the prediction
    same: Bools  # the classes agree


def judge(
    truth: Masks,
    truth_labels: Ints,
    predicted: Masks,
    predicted_labels: Ints,
    near: Neighbours,
    iou: float = 0.5,
    by_class: bool = False,
) -> Fates:
    """Give each true object and each prediction its fate; :mod:`delineate.metrics.crowd` defines them.

    Args:
        truth: T true masks without crowd regions, none empty.
        truth_labels: (T,) classes.
        predicted: D predicted masks, none empty.
        predicted_labels: (D,) classes.
        near: the neighbours among the true masks.
        iou: IoU from which a pair matches, in 0.5..1.
        by_class: a match needs the same class.
    """
    o = _overlaps(truth, truth_labels, predicted, predicted_labels)
    fate, kind = np.full(len(truth), -1), np.full(len(predicted), -1)
    _match(o, fate, kind, o.same if by_class else np.ones(len(o.iou), np.bool_), iou, "matched")
    if by_class:
        _match(o, fate, kind, np.ones(len(o.iou), np.bool_), iou, "mislabelled")
    merged_pair, under, merging = _merge(o, fate, kind, near)
    _split(o, fate, kind, truth, predicted)
    extra = np.unique(o.predicted[o.iou >= np.float32(iou)])
    kind[extra[kind[extra] < 0]] = PREDICTION_FATES.index("duplicate")
    _match(o, fate, kind, np.ones(len(o.iou), np.bool_), BACKGROUND, "inexact")
    fate[fate < 0] = TRUTH_FATES.index("missed")
    pieces = np.unique(o.predicted[o.inside > HALF])
    kind[pieces[kind[pieces] < 0]] = PREDICTION_FATES.index("fragment")
    kind[kind < 0] = PREDICTION_FATES.index("spurious")
    return Fates(fate, kind, merged_pair, under, merging)


def _overlaps(truth: Masks, truth_labels: Ints, predicted: Masks, predicted_labels: Ints) -> _Overlaps:
    i, j, shared = truth.intersection_pairs(predicted)
    true_area, area = np.asarray(truth.area)[i], np.asarray(predicted.area)[j]
    iou = (shared / (true_area + area - shared)).astype(np.float32)
    return _Overlaps(i, j, iou, shared / true_area, shared / area, truth_labels[i] == predicted_labels[j])


def _match(o: _Overlaps, fate: Ints, kind: Ints, allowed: Bools, iou: float, name: TruthFate) -> None:
    """One-to-one matches of what has no fate yet."""
    free = allowed & (fate[o.true] < 0) & (kind[o.predicted] < 0)
    pairs = OverlapPairs(o.true[free], o.predicted[free], o.iou[free], len(fate), len(kind))
    true, predicted = match_pairs(pairs, iou)
    fate[true] = TRUTH_FATES.index(name)
    kind[predicted] = PREDICTION_FATES.index(name)


def _merge(o: _Overlaps, fate: Ints, kind: Ints, near: Neighbours) -> tuple[Bools, Bools, Bools]:
    """Merged pairs (P,), the true objects (T,) under predictions that merge, and these (D,)."""
    over = o.covered > HALF
    true, predicted = o.true[over], o.predicted[over]
    shape = (len(fate), len(kind))
    covers = csr_array((np.ones(len(true), np.int32), (true, predicted)), shape=shape)
    both = covers[near.first].multiply(covers[near.second]).tocsr()  # (P, D)
    lost = fate < 0
    merged = ~near.nested & (lost[near.first] | lost[near.second])
    merged_pair = np.asarray((np.diff(both.indptr) > 0) & merged, np.bool_)
    # how many others, not nested with it, the prediction over an object covers too
    others = covers.copy()
    others.data = np.asarray(covers.sum(axis=0)).ravel()[covers.indices] - 1
    inner = both[near.nested].tocoo()
    for end in (near.first, near.second):
        at = (end[near.nested][inner.row], inner.col)
        others = (others - csr_array((np.ones(len(inner.row), np.int32), at), shape=shape)).tocsr()
    left = others.tocoo()
    row, column, several = left.row, left.col, left.data > 0
    merging = np.zeros(len(kind), np.bool_)
    merging[column[several & lost[row]]] = True
    fate[row[several & lost[row]]] = TRUTH_FATES.index("merged")
    under = np.zeros(len(fate), np.bool_)
    under[row[several & merging[column]]] = True
    kind[merging & (kind < 0)] = PREDICTION_FATES.index("merging")
    return merged_pair, under, merging


def _split(o: _Overlaps, fate: Ints, kind: Ints, truth: Masks, predicted: Masks) -> None:
    """True objects without a match that two or more pieces together cover for the greater part."""
    piece = (o.inside > HALF) & (fate[o.true] < 0) & (kind[o.predicted] < 0)
    true, part = o.true[piece], o.predicted[piece]
    torn, group, count = np.unique(true, return_inverse=True, return_counts=True)
    if not (count > 1).any():
        return
    joined = predicted[part].merge(group)
    i, j, shared = truth[torn].intersection_pairs(joined)
    own = i == j
    covered = np.zeros(len(torn))
    covered[i[own]] = shared[own] / np.asarray(truth.area)[torn[i[own]]]
    split = (count > 1) & (covered > HALF)
    fate[torn[split]] = TRUTH_FATES.index("split")
    kind[part[split[group]]] = PREDICTION_FATES.index("part")

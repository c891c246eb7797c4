"""COCO's matching of one image, kept as one small record: what each detection is at each IoU threshold.

Detections of a class take, best score first, the true object of their class that they overlap most and that
is still free; crowd regions take any number, and what they take is ignored (Lin et al., "Microsoft COCO:
Common Objects in Context", ECCV 2014, as pycocotools 2.0.11 computes it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from delineate.core.instances import Instances

from .overlap_table import Kind, OverlapTable

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())


@dataclass(frozen=True, eq=False)
class RankedMatches:
    """One image's detections, highest score first, where asked at most ``max_det`` of a class.

    Attributes:
        index: (D,) of each detection in the prediction it comes from.
        labels: (D,) classes.
        scores: (D,) float32.
        taken: (T, D) the true object it was matched with at each threshold, -1 for none.
        ignored: (T, D) it is neither right nor wrong: matched with a crowd region.
        objects: (G,) classes of the true objects, crowd regions left out.
    """

    index: Ints
    labels: Ints
    scores: NDArray[np.float32]
    taken: Ints
    ignored: Bools
    objects: Ints

    @property
    def right(self) -> Bools:
        """(T, D) matched with a true object that is no crowd region."""
        return (self.taken >= 0) & ~self.ignored

    @classmethod
    def of(
        cls,
        pred: Instances,
        truth: Instances,
        kind: Kind,
        *,
        max_det: int | None = 100,
        thresholds: Sequence[float] = THRESHOLDS,
    ) -> RankedMatches:
        """Match the objects of one image.

        Args:
            pred: the detections, with scores.
            truth: the true objects, crowd regions among them.
            kind: overlap of ``"mask"`` or ``"box"``.
            max_det: so many detections of a class are taken, best first; None takes all.
            thresholds: (T,) IoU from which a pair may match.

        Raises:
            InputError: ``kind="mask"`` and masks are missing.
        """
        order = np.argsort(-pred.scores, kind="stable")
        if max_det is not None:
            order = order[_rank_in_class(pred.labels[order]) < max_det]
        table = OverlapTable.of(pred, truth, kind)
        same = pred.labels[table.predicted] == truth.labels[table.true]
        table = table.take(same & (table.iou >= min(thresholds)))
        taken = _match(table, order, truth.crowd, thresholds)
        ignored = np.zeros(taken.shape, np.bool_)
        ignored[taken >= 0] = truth.crowd[taken[taken >= 0]]
        objects = truth.labels[~truth.crowd]
        return cls(order, pred.labels[order], pred.scores[order], taken, ignored, objects)


def _rank_in_class(labels: Ints) -> Ints:
    """(D,) how many of the same class stand before each."""
    by_class = np.argsort(labels, kind="stable")
    grouped = labels[by_class]
    start = np.searchsorted(grouped, grouped, side="left")
    rank = np.empty(len(labels), np.int64)
    rank[by_class] = np.arange(len(labels)) - start
    return rank


def _match(table: OverlapTable, order: Ints, crowd: Bools, thresholds: Sequence[float]) -> Ints:
    """(T, D) the true object each detection in ``order`` takes, -1 for none."""
    taken = np.full((len(thresholds), len(order)), -1, np.int64)
    begin = np.searchsorted(table.predicted, order, side="left").tolist()
    end = np.searchsorted(table.predicted, order, side="right").tolist()
    true, iou, group = table.true.tolist(), table.iou.tolist(), crowd.tolist()
    floors = [min(t, 1 - 1e-10) for t in thresholds]
    used: list[set[int]] = [set() for _ in floors]
    for k, (first, last) in enumerate(zip(begin, end, strict=True)):
        # Objects before crowd regions; of equal overlaps the last one, as pycocotools has it.
        near = sorted(zip(true[first:last], iou[first:last], strict=True), key=lambda pair: group[pair[0]])
        for t, floor in enumerate(floors if near else ()):
            best, chosen = floor, -1
            for one, overlap in near:
                if one in used[t]:
                    continue
                if chosen >= 0 and group[one] and not group[chosen]:
                    break
                if overlap >= best:
                    best, chosen = overlap, one
            if chosen >= 0:
                taken[t, k] = chosen
                if not group[chosen]:
                    used[t].add(chosen)
    return taken

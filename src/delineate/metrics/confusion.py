"""Which class is taken for which, by mask or by box, with background: what is found in vain and what is lost.

At the operating point each true object is paired with at most one prediction of IoU >= 0.5: first with
predictions of its own class, so that the diagonal is what is found, then what is left over with any class. A
true object without a partner lies in the column of background, a prediction without one in its row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels

from .cell_matching import OverlapPairs, match_pairs
from .metric import Cell, ScoreTable
from .overlap_table import Kind, OverlapTable
from .per_image import PerImage

Ints = NDArray[np.int64]
BACKGROUND = "background"
SHOWN = 20


@dataclass(frozen=True, eq=False)
class ConfusionReport:
    """How many objects of each class were found as what.

    Attributes:
        kind: ``"mask"`` or ``"box"``.
        images: number of images.
        iou: IoU from which a pair may match.
        names: the K classes.
        matrix: (K + 1, K + 1) int64; rows are true classes, columns predicted ones, the last of each is
            background.
    """

    kind: str
    images: int
    iou: float
    names: tuple[str, ...]
    matrix: Ints

    @property
    def scores(self) -> dict[str, float]:
        """``found`` in the right class, ``mistaken`` for another, ``lost``: shares of the true objects; and
        ``spurious``, the share of the predictions without an object."""
        inner = self.matrix[:-1, :-1]
        objects, predictions = self.matrix[:-1].sum(), self.matrix[:, :-1].sum()
        right = np.trace(inner)
        parts = {"found": right, "mistaken": inner.sum() - right, "lost": self.matrix[:-1, -1].sum()}
        shares = {name: float(n / objects) if objects else float("nan") for name, n in parts.items()}
        spurious = self.matrix[-1, :-1].sum()
        return shares | {"spurious": float(spurious / predictions) if predictions else float("nan")}

    @property
    def mistakes(self) -> tuple[tuple[str, str, int], ...]:
        """``(true class, predicted class, number)`` of two classes confused, most frequent first."""
        inner = self.matrix[:-1, :-1].copy()
        np.fill_diagonal(inner, 0)
        i, j = np.nonzero(inner)
        order = np.argsort(-inner[i, j], kind="stable")
        return tuple((self.names[i[k]], self.names[j[k]], int(inner[i[k], j[k]])) for k in order)

    def occurring(self, most: int = SHOWN) -> tuple[tuple[str, ...], Ints]:
        """The classes with most objects and predictions, background last, and their part of the matrix."""
        number = self.matrix[:-1].sum(axis=1) + self.matrix[:, :-1].sum(axis=0)
        keep = np.sort(np.argsort(-number, kind="stable")[: min(most, int((number > 0).sum()))])
        index = np.append(keep, len(self.names))
        return (*(self.names[k] for k in keep), BACKGROUND), self.matrix[np.ix_(index, index)]

    @property
    def tables(self) -> tuple[ScoreTable, ...]:
        """The matrix of a few classes; of many, what is confused most."""
        names, part = self.occurring()
        if len(self.names) <= 8:
            rows: tuple[tuple[Cell, ...], ...] = tuple(
                (name, *map(int, row)) for name, row in zip(names, part, strict=True)
            )
            return (ScoreTable(f"Confusion by {self.kind}", ("true \\ predicted", *names), rows),)
        mistakes = self.mistakes[:SHOWN]
        return (
            ScoreTable(f"Classes confused most, by {self.kind}", ("true", "predicted", "number"), mistakes),
        )

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind the numbers, JSON-able."""
        return {
            "definition": "confusion matrix of objects with background",
            "overlap": self.kind,
            "match": f"IoU >= {self.iou:g}, one to one; pairs of one class first, then any",
            "crowd": "left out, with the predictions of which more than half lies in a crowd region",
        }

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, ready for JSON; of the classes that occur."""
        names, part = self.occurring(len(self.names))
        return {"kind": self.kind, "images": self.images, "classes": list(names), "matrix": part.tolist()}


class Confusion(PerImage[Ints]):
    """The confusion matrix over many images, at the operating point: give it the predictions that count.

    Args:
        kind: ``"mask"`` or ``"box"``: what overlaps are taken of.
        classes: the classes that are scored.
        iou: IoU from which a pair may match, in 0.5..1.

    Raises:
        InputError: ``iou`` outside 0.5..1.

    Example:
        >>> labels = Labels(("cat", "dog"))
        >>> truth = Instances((9, 9), boxes=[[0, 0, 4, 4], [5, 5, 9, 9]], labels=[0, 1], classes=labels)
        >>> metric = Confusion("box", labels)
        >>> metric.update(truth[:1].replace(labels=[1]), truth)
        >>> metric.compute().matrix.tolist()
        [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    """

    def __init__(self, kind: Kind, classes: Labels, iou: float = 0.5) -> None:
        super().__init__()
        if not 0.5 <= iou <= 1:
            raise InputError(f"Confusion, iou: expected a number in 0.5..1, got {iou}; give for example 0.5")
        self.kind: Kind = kind
        self.classes, self.iou = classes, float(iou)

    def settings(self) -> tuple[object, ...]:
        """What two shards must have in common."""
        return self.kind, self.classes, self.iou

    def of_image(self, pred: Instances, truth: Instances) -> Ints:
        """(P, 3) true class, predicted class, number; K is background."""
        table = OverlapTable.of(pred, truth, self.kind)
        in_crowd = np.zeros(len(pred), np.bool_)
        in_crowd[table.predicted[truth.crowd[table.true] & (table.iou > 0.5)]] = True
        table = table.take(~truth.crowd[table.true] & ~in_crowd[table.predicted])
        partner = np.full(len(truth), -1)
        free = ~in_crowd
        same = truth.labels[table.true] == pred.labels[table.predicted]
        for allowed in (same, np.ones(len(same), np.bool_)):
            part = table.take(allowed & free[table.predicted] & (partner[table.true] < 0))
            pairs = OverlapPairs(
                part.true, part.predicted, part.iou.astype(np.float32), len(truth), len(pred)
            )
            order = np.lexsort((pairs.predicted, pairs.true))
            pairs = OverlapPairs(
                pairs.true[order], pairs.predicted[order], pairs.iou[order], pairs.n_true, pairs.n_predicted
            )
            true, predicted = match_pairs(pairs, self.iou)
            partner[true], free[predicted] = predicted, False
        background = len(self.classes)
        judged = np.flatnonzero(~truth.crowd)
        found = partner[judged]
        columns = np.where(found < 0, background, pred.labels[found] if len(pred) else background)
        spurious = pred.labels[free]
        pairs_of_classes = np.concatenate(
            [
                np.stack([truth.labels[judged], columns], axis=1),
                np.stack([np.full(len(spurious), background), spurious], axis=1),
            ]
        )
        cells, counts = np.unique(pairs_of_classes, axis=0, return_counts=True)
        return np.column_stack([cells, counts]).astype(np.int64)

    def compute(self) -> ConfusionReport:
        """The matrix of all images so far."""
        side = len(self.classes) + 1
        matrix = np.zeros((side, side), np.int64)
        for record in self.records:
            np.add.at(matrix, (record[:, 0], record[:, 1]), record[:, 2])
        return ConfusionReport(self.kind, len(self.records), self.iou, self.classes.names, matrix)

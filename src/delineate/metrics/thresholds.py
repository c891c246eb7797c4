"""Precision and recall at every confidence, and the confidence with the best F1, for each class.

A ranking score such as AP does not say where to cut. Here every cut is shown: detections matched as COCO does
at IoU 0.5 (:mod:`delineate.metrics.ranked_matches`), precision and recall of those with a score from the
threshold on (van Rijsbergen, "Information Retrieval", 1979, chapter 7, for F1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metric import ScoreTable
from .ranked_metric import RankedMetric
from .ranked_pool import RankedPool

Floats = NDArray[np.float64]

GRID = tuple(round(0.05 * k, 2) for k in range(1, 20))
POINTS = 200


@dataclass(frozen=True)
class Cut:
    """What counts from a confidence on. Ratios are 0..1, NaN where undefined.

    Attributes:
        confidence: the lowest score that counts.
        matched, predicted, objects: right detections, all detections, true objects.
    """

    confidence: float
    matched: int
    predicted: int
    objects: int

    @property
    def precision(self) -> float:
        """Matched / predicted."""
        return self.matched / self.predicted if self.predicted else float("nan")

    @property
    def recall(self) -> float:
        """Matched / objects."""
        return self.matched / self.objects if self.objects else float("nan")

    @property
    def f1(self) -> float:
        """2 matched / (predicted + objects)."""
        both = self.predicted + self.objects
        return 2 * self.matched / both if both else float("nan")


@dataclass(frozen=True, eq=False)
class ThresholdReport:
    """Every cut of every class.

    Attributes:
        kind: ``"mask"`` or ``"box"``.
        images: number of images.
        max_det: detections taken of a class in an image; None: all.
        best: the cut with the best F1 of all classes together; None without a detection.
        grid: the cuts at 0.05, 0.10, .. 0.95, all classes together; those below the lowest score left out.
        by_class: by class name the cut with the best F1; classes with a true object and a detection.
        curves: by class name, ``"all"`` for all together, (P, 3) confidence, recall, precision, thinned.
    """

    kind: str
    images: int
    max_det: int | None
    best: Cut | None
    grid: tuple[Cut, ...]
    by_class: dict[str, Cut]
    curves: dict[str, Floats]

    @property
    def scores(self) -> dict[str, float]:
        """The best F1 over all classes, with its confidence, precision and recall."""
        best = self.best or Cut(float("nan"), 0, 0, 0)
        numbers = {"F1": best.f1, "confidence": best.confidence}
        return numbers | {"precision": best.precision, "recall": best.recall}

    @property
    def per_class(self) -> dict[str, dict[str, float]]:
        """The best cut of each class."""
        return {
            name: {"confidence": c.confidence, "F1": c.f1, "precision": c.precision, "recall": c.recall}
            for name, c in self.by_class.items()
        }

    @property
    def tables(self) -> tuple[ScoreTable, ...]:
        """The cuts of the grid."""
        columns = ("from confidence", "detections", "matched", "precision", "recall", "F1")
        rows = tuple(
            (f"{c.confidence:.2f}", c.predicted, c.matched, c.precision, c.recall, c.f1) for c in self.grid
        )
        return (ScoreTable(f"Thresholds, all classes together, by {self.kind}", columns, rows),)

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind the numbers, JSON-able."""
        return {
            "definition": "precision, recall and F1 of the detections from a confidence on",
            "overlap": self.kind,
            "match": "COCO's, IoU >= 0.5, within a class, best score first",
            "best": "highest F1 = 2 matched / (predicted + objects), chosen on this data: others score less",
            "max_det": "all" if self.max_det is None else f"{self.max_det} per image and class",
            "crowd": "a detection inside a crowd region does not count",
        }

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, ready for JSON, with the curves."""
        return {
            "kind": self.kind,
            "images": self.images,
            "best": None if self.best is None else _plain(self.best),
            "grid": [_plain(cut) for cut in self.grid],
            "by_class": {name: _plain(cut) for name, cut in self.by_class.items()},
            "curves": {name: np.round(points, 5).tolist() for name, points in self.curves.items()},
        }


class Thresholds(RankedMetric):
    """Precision, recall and F1 at every confidence over many images.

    Args:
        kind: ``"mask"`` or ``"box"``: what overlaps are taken of.
        classes: the classes that are scored.
        max_det: at most so many detections of a class in an image, best first; default all.

    Example:
        >>> from delineate.core.instances import Instances
        >>> truth = Instances((9, 9), boxes=[[0, 0, 4, 4], [5, 5, 9, 9]])
        >>> pred = Instances((9, 9), boxes=[[0, 0, 4, 4], [0, 5, 3, 9]], scores=[0.5, 0.25])
        >>> metric = Thresholds("box", truth.classes)
        >>> metric.update(pred, truth)
        >>> metric.compute().best
        Cut(confidence=0.5, matched=1, predicted=1, objects=2)
    """

    def compute(self) -> ThresholdReport:
        """The cuts of all images so far."""
        pool = self.pool
        best, curves = {}, {"all": curve(pool)}
        for k, name in enumerate(self.classes.names):
            own = pool.of_class(k)
            if own.objects.any() and (cut := best_cut(own)) is not None:
                best[name], curves[name] = cut, curve(own)
        return ThresholdReport(
            kind=self.kind,
            images=len(self.records),
            max_det=self.max_det,
            best=best_cut(pool),
            grid=grid(pool),
            by_class=best,
            curves=curves,
        )


def best_cut(pool: RankedPool) -> Cut | None:
    """The cut with the highest F1, of equal ones the one with the highest confidence; None without any."""
    cuts = pool.last
    if not len(cuts):
        return None
    matched, objects = np.cumsum(pool.right)[cuts], int(pool.objects.sum())
    k = int(np.argmax(2 * matched / (cuts + 1 + objects)))
    return Cut(float(pool.scores[cuts[k]]), int(matched[k]), int(cuts[k]) + 1, objects)


def grid(pool: RankedPool) -> tuple[Cut, ...]:
    """The cuts of :data:`GRID`, from the last one on that leaves all detections in."""
    cuts = [cut_at(pool, floor) for floor in GRID]
    whole = sum(cut.predicted == len(pool.scores) for cut in cuts)
    return tuple(cuts[max(whole - 1, 0) :])


def cut_at(pool: RankedPool, confidence: float) -> Cut:
    """What counts from a confidence on (``>=``, in float32)."""
    number = int(np.searchsorted(-pool.scores, -np.float32(confidence), side="right"))
    return Cut(confidence, int(pool.right[:number].sum()), number, int(pool.objects.sum()))


def curve(pool: RankedPool) -> Floats:
    """(P, 3) confidence, recall and precision from the highest confidence down, at most 200 points."""
    cuts = pool.last
    if len(cuts) > POINTS:
        cuts = cuts[np.unique(np.linspace(0, len(cuts) - 1, POINTS).round().astype(np.int64))]
    matched = np.cumsum(pool.right)[cuts].astype(np.float64)
    objects = max(int(pool.objects.sum()), 1)
    return np.column_stack([pool.scores[cuts], matched / objects, matched / (cuts + 1)]).astype(np.float64)


def _plain(cut: Cut) -> dict[str, float | None]:
    numbers = {name: getattr(cut, name) for name in ("confidence", "matched", "predicted", "objects")}
    ratios = {name: getattr(cut, name) for name in ("precision", "recall", "f1")}
    return {name: None if value != value else value for name, value in (numbers | ratios).items()}

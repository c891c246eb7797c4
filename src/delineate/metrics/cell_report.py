"""What cell matching reports: counts per image, scores per threshold, the frozen report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class CellCounts:
    """One image's counts, per threshold where a tuple.

    Attributes:
        group: the image's group, such as its modality; empty for none.
        n_true: true objects.
        n_predicted: predicted objects.
        tp: matched pairs at each threshold.
        iou_sum: sum of the matched pairs' IoU at each threshold.
    """

    group: str
    n_true: int
    n_predicted: int
    tp: tuple[int, ...]
    iou_sum: tuple[float, ...]


@dataclass(frozen=True)
class CellScores:
    """The scores at one threshold. Ratios are 0..1 and, as StarDist defines them, 0 where TP is 0.

    Attributes:
        threshold: IoU from which a pair counts as matched.
        tp, fp, fn: matched pairs, predictions without a partner, true objects without a partner.
        precision: TP / (TP + FP).
        recall: TP / (TP + FN).
        accuracy: TP / (TP + FP + FN); "AP" in the cell literature and the Data Science Bowl.
        f1: 2 TP / (2 TP + FP + FN).
        mean_true_score: sum of matched IoU / true objects.
        mean_matched_score: sum of matched IoU / TP.
        panoptic_quality: sum of matched IoU / (TP + FP / 2 + FN / 2).
    """

    threshold: float
    tp: int
    fp: int
    fn: int
    precision: float
    recall: float
    accuracy: float
    f1: float
    mean_true_score: float
    mean_matched_score: float
    panoptic_quality: float

    @classmethod
    def of(cls, threshold: float, tp: int, n_true: int, n_predicted: int, iou_sum: float) -> CellScores:
        """From the counts of one image or of a whole set."""
        fp, fn = n_predicted - tp, n_true - tp
        return cls(
            threshold=threshold,
            tp=tp,
            fp=fp,
            fn=fn,
            precision=_ratio(tp, tp + fp),
            recall=_ratio(tp, tp + fn),
            accuracy=_ratio(tp, tp + fp + fn),
            f1=_ratio(2 * tp, 2 * tp + fp + fn),
            mean_true_score=_ratio(iou_sum, n_true),
            mean_matched_score=_ratio(iou_sum, tp),
            panoptic_quality=_ratio(iou_sum, tp + fp / 2 + fn / 2),
        )

    @classmethod
    def pool(cls, counts: Sequence[CellCounts], thresholds: Sequence[float]) -> tuple[CellScores, ...]:
        """Ratios of the counts summed over images: every object weighs the same (``by_image=False``)."""
        n_true = sum(c.n_true for c in counts)
        n_predicted = sum(c.n_predicted for c in counts)
        return tuple(
            cls.of(t, sum(c.tp[k] for c in counts), n_true, n_predicted, sum(c.iou_sum[k] for c in counts))
            for k, t in enumerate(thresholds)
        )

    @classmethod
    def average(cls, counts: Sequence[CellCounts], thresholds: Sequence[float]) -> tuple[CellScores, ...]:
        """Counts summed, ratios averaged over images: every image weighs the same (``by_image=True``).

        An image without true and without predicted objects has ratios 0, as StarDist defines it.
        """
        averaged = []
        for k, (t, pooled) in enumerate(zip(thresholds, cls.pool(counts, thresholds), strict=True)):
            each = [asdict(cls.of(t, c.tp[k], c.n_true, c.n_predicted, c.iou_sum[k])) for c in counts]
            means = {
                name: float(np.mean([scores[name] for scores in each])) if each else 0.0 for name in RATIOS
            }
            averaged.append(cls(threshold=t, tp=pooled.tp, fp=pooled.fp, fn=pooled.fn, **means))
        return tuple(averaged)


RATIOS = (
    "precision",
    "recall",
    "accuracy",
    "f1",
    "mean_true_score",
    "mean_matched_score",
    "panoptic_quality",
)


@dataclass(frozen=True)
class CellMatchingReport:
    """Scores at each threshold, pooled over the set and averaged over images, whole and by group.

    Attributes:
        thresholds: the IoU thresholds.
        images: number of images.
        pooled: per threshold, from counts summed over the images.
        by_image: per threshold, ratios averaged over the images.
        groups: the same for each group's images, by name; empty where no group was named.
    """

    thresholds: tuple[float, ...]
    images: int
    pooled: tuple[CellScores, ...]
    by_image: tuple[CellScores, ...]
    groups: dict[str, CellMatchingReport]

    @property
    def mean_accuracy(self) -> float:
        """Pooled TP / (TP + FP + FN) averaged over the thresholds."""
        return float(np.mean([scores.accuracy for scores in self.pooled]))

    @property
    def mean_accuracy_by_image(self) -> float:
        """The same, averaged over images first (the Data Science Bowl's score but for its ``>``)."""
        return float(np.mean([scores.accuracy for scores in self.by_image]))

    @property
    def scores(self) -> dict[str, float]:
        """``AP`` (mean accuracy over the thresholds), ``AP50``, .. pooled, and ``_by_image``; at the first
        threshold precision, recall, F1 and PQ too."""
        pooled, by_image = _named(self.pooled, ""), _named(self.by_image, "_by_image")
        return {"AP": self.mean_accuracy, **pooled, "AP_by_image": self.mean_accuracy_by_image, **by_image}

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind the numbers, JSON-able."""
        return {
            "definition": "StarDist 0.9 matching: accuracy = TP / (TP + FP + FN), called AP in cell papers",
            "match": "IoU >= threshold in float32, one to one, most pairs first, then the highest IoU sum",
            "thresholds": list(self.thresholds),
            "pooled": "counts summed over images, then ratios (by_image=False)",
            "by_image": "mean of each image's ratios, which are 0 without a match (by_image=True)",
            "crowd": "left out, with the predictions of which more than half lies in a crowd region",
            "classes": "not looked at",
        }

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, ready for JSON."""
        return {
            "images": self.images,
            "mean_accuracy": self.mean_accuracy,
            "mean_accuracy_by_image": self.mean_accuracy_by_image,
            "pooled": [asdict(scores) for scores in self.pooled],
            "by_image": [asdict(scores) for scores in self.by_image],
            "groups": {name: group.to_dict() for name, group in self.groups.items()},
        }


def _named(scores: tuple[CellScores, ...], ending: str) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for s in scores:
        at = f"{round(100 * s.threshold)}{ending}"
        numbers[f"AP{at}"] = s.accuracy
        if s is scores[0]:
            numbers |= {f"precision_{at}": s.precision, f"recall_{at}": s.recall}
            numbers |= {f"F1_{at}": s.f1, f"PQ_{at}": s.panoptic_quality}
    return numbers


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if part > 0 and whole > 0 else 0.0

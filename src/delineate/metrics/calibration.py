"""Whether a confidence of 0.8 means that eight detections of ten are right.

Detections are put into ten bins by score; in each the mean score is held against the share that is matched
at IoU 0.5. The expected calibration error (ECE) is the mean gap, each bin weighed by its detections (Naeini,
Cooper, Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015; for
detectors Küppers et al., "Multivariate Confidence Calibration for Object Detection", CVPR workshops 2020). It
depends on where detections were cut off: many sure misses at low scores make it small.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metric import ScoreTable
from .ranked_metric import RankedMetric
from .ranked_pool import RankedPool

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Detections with scores in ``low`` <= score < ``high``; the last bin has 1 too.

    Attributes:
        low, high: its edges.
        detections: how many.
        confidence: their mean score; NaN without any.
        precision: the share of them that is right; NaN without any.
    """

    low: float
    high: float
    detections: int
    confidence: float
    precision: float


@dataclass(frozen=True)
class CalibrationReport:
    """Score against precision.

    Attributes:
        kind: ``"mask"`` or ``"box"``.
        images: number of images.
        max_det: detections taken of a class in an image; None: all.
        error: expected calibration error, 0..1; NaN without detections.
        largest: the largest gap of a bin.
        bins: ten of equal width.
        by_class: expected calibration error by class name; classes with detections.
    """

    kind: str
    images: int
    max_det: int | None
    error: float
    largest: float
    bins: tuple[Bin, ...]
    by_class: dict[str, float]

    @property
    def scores(self) -> dict[str, float]:
        """``ECE``, the largest gap ``MCE``, and ``overconfidence``: mean score minus precision."""
        filled = [b for b in self.bins if b.detections]
        number = sum(b.detections for b in filled)
        gap = sum(b.detections * (b.confidence - b.precision) for b in filled)
        return {
            "ECE": self.error,
            "MCE": self.largest,
            "overconfidence": gap / number if number else float("nan"),
        }

    @property
    def per_class(self) -> dict[str, dict[str, float]]:
        """The error of each class."""
        return {name: {"ECE": error} for name, error in self.by_class.items()}

    @property
    def tables(self) -> tuple[ScoreTable, ...]:
        """The bins."""
        rows = tuple(
            (f"{b.low:.1f} to {b.high:.1f}", b.detections, b.confidence, b.precision)
            for b in self.bins
            if b.detections
        )
        columns = ("score", "detections", "mean score", "share that is right")
        return (ScoreTable(f"Calibration by {self.kind}", columns, rows),)

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind the numbers, JSON-able."""
        return {
            "definition": f"expected calibration error over {BINS} bins of equal width",
            "right": "matched as COCO does at IoU >= 0.5, within a class",
            "overlap": self.kind,
            "max_det": "all" if self.max_det is None else f"{self.max_det} per image and class",
            "crowd": "a detection inside a crowd region does not count",
        }

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, ready for JSON."""
        bins = [{k: None if v != v else v for k, v in asdict(b).items()} for b in self.bins]
        scores = {name: None if value != value else value for name, value in self.scores.items()}
        return {
            "kind": self.kind,
            "images": self.images,
            "scores": scores,
            "bins": bins,
            "by_class": self.by_class,
        }


class Calibration(RankedMetric):
    """Score against precision over many images.

    Args:
        kind: ``"mask"`` or ``"box"``: what overlaps are taken of.
        classes: the classes that are scored.
        max_det: at most so many detections of a class in an image, best first; default all.

    Example:
        >>> from delineate.core.instances import Instances
        >>> truth = Instances((9, 9), boxes=[[0, 0, 4, 4]])
        >>> pred = Instances((9, 9), boxes=[[0, 0, 4, 4], [0, 5, 3, 9]], scores=[0.75, 0.25])
        >>> metric = Calibration("box", truth.classes)
        >>> metric.update(pred, truth)
        >>> metric.compute().error
        0.25
    """

    def compute(self) -> CalibrationReport:
        """The calibration of all images so far."""
        pool = self.pool
        bins = _bins(pool)
        by_class = {}
        for k, name in enumerate(self.classes.names):
            own = pool.of_class(k)
            if len(own.scores):
                by_class[name] = _error(_bins(own))
        gaps = [abs(b.precision - b.confidence) for b in bins if b.detections]
        return CalibrationReport(
            kind=self.kind,
            images=len(self.records),
            max_det=self.max_det,
            error=_error(bins),
            largest=max(gaps, default=float("nan")),
            bins=bins,
            by_class=by_class,
        )


def _bins(pool: RankedPool) -> tuple[Bin, ...]:
    scores: NDArray[np.float64] = pool.scores.astype(np.float64)
    at = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    number = np.bincount(at, minlength=BINS)
    total, right = (
        np.bincount(at, weights=w, minlength=BINS) for w in (scores, pool.right.astype(np.float64))
    )
    with np.errstate(invalid="ignore"):
        confidence, precision = total / number, right / number
    return tuple(
        Bin(k / BINS, (k + 1) / BINS, int(number[k]), float(confidence[k]), float(precision[k]))
        for k in range(BINS)
    )


def _error(bins: tuple[Bin, ...]) -> float:
    number = sum(b.detections for b in bins)
    gaps = (b.detections * abs(b.precision - b.confidence) for b in bins if b.detections)
    return sum(gaps) / number if number else float("nan")

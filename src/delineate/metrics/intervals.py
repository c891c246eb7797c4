"""How sure a score is: intervals of images drawn anew, and whether one predictor is better than another.

Intervals: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13: images are drawn with
replacement, as many as there are; the middle 95 % of the scores so found. Objects of one image are not
independent, so images are drawn, not objects.

Paired test: each image's results are exchanged between the two predictors with a chance of one half; the
p-value is how often the scores then lie as far apart as they do (Noreen, "Computer-Intensive Methods for
Testing Hypotheses", 1989, chapter 2, approximate randomisation). The interval of the difference draws images
for both at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels

from .image_sample import ImageRecord, ImageSample
from .metric import ScoreTable
from .per_image import PerImage

Floats = NDArray[np.float64]

DRAWS = 1000
SEED = 0
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A score and where it may lie.

    Attributes:
        value: of the images as they are.
        low, high: the middle 95 % of the draws; NaN where a draw defines nothing.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class IntervalReport:
    """Scores with intervals.

    Attributes:
        intervals: by the name that the score has elsewhere in the report, ``mask/AP``, ``cells/F1_50``, ..
        draws: how many times the images were drawn.
        seed: of the draws.
        confidence: score from which a detection counts in cells and counts.
        max_det: detections taken of a class in an image in AP.
        records: by image id what the scores follow from; for comparisons.
        classes: number of classes.
    """

    intervals: dict[str, Interval]
    draws: int
    seed: int
    confidence: float
    max_det: int
    records: Mapping[int, ImageRecord] = field(repr=False)
    classes: int

    @property
    def scores(self) -> dict[str, float]:
        """The ends: ``mask/AP_low``, ``mask/AP_high``, .."""
        return {
            f"{name}_{end}": getattr(interval, end)
            for name, interval in self.intervals.items()
            for end in ("low", "high")
        }

    @property
    def tables(self) -> tuple[ScoreTable, ...]:
        """Score, low, high."""
        rows = tuple((name, i.value, i.low, i.high) for name, i in self.intervals.items())
        caption = f"{len(self.records)} images drawn anew {self.draws} times"
        return (ScoreTable("95 % intervals", ("score", "value", "from", "to"), rows, caption),)

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind the numbers, JSON-able."""
        return {
            "definition": "percentile bootstrap over images (Efron and Tibshirani 1993)",
            "level": LEVEL,
            "draws": self.draws,
            "seed": self.seed,
            "AP": f"COCO's, max_det {self.max_det} per image and class, scores in float32",
            "cells and counts": f"detections from {self.confidence:g} on",
        }

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, ready for JSON."""
        plain = {
            name: {key: None if value != value else value for key, value in asdict(interval).items()}
            for name, interval in self.intervals.items()
        }
        return {"draws": self.draws, "seed": self.seed, "images": len(self.records), "intervals": plain}


class Intervals(PerImage[ImageRecord]):
    """Bootstrap intervals of many scores; give it all detections.

    Args:
        classes: the classes that are scored.
        max_dets: the last one limits the detections of a class in an image.
        confidence: score from which a detection counts in cells and counts.
        draws: how many times the images are drawn.
        seed: of the draws.

    Raises:
        InputError: fewer than 1 draw.

    Example:
        >>> truth = Instances((9, 9), boxes=[[0, 0, 4, 4]])
        >>> metric = Intervals(truth.classes, draws=10)
        >>> for found in (truth, truth[:0]):
        ...     metric.update(found, truth)
        >>> found = metric.compute().intervals["count/bias"]
        >>> found.value, found.low >= -1, found.high <= 0
        (-0.5, True, True)
    """

    def __init__(
        self,
        classes: Labels,
        max_dets: tuple[int, ...] = (100,),
        confidence: float = 0.5,
        draws: int = DRAWS,
        seed: int = SEED,
    ) -> None:
        super().__init__()
        if draws < 1:
            raise InputError(
                f"Intervals, draws: expected a number from 1 up, got {draws}; give for example 1000"
            )
        self.classes, self.max_det, self.confidence = classes, int(max_dets[-1]), float(confidence)
        self.draws, self.seed = int(draws), int(seed)

    def settings(self) -> tuple[object, ...]:
        """What two shards must have in common."""
        return self.classes, self.max_det, self.confidence, self.draws, self.seed

    def of_image(self, pred: Instances, truth: Instances) -> ImageRecord:
        """The image in a few numbers."""
        return ImageRecord.of(pred, truth, confidence=self.confidence, max_det=self.max_det)

    def compute(self) -> IntervalReport:
        """The intervals of all images so far."""
        sample = ImageSample(self.records, len(self.classes))
        intervals = {}
        if sample.size:
            weights = draw(sample.size, self.draws, self.seed)
            plain, drawn = sample.scores(np.ones((1, sample.size))), sample.scores(weights)
            intervals = {name: Interval(float(plain[name][0]), *middle(drawn[name])) for name in plain}
        return IntervalReport(
            intervals=intervals,
            draws=self.draws,
            seed=self.seed,
            confidence=self.confidence,
            max_det=self.max_det,
            records=dict(zip(self.image_ids, self.records, strict=True)),
            classes=len(self.classes),
        )


def draw(images: int, draws: int, seed: int) -> Floats:
    """(B, I) how often each image is drawn, with replacement, as many as there are."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(images, np.full(images, 1 / images), size=draws).astype(np.float64)


def middle(values: Floats) -> tuple[float, float]:
    """The middle 95 % of what is defined; NaN where nothing is."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)

"""Is predictor B better than predictor A on the same images? The difference, its interval, its p-value.

The interval draws images anew for both at once (paired bootstrap); the p-value exchanges the two predictors'
results image by image (:mod:`delineate.metrics.intervals` has the sources).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .image_sample import ImageRecord, ImageSample
from .intervals import IntervalReport, draw, middle

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """One score of both.

    Attributes:
        first: of A.
        second: of B.
        difference: B minus A.
        low, high: the middle 95 % of the differences when images are drawn anew.
        p: how often a difference as large arises when it does not matter which is which, 0..1.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float


def paired_test(
    first: IntervalReport, second: IntervalReport, *, draws: int = 1000, seed: int = 0
) -> dict[str, Difference]:
    """Compare two predictors' scores on the same images.

    Args:
        first: of A.
        second: of B.
        draws: how many times images are drawn, and how many times results are exchanged.
        seed: of both.

    Returns:
        By the name of the score; those that both have.

    Raises:
        InputError: the two saw other images, classes, or took other detections.
    """
    _check(first, second, draws)
    ids = sorted(first.records)
    one, two = ([report.records[i] for i in ids] for report in (first, second))
    a, b = ImageSample(one, first.classes), ImageSample(two, first.classes)
    plain = np.ones((1, a.size))
    as_is, weights = (a.scores(plain), b.scores(plain)), draw(a.size, draws, seed)
    drawn = (a.scores(weights), b.scores(weights))
    swapped = _exchanged(one, two, first.classes, draws, seed + 1)
    found = {}
    for name in as_is[0].keys() & as_is[1].keys():
        value = float(as_is[1][name][0] - as_is[0][name][0])
        low, high = middle(drawn[1][name] - drawn[0][name])
        far = np.abs(swapped[name]) >= abs(value) - 1e-12
        p = float((1 + far.sum()) / (1 + draws)) if value == value else float("nan")
        found[name] = Difference(float(as_is[0][name][0]), float(as_is[1][name][0]), value, low, high, p)
    return {name: found[name] for name in as_is[0] if name in found}


def _exchanged(
    one: list[ImageRecord], two: list[ImageRecord], classes: int, draws: int, seed: int
) -> dict[str, Floats]:
    """(B,) differences when each image's results are exchanged with a chance of one half."""
    both = ImageSample([*one, *two], classes)
    swap = np.random.default_rng(seed).random((draws, len(one))) < 0.5
    mine, theirs = np.hstack([~swap, swap]), np.hstack([swap, ~swap])
    a, b = both.scores(mine.astype(np.float64)), both.scores(theirs.astype(np.float64))
    return {name: b[name] - a[name] for name in a}


def _check(first: IntervalReport, second: IntervalReport, draws: int) -> None:
    apart = first.records.keys() ^ second.records.keys()
    if apart:
        raise InputError(
            f"paired test: expected both predictors scored on the same images, got image {min(apart)} with "
            "one alone; score both on the same data and split"
        )
    mine = (first.classes, first.max_det, first.confidence)
    theirs = (second.classes, second.max_det, second.confidence)
    if mine != theirs:
        raise InputError(
            f"paired test: expected one protocol (classes, max_det, confidence), got {mine} and {theirs}; "
            "score both in the same way"
        )
    if draws < 1 or not first.records:
        raise InputError(
            f"paired test: expected images and draws, got {len(first.records)} and {draws}; score some"
        )

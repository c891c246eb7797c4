"""Shares of an evaluation, joined, are what one process finds that sees all images."""

from __future__ import annotations

import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.records import Sample
from delineate.engine.evaluate import evaluate, open_evaluation
from delineate.engine.metric_registry import FULL

CLASSES = Labels(("square", "bar"))


def scene(index: int) -> Sample:
    """Some squares and bars, none in every third image; its number is its first pixel."""
    rng = np.random.default_rng(index)
    labels = np.zeros((48, 48), np.int32)
    for i in range(0 if index % 3 == 0 else 4):
        y, x = 12 * i, rng.integers(0, 30)
        labels[y + 1 : y + 10, x : x + 9 + 4 * (i % 2)] = i + 1
    count = int(labels.max())
    truth = Instances(
        (48, 48), masks=Masks.from_label_image(labels), labels=np.arange(count) % 2, classes=CLASSES
    )
    image = np.zeros((48, 48), np.uint8)
    image[0, 0] = index
    return Sample(image, truth, f"{index}.png", f"{index}.png", index)  # type: ignore[arg-type]


def found(image: Any) -> Instances:
    """Some of the objects, moved, some taken for the other class, with scores that tie."""
    index = int(image[0, 0])
    if index == 5:
        raise ValueError("this one cannot be predicted")
    rng = np.random.default_rng(100 + index)
    truth = scene(index).truth
    kept = truth[rng.random(len(truth)) < 0.8]
    scores = np.round(rng.random(len(kept)), 1)
    labels = np.where(rng.random(len(kept)) < 0.2, 1 - kept.labels, kept.labels)
    return Instances((48, 48), masks=kept.masks, labels=labels, scores=scores, classes=CLASSES)


@pytest.mark.parametrize("cuts", [(0, 4, 9), (0, 3, 3, 6, 9)])
def test_joined_shares_are_the_whole(cuts: tuple[int, ...]) -> None:
    data = [scene(i) for i in range(9)]
    whole = evaluate(found, data, metrics=FULL, progress=False)
    tallies = []
    for first, last in pairwise(cuts):
        share = open_evaluation(found, data, metrics=FULL)
        share.run(range(first, last))
        tallies.append(pickle.loads(pickle.dumps(share.tally())))  # as it travels
    taker = open_evaluation(found, data, metrics=FULL)
    taker.take(tallies)
    report = taker.report()
    assert report.scores.keys() == whole.scores.keys()
    np.testing.assert_array_equal(list(report.scores.values()), list(whole.scores.values()))
    assert report.failed == whole.failed and len(report.failed) == 1
    assert report.notes == whole.notes and report.images == whole.images == 8

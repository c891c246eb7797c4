from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.metrics.cell_matching import CellMatching
from delineate.metrics.operating_point import (
    confidence_at_precision,
    crowd_at_confidence,
    crowd_at_precision,
    operating_points,
)

Pair = tuple[Instances, Instances]


def pair(rng: np.random.Generator) -> Pair:
    """Overlapping true and predicted rectangles, many alike, with few distinct scores."""
    found = []
    base = rng.integers(0, 8, (4, 2))
    for n in rng.integers(0, 9, 2):
        corner = base[rng.integers(0, 4, n)] + rng.integers(0, 2, (n, 2))
        dense = np.zeros((n, 12, 12), bool)
        for mask, (y, x) in zip(dense, corner.tolist(), strict=True):
            mask[y : y + 4, x : x + int(rng.integers(2, 5))] = True
        found.append(
            Instances(
                (12, 12),
                masks=Masks.from_dense(dense),
                scores=rng.integers(1, 7, n) / 8,
                labels=rng.integers(0, 2, n),
            )
        )
    return found[0], found[1]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_point_equals_the_matching_of_the_detections_from_it_on(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = [pair(rng) for _ in range(int(rng.integers(1, 4)))]
    scores = sorted({float(s) for pred, _ in images for s in pred.scores}, reverse=True)
    points = operating_points(images)
    assert [p.confidence for p in points] == scores
    for point in points:
        cells = CellMatching((0.5,))
        for pred, truth in images:
            cells.update(pred[pred.scores >= point.confidence], truth)
        expected = cells.compute().pooled[0]
        assert (point.matched, point.predicted - point.matched) == (expected.tp, expected.fp)
        assert (point.precision, point.recall) == (expected.precision, expected.recall)
        assert point.f1 == pytest.approx(expected.f1)
        at = crowd_at_confidence(images, point.confidence)
        assert (at.total.matched, at.predicted) == (point.matched, point.predicted)
    for point in operating_points(images, by_class=True):
        at = crowd_at_confidence(images, point.confidence, by_class=True)
        assert (at.total.matched, at.predicted) == (point.matched, point.predicted)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_the_lowest_confidence_that_reaches_the_precision_is_chosen(seed: int, precision: float) -> None:
    images = [pair(np.random.default_rng(seed))]
    reached = [p for p in operating_points(images) if p.precision >= precision]
    if not reached:
        with pytest.raises(InputError, match="at most"):
            confidence_at_precision(images, precision)
        return
    point, crowd = crowd_at_precision(images, precision)
    assert point == min(reached, key=lambda p: p.confidence)
    assert crowd.precision == point.precision >= precision


def test_nothing_predicted_and_no_images() -> None:
    nothing = Instances.empty((4, 4))
    assert operating_points([]) == operating_points([(nothing, nothing)]) == []
    with pytest.raises(InputError, match="no predictions"):
        confidence_at_precision([(nothing, nothing)], 0.5)


def test_crowd_regions_are_left_out_and_boxes_refused() -> None:
    truth = Instances(
        (1, 6), masks=Masks.from_label_image(np.array([[1, 1, 0, 2, 2, 2]])), crowd=[False, True]
    )
    pred = Instances((1, 6), masks=Masks.from_label_image(np.array([[1, 1, 0, 2, 2, 3]])))
    (point,) = operating_points([(pred, truth)])
    assert (point.matched, point.predicted, point.objects) == (1, 1, 1)
    with pytest.raises(InputError, match="expected masks"):
        operating_points([(pred.replace(masks=None), truth)])
    with pytest.raises(InputError, match="image's size"):
        operating_points([(Instances.empty((2, 6)), truth)])

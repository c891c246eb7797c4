from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.metrics.average_precision import AveragePrecision
from delineate.metrics.cell_matching import CellMatching
from delineate.metrics.image_sample import ImageSample
from delineate.metrics.interpolated_precision import average_precision
from delineate.metrics.intervals import IntervalReport, Intervals, draw
from delineate.metrics.paired_test import paired_test

from .detection_cases import CLASSES, images

Pairs = list[tuple[Instances, Instances]]


def fed(pairs: Pairs, draws: int = 50) -> IntervalReport:
    metric = Intervals(CLASSES, draws=draws)
    for k, (pred, truth) in enumerate(pairs, 1):
        metric.update(pred, truth, k)
    return metric.compute()


def reference(pairs: Pairs) -> dict[str, float]:
    found = {}
    for kind in ("mask", "box"):
        metric = AveragePrecision(kind, CLASSES)  # type: ignore[arg-type]
        for k, (pred, truth) in enumerate(pairs, 1):
            metric.update(pred, truth, k)
        found |= {f"{kind}/{name}": metric.compute()[name] for name in ("AP", "AP50", "AP75")}
    cells = CellMatching()
    for k, (pred, truth) in enumerate(pairs, 1):
        cells.update(pred[pred.scores >= 0.5], truth, k)
    scores = cells.compute().scores
    return found | {
        f"cells/{name}": scores[name] for name in ("AP", "AP50", "F1_50", "precision_50", "recall_50")
    }


@pytest.mark.parametrize("crowd", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_values_are_those_of_the_metrics(seed: int, crowd: bool) -> None:
    pairs = images(seed + 40, crowd=crowd)
    found = fed(pairs, 5).intervals
    for name, value in reference(pairs).items():
        assert found[name].value == pytest.approx(value, abs=1e-12), name


def test_a_weight_is_an_image_counted_so_often() -> None:
    pairs = images(50)
    times = np.array([2, 0, 1, 3, 0, 1])
    sample = ImageSample(list(fed(pairs, 1).records.values()), len(CLASSES))
    scores = sample.scores(times[None].astype(float))
    many = [pair for pair, n in zip(pairs, times, strict=True) for _ in range(n)]
    for name, value in reference(many).items():
        assert scores[name][0] == pytest.approx(value, abs=1e-12), name


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=30), st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_weights_are_repetitions_and_more_right_ones_are_no_worse(
    rows: list[tuple[bool, int]], missed: int
) -> None:
    right = np.array([r for r, _ in rows], bool)
    weights = np.array([w for _, w in rows], float)[None]
    objects = np.array([float(weights[0, right].sum() + missed)])
    found = average_precision(right, objects, weights)
    again = average_precision(np.repeat(right, weights[0].astype(int)), objects)
    np.testing.assert_allclose(found, again, atol=1e-12)
    if objects[0]:
        assert 0 <= found[0] <= 1
        assert average_precision(right[right], objects, weights[:, right])[0] >= found[0] - 1e-12


def test_intervals_of_a_mean_are_those_of_scipy() -> None:
    pairs = images(60, count=25)
    found = fed(pairs, 2000).intervals["count/MAE"]
    error = np.array([abs(int((p.scores >= 0.5).sum()) - len(t)) for p, t in pairs], float)
    theirs = stats.bootstrap(
        (error,), np.mean, n_resamples=4000, method="percentile", random_state=np.random.default_rng(1)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx(tuple(theirs), abs=0.12 * error.std())
    assert found.value == pytest.approx(error.mean())


def test_the_paired_test_of_a_mean_is_that_of_scipy() -> None:
    pairs = images(70, count=12)
    rng = np.random.default_rng(0)
    worse = [(p[rng.random(len(p)) < 0.75], t) for p, t in pairs]
    found = paired_test(fed(pairs), fed(worse), draws=1500)["count/bias"]
    counts = [np.array([(p.scores >= 0.5).sum() for p, _ in some], float) for some in (pairs, worse)]
    theirs = stats.permutation_test(
        (counts[1], counts[0]),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
    )
    assert found.p == pytest.approx(theirs.pvalue, abs=0.03)
    assert found.difference == pytest.approx(theirs.statistic)
    assert found.low <= found.difference <= found.high <= 0


def test_the_same_predictor_twice_is_no_better_and_a_perfect_one_is() -> None:
    pairs = images(80, count=10)
    same = paired_test(fed(pairs), fed(pairs), draws=100)
    assert all(d.difference == 0 and d.p == 1 and d.low == d.high == 0 for d in same.values())
    better = paired_test(fed(pairs), fed([(t, t) for _, t in pairs]), draws=500)["mask/AP"]
    assert better.p < 0.01 and better.low > 0 and better.second == pytest.approx(1)


def test_draws_are_seeded_and_do_not_depend_on_the_order() -> None:
    pairs = images(90)
    shards = [Intervals(CLASSES, draws=20) for _ in range(2)]
    for k in (3, 1, 0, 5, 4, 2):
        shards[k % 2].update(*pairs[k], k + 1)
    shards[0].merge(shards[1])
    assert shards[0].compute().to_dict() == fed(pairs, 20).to_dict()
    assert draw(7, 5, 0).sum(axis=1).tolist() == [7] * 5


def test_boxes_only_nothing_and_other_images() -> None:
    pairs = images(95)
    bare = [(p.replace(masks=None), t) for p, t in pairs]
    assert "mask/AP" not in fed(bare).intervals and "cells/AP" not in fed(bare).intervals
    assert fed([]).intervals == {} and fed([]).scores == {}
    with pytest.raises(InputError, match="image 6"):
        paired_test(fed(pairs), fed(pairs[:5]))
    with pytest.raises(InputError, match="one protocol"):
        metric = Intervals(CLASSES, confidence=0.3)
        for k, pair in enumerate(pairs, 1):
            metric.update(*pair, k)
        paired_test(fed(pairs), metric.compute())
    with pytest.raises(InputError, match="from 1 up"):
        Intervals(CLASSES, draws=0)

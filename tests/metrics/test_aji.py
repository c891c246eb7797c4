from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.metrics.aji import AggregatedJaccard
from delineate.metrics.aji_report import AggregatedJaccardReport
from delineate.metrics.cell_matching import CellMatching


def instances(labels: np.ndarray) -> Instances:
    return Instances(labels.shape, masks=Masks.from_label_image(labels))


def score(found: np.ndarray, true: np.ndarray) -> AggregatedJaccardReport:
    metric = AggregatedJaccard()
    metric.update(instances(found), instances(true))
    return metric.compute()


def published(true: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """The formulas of the papers and of HoVer-Net's scores, on whole pictures and full tables."""
    t = np.stack([true == k for k in np.unique(true) if k]).reshape(-1, true.size).astype(float)
    p = np.stack([found == k for k in np.unique(found) if k]).reshape(-1, true.size).astype(float)
    shared = t @ p.T
    joint = t.sum(1)[:, None] + p.sum(1) - shared
    table = np.where(shared > 0, shared / (joint + 1e-6), 0)

    def index(rows: np.ndarray, columns: np.ndarray) -> float:
        hit = table[rows, columns] > 0
        rows, columns = rows[hit], columns[hit]
        rest = t.sum(1)[np.setdiff1d(np.arange(len(t)), rows)].sum()
        rest += p.sum(1)[np.setdiff1d(np.arange(len(p)), columns)].sum()
        return float(shared[rows, columns].sum() / (joint[rows, columns].sum() + rest))

    exact = shared / joint
    pairs = exact[exact > 0.5]
    tp, fp, fn = len(pairs), len(p) - len(pairs), len(t) - len(pairs)
    dq, sq = tp / (tp + 0.5 * fp + 0.5 * fn), float(pairs.sum() / (tp + 1e-6))
    return {
        "AJI": index(np.arange(len(t)), table.argmax(1)),
        "AJI+": index(*linear_sum_assignment(-table)),
        "PQ": dq * sq,
        "DQ": dq,
        "SQ": sq,
    }


def pictures(top: int) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    shape = st.tuples(st.integers(1, 7), st.integers(1, 7))
    return shape.flatmap(
        lambda s: st.tuples(*(arrays(np.int32, s, elements=st.integers(0, top)) for _ in range(2)))
    )


@settings(max_examples=80, deadline=None)
@given(pictures(5))
def test_equals_the_published_formulas_to_the_last_digit(pair: tuple[np.ndarray, np.ndarray]) -> None:
    true, found = pair
    scores = score(found, true).scores
    if true.any() and found.any():
        assert {name: scores[name] for name in ("AJI", "AJI+", "PQ", "DQ", "SQ")} == published(true, found)
        assert scores["AJI+"] == scores["AJI+_pooled"]
    elif true.any() or found.any():
        assert (scores["AJI"], scores["AJI+"], scores["PQ"]) == (0, 0, 0)
    else:
        assert math.isnan(scores["AJI"])
        assert math.isnan(scores["PQ_pooled"])


@settings(max_examples=25, deadline=None)
@given(pictures(3))
def test_pooled_pq_is_that_of_the_matching_but_for_the_constant(pair: tuple[np.ndarray, np.ndarray]) -> None:
    true, found = pair
    matching = CellMatching((0.5 + 1e-6,))
    matching.update(instances(found), instances(true))
    scores = score(found, true).scores
    if true.any() or found.any():
        assert scores["PQ_pooled"] == pytest.approx(matching.compute().pooled[0].panoptic_quality, abs=2e-6)


@settings(max_examples=30, deadline=None)
@given(st.lists(pictures(4), min_size=2, max_size=5), st.integers(0, 31))
def test_shards_give_the_identical_report(images: list[tuple[np.ndarray, np.ndarray]], cut: int) -> None:
    whole, shards = AggregatedJaccard(), [AggregatedJaccard(), AggregatedJaccard()]
    for k, (true, found) in enumerate(images):
        pair = instances(found).replace(classes=None), instances(true)
        whole.update(*pair, k)
        shards[cut >> k & 1].update(*pair, k)
    shards[1].merge(shards[0])
    assert json.dumps(shards[1].compute().to_dict()) == json.dumps(whole.compute().to_dict())


ONE = np.array([[1, 1, 1, 1], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("true", "found", "aji", "plus", "pq"),
    [
        (ONE, ONE, 1.0, 1.0, 1 / (1 + 1e-6)),
        (ONE, ONE * 0, 0.0, 0.0, 0.0),
        (ONE * 0, ONE, 0.0, 0.0, 0.0),
        # one prediction over two cells: AJI counts its pixels in both unions, AJI+ in one
        (np.array([[1, 1, 2, 2]]), np.array([[1, 1, 1, 1]]), 4 / 8, 2 / 6, 0.0),
        (np.array([[1, 1, 1]]), np.array([[1, 1, 2]]), 2 / 4, 2 / 4, 2 / 3 / (1 + 1e-6) / 1.5),
    ],
    ids=["same", "missed", "invented", "merged", "split"],
)
def test_table(true: np.ndarray, found: np.ndarray, aji: float, plus: float, pq: float) -> None:
    scores = score(found, true).scores
    assert (scores["AJI"], scores["AJI+"]) == (aji, plus)
    assert scores["PQ"] == pytest.approx(pq, rel=1e-15)


def test_no_images_and_json() -> None:
    report = AggregatedJaccard().compute()
    assert report.images == 0
    assert math.isnan(report.scores["AJI"])
    json.dumps([report.to_dict(), report.protocol], allow_nan=False)


def test_mean_over_images_leaves_empty_ones_out_and_says_so() -> None:
    metric = AggregatedJaccard()
    metric.update(instances(ONE), instances(ONE))
    metric.update(instances(ONE * 0), instances(ONE))
    metric.update(instances(ONE * 0), instances(ONE * 0))
    report = metric.compute()
    assert report.scores["AJI"] == 0.5
    assert report.notes == ("1 images without any object, true or predicted, are no part of the means",)


def test_classes_matter_to_mpq_alone() -> None:
    kinds = Labels(("round", "flat", "never"))
    true = instances(np.array([[1, 1, 0, 2, 2]])).replace(classes=kinds, labels=[0, 1])
    metric = AggregatedJaccard()
    metric.update(true.replace(labels=[0, 0]), true)
    report = metric.compute()
    assert report.scores["PQ"] == pytest.approx(1.0, abs=1e-5)
    assert report.per_class["round"]["tp"] == 1
    assert report.per_class["round"]["PQ"] == 1 / (1.5 + 1e-6) * (1 / (1 + 1e-6))
    assert report.per_class["flat"]["PQ"] == 0
    assert report.scores["mPQ+"] == report.per_class["round"]["PQ"] / 2


def test_overlapping_masks_are_matched_one_to_one() -> None:
    mask = np.ones((1, 4), bool)
    true = Instances((1, 4), masks=Masks.from_dense(np.stack([mask, mask])))
    metric = AggregatedJaccard()
    metric.update(true[:1], true)
    scores = metric.compute().scores
    assert (scores["AJI"], scores["AJI+"], scores["DQ"]) == (1.0, 0.5, 1 / 1.5)


def test_crowds_are_left_out_with_what_lies_in_them() -> None:
    true = instances(np.array([[1, 1, 0, 2, 2]])).replace(crowd=[False, True])
    metric = AggregatedJaccard()
    metric.update(instances(np.array([[1, 1, 0, 2, 3]])), true)
    assert metric.compute().scores["AJI"] == 1.0


def test_errors_say_what_to_do() -> None:
    one = instances(ONE)
    metric = AggregatedJaccard()
    metric.update(one, one, 3)
    with pytest.raises(InputError, match="every image once"):
        metric.update(one, one, 3)
    with pytest.raises(InputError, match="image's size"):
        metric.update(instances(ONE.T), one)
    with pytest.raises(InputError, match="expected masks"):
        metric.update(Instances(ONE.shape, boxes=[[0, 0, 1, 1]]), one)
    with pytest.raises(InputError, match="map the classes"):
        metric.update(one.replace(labels=[1], classes=Labels(("a", "b"))), one)
    other = AggregatedJaccard()
    other.update(one, one, 3)
    with pytest.raises(InputError, match="image 3 in both"):
        metric.merge(other)

from __future__ import annotations

import csv
import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.metrics.cell_matching import THRESHOLDS, CellMatching
from delineate.metrics.cell_report import CellMatchingReport


def instances(labels: np.ndarray) -> Instances:
    return Instances(labels.shape, masks=Masks.from_label_image(labels))


def score(
    pred: Instances, truth: Instances, thresholds: tuple[float, ...] = THRESHOLDS
) -> CellMatchingReport:
    metric = CellMatching(thresholds)
    metric.update(pred, truth)
    return metric.compute()


def by_brute_force(truth: np.ndarray, pred: np.ndarray, threshold: float) -> tuple[int, float]:
    """The published definition, every matching tried: most pairs of IoU >= threshold, then most IoU."""
    table = np.zeros((len(truth), len(pred)), np.float32)
    for i, a in enumerate(truth):
        for j, b in enumerate(pred):
            table[i, j] = np.float32((a & b).sum() / (a | b).sum())
    if len(truth) > len(pred):
        table = table.T
    best = (0, 0.0)
    for chosen in permutations(range(table.shape[1]), table.shape[0]):
        iou = table[range(len(chosen)), list(chosen)]
        good = iou >= np.float32(threshold)
        best = max(best, (int(good.sum()), float(iou[good].sum(dtype=np.float64))))
    return best


def stack(labels: np.ndarray) -> np.ndarray:
    return np.array([labels == k for k in np.unique(labels) if k]).reshape(-1, *labels.shape)


small = st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda shape: st.tuples(*(arrays(np.int32, shape, elements=st.integers(0, 4)) for _ in range(2)))
)


@settings(max_examples=150, deadline=None)
@given(small)
def test_equals_brute_force_on_label_images(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, pred = pair
    for scores in score(instances(pred), instances(truth)).pooled:
        tp, iou_sum = by_brute_force(stack(truth), stack(pred), scores.threshold)
        n_true, n_pred = len(stack(truth)), len(stack(pred))
        assert (scores.tp, scores.fp, scores.fn) == (tp, n_pred - tp, n_true - tp)
        assert scores.accuracy == (tp / (n_true + n_pred - tp) if tp else 0)
        assert scores.mean_true_score == pytest.approx(iou_sum / n_true if n_true else 0)
        assert scores.mean_matched_score == pytest.approx(iou_sum / tp if tp else 0)
        assert scores.panoptic_quality == pytest.approx(iou_sum / ((n_true + n_pred) / 2) if tp else 0)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_equals_brute_force_on_overlapping_masks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random((rng.integers(1, 5), 3, 4)) < 0.6
    pred = np.concatenate([truth, rng.random((2, 3, 4)) < 0.6])[rng.permutation(len(truth) + 2)][:5]
    truth, pred = truth[truth.any((1, 2))], pred[pred.any((1, 2))]
    found = [Instances((3, 4), masks=Masks.from_dense(m)) for m in (pred, truth)]
    for scores in score(*found, (0.5, 0.6, 0.75)).pooled:
        tp, iou_sum = by_brute_force(truth, pred, scores.threshold)
        assert scores.tp == tp
        assert scores.mean_true_score * max(len(truth), 1) == pytest.approx(iou_sum)


ONE = np.array([[1, 1, 1, 1, 0, 0]] * 2)
NONE = np.zeros((2, 6), int)


@pytest.mark.parametrize(
    ("pred", "true", "tp", "fp", "fn", "accuracy"),
    [
        (NONE, NONE, 0, 0, 0, 0.0),
        (ONE, NONE, 0, 1, 0, 0.0),
        (NONE, ONE, 0, 0, 1, 0.0),
        (ONE, ONE, 1, 0, 0, 1.0),
        (np.array([[1, 1, 0, 0, 2, 2]] * 2), ONE, 1, 1, 0, 0.5),  # IoU of exactly 0.5 counts
        (np.array([[1, 0, 0, 0, 2, 2]] * 2), ONE, 0, 2, 1, 0.0),
        (np.array([[1, 1, 2, 2, 0, 0]] * 2), ONE, 1, 1, 0, 0.5),  # a split: one half matches, one does not
        (ONE, np.array([[1, 1, 2, 2, 0, 0]] * 2), 1, 0, 1, 0.5),  # a merge
    ],
    ids=["nothing", "only found", "only true", "perfect", "half", "quarter", "split", "merge"],
)
def test_table_at_one_half(
    pred: np.ndarray, true: np.ndarray, tp: int, fp: int, fn: int, accuracy: float
) -> None:
    report = score(instances(pred), instances(true))
    first = report.pooled[0]
    assert (first.tp, first.fp, first.fn, first.accuracy) == (tp, fp, fn, accuracy)
    assert report.by_image[0] == first
    json.dumps(report.to_dict(), allow_nan=False)


def test_thresholds_compare_in_float32() -> None:
    pred, true = np.ones((1, 10), int), np.ones((1, 10), int)
    pred[0, 7:] = 0  # IoU 0.7, which float32 rounds below 0.7
    assert score(instances(pred), instances(true), (0.7,)).pooled[0].tp == 1


def test_pooled_and_by_image_differ_as_defined_and_groups_are_apart() -> None:
    metric = CellMatching((0.5,))
    many = np.arange(1, 13).reshape(2, 6)
    metric.update(instances(many), instances(many), group="grey")
    metric.update(instances(NONE), instances(ONE), group="stained")
    metric.update(instances(NONE), instances(NONE), group="stained")
    report = metric.compute()
    assert report.images == 3
    assert report.pooled[0].accuracy == 12 / 13
    assert report.by_image[0].accuracy == pytest.approx(1 / 3)
    assert (report.mean_accuracy, report.mean_accuracy_by_image) == (12 / 13, pytest.approx(1 / 3))
    assert {name: (g.images, g.pooled[0].accuracy) for name, g in report.groups.items()} == {
        "grey": (1, 1.0),
        "stained": (2, 0.0),
    }


def test_merged_shards_equal_one_run() -> None:
    rng = np.random.default_rng(0)
    whole, shards = CellMatching(), [CellMatching(), CellMatching()]
    for k in range(6):
        pred, true = (instances(rng.integers(0, 4, (5, 5))) for _ in range(2))
        whole.update(pred, true, k, group="ab"[k % 2])
        shards[k // 3].update(pred, true, k, group="ab"[k % 2])
    shards[1].merge(shards[0])
    assert shards[1].compute() == whole.compute()
    with pytest.raises(InputError, match="image 0 in both"):
        shards[1].merge(shards[0])
    with pytest.raises(InputError, match="thresholds"):
        shards[0].merge(CellMatching((0.5,)))


def test_crowd_regions_and_what_lies_in_them_are_left_out() -> None:
    true = np.array([[1, 1, 0, 2, 2, 2]] * 2)
    pred = np.array([[1, 1, 0, 2, 2, 3]] * 2)
    truth = instances(true).replace(crowd=[False, True])
    assert score(instances(pred), truth).pooled[0].fp == 0
    assert score(instances(pred), truth).pooled[0].fn == 0


def test_errors_say_what_to_do() -> None:
    one = instances(ONE)
    metric = CellMatching()
    metric.update(one, one, 3)
    with pytest.raises(InputError, match="image 3 twice"):
        metric.update(one, one, 3)
    with pytest.raises(InputError, match="expected masks"):
        metric.update(one.replace(masks=None), one)
    with pytest.raises(InputError, match="image's size"):
        metric.update(Instances.empty((9, 9)), one)
    for bad in ((), (0.0,), (0.5, 0.5), (0.5, 1.5)):
        with pytest.raises(InputError, match="ascending IoU thresholds"):
            CellMatching(bad)


def test_no_images() -> None:
    report = CellMatching().compute()
    assert (report.images, report.mean_accuracy, report.mean_accuracy_by_image) == (0, 0.0, 0.0)


def test_real_nuclei_equal_the_dense_definition(data_dir: Path) -> None:
    from scipy.optimize import linear_sum_assignment

    folder = data_dir / "dsb2018"
    with (folder / "split.csv").open() as lines:
        chosen = [row["id"] for row in csv.DictReader(lines) if row["split"] == "val"][:6]
    for name in chosen:
        true = np.asarray(Image.open(folder / "labels" / f"{name}.png")).astype(np.int64)
        pred = np.roll(true, (2, -1), (0, 1))
        n = int(max(true.max(), pred.max())) + 1
        shared = np.bincount((true * n + pred).ravel(), minlength=n * n).reshape(n, n)
        union = shared.sum(1, keepdims=True) + shared.sum(0, keepdims=True) - shared
        iou = np.divide(shared, union, out=np.zeros((n, n), np.float32), where=union > 0)[1:, 1:]
        for scores in score(instances(pred), instances(true)).pooled:
            good = iou >= np.float32(scores.threshold)
            rows, columns = linear_sum_assignment(-good.astype(float) - iou / (2 * n))
            assert scores.tp == good[rows, columns].sum()
            assert scores.tp + scores.fn == len(np.unique(true)) - 1

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial.distance import cdist

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.metrics.cell_matching import CellMatching
from delineate.metrics.crowd import CrowdErrors, judge_image
from delineate.metrics.crowd_fates import PREDICTION_FATES, TRUTH_FATES
from delineate.metrics.crowd_report import CrowdReport


def instances(labels: np.ndarray) -> Instances:
    return Instances(labels.shape, masks=Masks.from_label_image(labels))


def rows(*texts: str) -> Instances:
    """One label image row per text, doubled in height; digits are labels, dots background."""
    lines = [[0 if c == "." else int(c) for c in text] for text in texts]
    return instances(np.repeat(np.array(lines, dtype=np.int64), 2, axis=0))


def report(pred: Instances, truth: Instances, by_class: bool = False) -> CrowdReport:
    metric = CrowdErrors(by_class=by_class)
    metric.update(pred, truth)
    return metric.compute()


def fates(found: CrowdReport) -> dict[str, int]:
    return {name: getattr(found.total, name) for name in TRUTH_FATES if getattr(found.total, name)}


def kinds(found: CrowdReport) -> dict[str, int]:
    return {name: number for name, number in found.predictions.items() if number}


@pytest.mark.parametrize(
    ("pred", "true", "of_truth", "of_predictions", "merged_pairs"),
    [
        ("........", "........", {}, {}, 0),
        ("11......", "........", {}, {"spurious": 1}, 0),
        ("........", "11......", {"missed": 1}, {}, 0),
        ("11..22..", "11..22..", {"matched": 2}, {"matched": 2}, 0),
        ("1111....", "1122....", {"matched": 1, "merged": 1}, {"matched": 1}, 1),  # IoU of exactly 0.5
        ("11111111", "11122233", {"merged": 3}, {"merging": 1}, 2),
        ("11111111", "11.22.33", {"merged": 3}, {"merging": 1}, 2),  # 1 and 3 are no neighbours
        ("11111111", "1......2", {"merged": 2}, {"merging": 1}, 0),  # no neighbours, but merged
        ("11111...", "111122..", {"matched": 1, "missed": 1}, {"matched": 1}, 0),  # 2 is covered by half
        ("11112222", "11112222", {"matched": 2}, {"matched": 2}, 0),
        ("11223344", "11111111", {"split": 1}, {"part": 4}, 0),
        ("11112233", "11111111", {"matched": 1}, {"matched": 1, "fragment": 2}, 0),
        ("1.......", "11111111", {"inexact": 1}, {"inexact": 1}, 0),
        ("1..2....", "11111111", {"inexact": 1}, {"inexact": 1, "fragment": 1}, 0),  # too little for a split
        ("..111111", "111.....", {"inexact": 1}, {"inexact": 1}, 0),
        ("..111111", "1.......", {"missed": 1}, {"spurious": 1}, 0),
    ],
)
def test_table_of_fates(
    pred: str, true: str, of_truth: dict[str, int], of_predictions: dict[str, int], merged_pairs: int
) -> None:
    found = report(rows(pred), rows(true))
    assert fates(found) == of_truth
    assert kinds(found) == of_predictions
    assert found.total.merged_pairs == merged_pairs
    json.dumps(found.to_dict(), allow_nan=False)


def test_missed_beside_a_found_one_is_told_from_missed_alone() -> None:
    found = report(rows("1111............"), rows("1111.2222......3"))
    assert (found.total.missed, found.missed_beside_found) == (2, 1)
    gap = {row.name: (row.objects, row.missed, row.pairs) for row in found.by["gap"]}
    assert gap["alone"] == (1, 1, 0)
    assert gap["< 0.5"] == (2, 1, 1)


def test_a_large_object_keeps_its_match_while_it_swallows_a_small_one() -> None:
    found = report(rows("1111111."), rows("1111122."))
    assert fates(found) == {"matched": 1, "merged": 1}
    assert (found.total.merged_pairs, found.merged_objects, found.precision) == (1, 2, 1.0)


def test_the_same_object_found_twice_is_a_duplicate() -> None:
    dense = np.zeros((2, 4, 10), bool)
    dense[0, :, :6], dense[1, :, :5] = True, True
    found = report(Instances((4, 10), masks=Masks.from_dense(dense)), rows("111111....", "111111...."))
    assert kinds(found) == {"matched": 1, "duplicate": 1}


def test_nested_truths_are_no_merged_pair() -> None:
    dense = np.zeros((2, 4, 10), bool)
    dense[0], dense[1, :2, :3] = True, True
    truth = Instances((4, 10), masks=Masks.from_dense(dense))
    assert fates(report(truth[:1], truth)) == {"matched": 1, "missed": 1}
    assert report(truth[:1], truth).total.merged_pairs == 0
    assert fates(report(truth, truth)) == {"matched": 2}


def test_classes_are_looked_at_only_when_asked() -> None:
    truth, pred = rows("11112222.33333"), rows("11111111.33333")
    truth = truth.replace(labels=[0, 1, 1], classes=None)
    pred = pred.replace(labels=[0, 0], classes=truth.classes)
    free, strict = report(pred, truth), report(pred, truth, by_class=True)
    assert fates(free) == {"matched": 2, "merged": 1}
    assert fates(strict) == {"matched": 1, "merged": 1, "mislabelled": 1}
    assert kinds(strict) == {"matched": 1, "mislabelled": 1}
    for found in (free, strict):
        assert (found.total.merged_pairs, found.merged_pairs_across_classes) == (1, 1)


def test_crowd_regions_and_what_lies_in_them_are_left_out() -> None:
    truth = rows("1111..222222").replace(crowd=[False, True])
    found = report(rows("1111..223344"), truth)
    assert fates(found) == {"matched": 1}
    assert kinds(found) == {"matched": 1}


# -- against a dense re-implementation ---------------------------------------------------------------------


def scene(rng: np.random.Generator, side: int = 28) -> tuple[np.ndarray, np.ndarray]:
    """Crowded disks, and a prediction that joins, cuts, drops, moves and invents some."""
    true = np.zeros((side, side), np.int64)
    y, x = np.mgrid[:side, :side]
    for k in range(1, int(rng.integers(2, 14))):
        cy, cx, r = rng.uniform(0, side), rng.uniform(0, side), rng.uniform(1.5, 6)
        true[(y - cy) ** 2 + (x - cx) ** 2 <= r * r] = k
    pred = true.copy()
    for _ in range(int(rng.integers(0, 4))):
        a, b = rng.integers(0, 14, 2)
        pred[pred == a] = b
    cut = rng.integers(1, 14)
    pred[(pred == cut) & (x + y > rng.integers(0, 2 * side))] = 20
    pred[(pred == rng.integers(1, 14)) & (x > rng.integers(0, side))] = 0
    pred[rng.random((side, side)) < 0.05] = 0
    if rng.random() < 0.5:
        pred = np.roll(pred, tuple(rng.integers(-2, 3, 2)), (0, 1))
    return pred, true


def stack(labels: np.ndarray) -> np.ndarray:
    return np.array([labels == k for k in np.unique(labels) if k]).reshape(-1, *labels.shape)


def dense_fates(pred: np.ndarray, true: np.ndarray) -> dict[str, list[int]]:
    """The definition in plain words, over N x H x W arrays, for masks that do not overlap."""
    p, t = stack(pred), stack(true)
    shared = np.array([[(a & b).sum() for b in p] for a in t]).reshape(len(t), len(p))
    t_area, p_area = t.sum((1, 2)).reshape(-1, 1), p.sum((1, 2)).reshape(1, -1)
    iou = shared / (t_area + p_area - shared)
    assume(not (iou == 0.5).any())  # then every match is the only one possible
    covers, inside = shared / t_area > 0.5, shared / p_area > 0.5
    match = iou > 0.5
    t_fate, p_fate = (
        ["matched" if m else "" for m in match.any(1)],
        ["matched" if m else "" for m in match.any(0)],
    )
    pairs, merged_pairs = 0, 0
    diameter = np.sqrt(4 * t_area.ravel() / np.pi)
    for a, b in combinations(range(len(t)), 2):
        apart = cdist(np.argwhere(t[a]), np.argwhere(t[b])).min()
        gap = (0 if apart < 2 else apart - 1) / ((diameter[a] + diameter[b]) / 2)
        one = [k for k in range(len(p)) if covers[a, k] and covers[b, k]]
        lost = [k for k in (a, b) if t_fate[k] in ("", "merged")]
        if one and lost:
            for k in lost:
                t_fate[k] = "merged"
            for k in one:
                p_fate[k] = p_fate[k] or "merging"
        pairs += gap < 0.5
        merged_pairs += bool(gap < 0.5 and one and lost)
    for a in range(len(t)):
        parts = [k for k in range(len(p)) if inside[a, k] and not p_fate[k]]
        if not t_fate[a] and len(parts) > 1 and shared[a, parts].sum() / t_area[a, 0] > 0.5:
            t_fate[a] = "split"
            for k in parts:
                p_fate[k] = "part"
    free = (iou >= 0.1) & ~np.array(t_fate, bool)[:, None] & ~np.array(p_fate, bool)[None]
    inexact = (
        int((maximum_bipartite_matching(csr_array(free), perm_type="column") >= 0).sum()) if free.any() else 0
    )
    of_truth = [t_fate.count(name) for name in TRUTH_FATES]
    of_truth[TRUTH_FATES.index("inexact")] = inexact
    of_truth[TRUTH_FATES.index("missed")] = t_fate.count("") - inexact
    first = [p_fate.count(name) for name in ("matched", "merging", "part")]
    return {"truth": of_truth, "prediction": [*first, inexact], "pairs": [pairs, merged_pairs]}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_equals_a_dense_re_implementation(seed: int) -> None:
    pred, true = scene(np.random.default_rng(seed))
    expected = dense_fates(pred, true)
    found = report(instances(pred), instances(true))
    assert [getattr(found.total, name) for name in TRUTH_FATES] == expected["truth"]
    names = ("matched", "merging", "part", "inexact")
    assert [found.predictions[name] for name in names] == expected["prediction"]
    assert [found.total.pairs, found.total.merged_pairs] == expected["pairs"]


# -- what must always hold ---------------------------------------------------------------------------------

overlapping = st.integers(0, 2**32 - 1).map(
    lambda seed: [
        Instances((6, 7), masks=Masks.from_dense(m), labels=label, scores=score)
        for rng in [np.random.default_rng(seed)]
        for n in rng.integers(0, 7, 2)
        for m in [(rng.random((n, 6, 1)) < 0.6) & (rng.random((n, 1, 7)) < 0.6)]
        for label in [rng.integers(0, 2, n)]
        for score in [rng.integers(0, 5, n) / 4]
    ]
)
label_images = st.integers(0, 2**32 - 1).map(
    lambda seed: [instances(labels) for labels in scene(np.random.default_rng(seed))]
)


@settings(max_examples=60, deadline=None)
@given(overlapping | label_images, st.booleans())
def test_everyone_has_one_fate_and_the_parts_add_up(pair: list[Instances], by_class: bool) -> None:
    pred, truth = pair
    found = report(pred, truth, by_class)
    assert found.total.objects == (np.asarray(truth.masks.area) > 0).sum()  # type: ignore[union-attr]
    assert found.predicted == (np.asarray(pred.masks.area) > 0).sum()  # type: ignore[union-attr]
    assert sum(getattr(found.total, name) for name in TRUTH_FATES) == found.total.objects
    assert found.total.matched == found.predictions["matched"]
    assert found.total.mislabelled == found.predictions["mislabelled"]
    assert found.total.inexact == found.predictions["inexact"]
    assert found.total.merged_pairs <= found.total.pairs
    assert found.total.merged <= found.merged_objects <= found.total.objects
    assert found.missed_beside_found <= found.total.missed
    for rows_of in found.by.values():
        for name in ("objects", *TRUTH_FATES, "pairs", "merged_pairs"):
            assert sum(getattr(row, name) for row in rows_of) == getattr(found.total, name)
    cells = CellMatching((0.5,))
    cells.update(pred, truth)
    if not by_class:
        scores = cells.compute().pooled[0]
        assert (found.precision, found.recall, found.f1) == (scores.precision, scores.recall, scores.f1)


@settings(max_examples=40, deadline=None)
@given(overlapping | label_images, st.randoms(use_true_random=False))
def test_the_order_of_objects_does_not_matter(pair: list[Instances], random: object) -> None:
    pred, truth = pair
    shuffled = [o[np.array(random.sample(range(len(o)), len(o)), int)] for o in pair]  # type: ignore[attr-defined]
    assert report(*shuffled) == report(pred, truth)


@settings(max_examples=40, deadline=None)
@given(overlapping | label_images)
def test_perfect_predictions_have_no_errors(pair: list[Instances]) -> None:
    found = report(pair[1], pair[1])
    assert fates(found) == ({"matched": found.total.objects} if found.total.objects else {})
    assert kinds(found) == ({"matched": found.predicted} if found.predicted else {})
    assert (found.total.merged_pairs, found.merged_objects, found.worst) == (0, 0, ())


@settings(max_examples=40, deadline=None)
@given(label_images)
def test_joining_two_matched_predictions_cannot_raise_the_matches(pair: list[Instances]) -> None:
    pred, truth = pair
    judged = judge_image(pred, truth)
    matched = np.flatnonzero(judged.fates.prediction == PREDICTION_FATES.index("matched"))
    assume(len(matched) > 1)
    group = np.arange(len(judged.predicted))
    group[matched[1]] = matched[0]
    _, group = np.unique(group, return_inverse=True)
    joined = Instances(pred.size, masks=judged.predicted.masks.merge(group))  # type: ignore[union-attr]
    assert report(joined, truth).total.matched < report(pred, truth).total.matched


def test_merged_shards_equal_one_run() -> None:
    rng = np.random.default_rng(0)
    whole, shards = CrowdErrors(), [CrowdErrors(), CrowdErrors()]
    for k in range(6):
        pred, true = (instances(labels) for labels in scene(rng))
        whole.update(pred, true, k)
        shards[k // 3].update(pred, true, k)
    shards[1].merge(shards[0])
    assert shards[1].compute() == whole.compute()
    assert len(whole.compute().worst) == 5
    with pytest.raises(InputError, match="image 0 in both"):
        shards[1].merge(shards[0])
    with pytest.raises(InputError, match="by_class=True"):
        shards[0].merge(CrowdErrors(by_class=True))


def test_errors_say_what_to_do() -> None:
    one = rows("11..")
    metric = CrowdErrors()
    metric.update(one, one, 3)
    with pytest.raises(InputError, match="image 3 twice"):
        metric.update(one, one, 3)
    with pytest.raises(InputError, match="expected masks"):
        metric.update(one.replace(masks=None), one)
    with pytest.raises(InputError, match="image's size"):
        metric.update(Instances.empty((9, 9)), one)
    with pytest.raises(InputError, match=r"0\.5\.\.1"):
        CrowdErrors(iou=0.3)


def test_no_images() -> None:
    found = CrowdErrors().compute()
    assert (found.images, found.total.objects, found.precision, found.recall, found.f1) == (0, 0, 0, 0, 0)
    assert np.isnan(found.scores["merged_pair_rate"])
    json.dumps(found.to_dict(), allow_nan=False)


def test_pairs_joined_on_purpose_in_real_nuclei_are_found(data_dir: Path) -> None:
    from delineate.data.dataset import open_dataset

    data = open_dataset(data_dir / "dsb2018", split="val", images=False)
    joined_in_all = 0
    for index in range(12):
        truth = data.truth(index)
        judged = judge_image(truth, truth)
        group, taken = np.arange(len(judged.truth)), set()
        for a, b in zip(judged.near.first.tolist(), judged.near.second.tolist(), strict=True):
            if not {a, b} & taken:
                taken |= {a, b}
                group[b] = a
        _, group = np.unique(group, return_inverse=True)
        pred = Instances(truth.size, masks=judged.truth.masks.merge(group))  # type: ignore[union-attr]
        found = report(pred, truth)
        assert found.total.merged_pairs == len(taken) // 2
        assert found.merged_objects == len(taken)
        assert fates(found).get("merged", 0) + found.total.matched == found.total.objects
        joined_in_all += len(taken) // 2
    assert joined_in_all > 20

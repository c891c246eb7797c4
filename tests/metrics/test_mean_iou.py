from __future__ import annotations

import json

import numpy as np
import pytest
from hotcoco.metrics import mean_iou, pixel_confusion
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.core.semantic import Semantic
from delineate.metrics.mean_iou import MeanIoU

CLASSES = Labels(("a", "b", "c"))


def of(*rows: list[int]) -> Semantic:
    return Semantic(np.array(rows), CLASSES)


@pytest.mark.parametrize(
    ("pred", "truth", "expected"),
    [
        (of([0, 1, 2]), of([0, 1, 2]), (1, 1, 1, 1, 1)),
        (of([0, 1, 2]), of([-1, -1, -1]), (0, 0, 0, 0, 0)),
        (of([-1, -1]), of([0, 1]), (0, 0, 0, 0, 0)),  # void said is wrong
        (
            of([0, 0, 1, 1]),
            of([0, 0, 0, 1]),
            ((2 / 3 + 1 / 2) / 2, 0.75 * 2 / 3 + 0.25 / 2, 0.75, 5 / 6, (4 / 5 + 2 / 3) / 2),
        ),
        (of([0, 2, 2, 2]), of([0, 0, -1, -1]), (1 / 2, 1 / 2, 1 / 2, 1 / 2, 2 / 3)),  # c is not in the truth
    ],
)
def test_table(pred: Semantic, truth: Semantic, expected: tuple[float, ...]) -> None:
    metric = MeanIoU()
    metric.update(pred, truth)
    found = metric.compute()
    assert tuple(found.scores.values()) == pytest.approx(expected)
    json.dumps(found.to_dict(), allow_nan=False)
    assert str(found).startswith("mIoU ")


def test_no_images_and_absent_classes() -> None:
    assert MeanIoU().compute().mean_iou == 0
    metric = MeanIoU()
    metric.update(of([0, 1]), of([0, 1]))
    assert metric.compute().iou == {"a": 1.0, "b": 1.0, "c": None}


@given(st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_the_same_numbers_as_hotcoco(seed: int) -> None:
    rng = np.random.default_rng(seed)
    metric, pairs = MeanIoU(), np.zeros((3, 3), np.uint64)
    for _ in range(2):
        truth = rng.integers(-1, 3, (6, 9))
        truth[0, :3] = (0, 1, 2)  # every class occurs: absent ones are averaged by other rules there
        pred = rng.integers(0, 3, (6, 9))
        metric.update(Semantic(pred, CLASSES), Semantic(truth, CLASSES))
        pairs += pixel_confusion(np.where(truth < 0, 255, truth), pred, 3, ignore_index=255)
    wanted, found = mean_iou(pairs), metric.compute()
    ours = (found.mean_iou, found.weighted_iou, found.class_accuracy, found.pixel_accuracy)
    assert ours == pytest.approx(tuple(wanted[k] for k in ("mIoU", "fwIoU", "mAcc", "aAcc")))
    assert list(found.iou.values()) == pytest.approx(wanted["IoU"])


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_the_same_numbers_as_scikit_learn(seed: int) -> None:
    judge = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    truth, pred = rng.integers(0, 3, (2, 2, 5, 8))
    truth[0, 0, :3] = (0, 1, 2)
    metric = MeanIoU()
    for said, true in zip(pred, truth, strict=True):
        metric.update(Semantic(said, CLASSES), Semantic(true, CLASSES))
    found, given_to = metric.compute(), (truth.ravel(), pred.ravel())
    assert list(found.dice.values()) == judge.f1_score(*given_to, average=None).tolist()
    assert list(found.iou.values()) == judge.jaccard_score(*given_to, average=None).tolist()
    assert found.mean_dice == judge.f1_score(*given_to, average="macro")
    assert found.pixel_accuracy == judge.accuracy_score(*given_to)
    assert found.class_accuracy == pytest.approx(judge.balanced_accuracy_score(*given_to), abs=1e-15)
    weighted = judge.jaccard_score(*given_to, average="weighted")
    assert found.weighted_iou == pytest.approx(weighted, abs=1e-15)
    assert found.per_class["b"]["Dice"] == found.dice["b"]


def test_shards_and_refusals() -> None:
    one, two, both = MeanIoU(), MeanIoU(), MeanIoU()
    one.update(of([0, 1]), of([1, 1]), 1)
    two.update(of([2, 1]), of([2, 0]), 2)
    both.update(of([0, 1]), of([1, 1]), 1)
    both.update(of([2, 1]), of([2, 0]), 2)
    empty = MeanIoU()
    empty.merge(two)
    two.merge(one)
    assert two.compute() == both.compute() and empty.compute().images == 1
    with pytest.raises(InputError, match="image 1 in both"):
        two.merge(one)
    with pytest.raises(InputError, match="image 1 twice"):
        one.update(of([0]), of([0]), 1)
    with pytest.raises(InputError, match="one size"):
        one.update(of([0]), of([0, 1]))
    with pytest.raises(InputError, match="another list of classes"):
        one.update(Semantic(np.array([[0]]), Labels(("x",))), of([0]))

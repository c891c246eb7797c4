"""What the numbers of objects of each class and split say."""

from __future__ import annotations

import numpy as np
import pytest

from delineate.core.labels import Labels
from delineate.data.check.classes import Counted, check_classes, count_classes

TRAIN_VAL = {"train": 10, "val": 5}


def cell(name: str, train: int, val: int) -> Counted:
    return Counted(name, {"train": train, "val": val}, 3, 10.0)


@pytest.mark.parametrize(
    ("counted", "splits", "expected"),
    [
        ([], {}, ["no-labels"]),
        ([cell("a", 0, 0)], TRAIN_VAL, ["no-labels"]),
        ([cell("a", 200, 90)], TRAIN_VAL, []),
        ([cell("a", 200, 90)], {"train": 10}, ["no-split"]),
        ([Counted("a", {"": 200}, 3, 10.0)], {"": 10}, ["no-split"]),
        ([cell("a", 200, 90), cell("b", 5, 3)], TRAIN_VAL, ["rare"]),
        ([cell("a", 200, 90), cell("b", 0, 0)], TRAIN_VAL, ["unused"]),
        ([cell("a", 200, 90), cell("b", 0, 40)], TRAIN_VAL, ["untrained"]),
        ([cell("a", 200, 90), cell("b", 40, 0)], TRAIN_VAL, ["unscored"]),
        ([cell("a", 9000, 90), cell("b", 40, 20)], TRAIN_VAL, ["imbalance"]),
        ([cell("a", 200, 3)], TRAIN_VAL, ["small-split"]),
        ([cell("Car", 200, 90), cell("car ", 200, 90)], TRAIN_VAL, ["class-names"]),
        ([cell("left hand", 200, 90), cell("left_hand", 200, 90)], TRAIN_VAL, ["class-names"]),
        ([cell("猫", 200, 90), cell("犬", 200, 90), cell("+", 200, 90), cell("-", 99, 90)], TRAIN_VAL, []),
    ],
)
def test_advice_by_numbers(counted: list[Counted], splits: dict[str, int], expected: list[str]) -> None:
    assert [finding.kind for finding in check_classes(counted, splits)] == expected


def test_counts() -> None:
    labels = [np.array([0, 0, 1]), np.array([0]), np.zeros(0, np.int64)]
    areas = [np.array([4.0, 16.0, 9.0]), np.array([100.0]), np.zeros(0)]
    first, second, third = count_classes(Labels(("a", "b", "c")), ["train", "val", "val"], labels, areas)
    assert first == Counted("a", {"train": 2, "val": 1}, 2, 4.0) and first.total == 3
    assert second == Counted("b", {"train": 1, "val": 0}, 1, 3.0)
    assert third.total == third.images == 0 and np.isnan(third.side)


def test_counts_of_nothing() -> None:
    assert count_classes(Labels(()), [], [], []) == []

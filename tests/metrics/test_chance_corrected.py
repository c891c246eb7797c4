"""Kappa and alpha against scikit-learn and Krippendorff's own worked examples."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from delineate.core.errors import InputError
from delineate.metrics.chance_corrected import cohen_kappa, coincidences, krippendorff_alpha

# Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011: section A (binary, two observers),
# B (nominal, two observers), C (nominal, four observers, values missing as 0)
BINARY = [[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]]
NOMINAL = ["aabbdcccedda", "babbbcccEddd"]
FOUR = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
]


def test_alpha_of_two_observers() -> None:
    assert krippendorff_alpha(coincidences(BINARY, 2)) == pytest.approx(0.095, abs=5e-4)


def test_alpha_of_two_observers_and_five_values() -> None:
    values = [["abcde".index(c) for c in row.lower()] for row in NOMINAL]
    assert krippendorff_alpha(coincidences(values, 5)) == pytest.approx(0.692, abs=5e-4)


def test_alpha_of_four_observers_with_missing_values() -> None:
    assert krippendorff_alpha(coincidences(np.array(FOUR) - 1, 5)) == pytest.approx(0.743, abs=5e-4)


@pytest.mark.parametrize("seed", range(4))
def test_kappa_equals_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 4, 60)
    second = np.where(rng.random(60) < 0.6, first, rng.integers(0, 4, 60))
    table = np.zeros((4, 4), int)
    np.add.at(table, (first, second), 1)
    assert cohen_kappa(table) == pytest.approx(cohen_kappa_score(first, second))


@pytest.mark.parametrize("values", [np.zeros((2, 0)), np.zeros((2, 5)), [[0, 1], [-1, -1]]])
def test_alpha_is_undefined_without_variation_or_pairs(values: np.ndarray) -> None:
    assert np.isnan(krippendorff_alpha(coincidences(values, 2)))


def test_full_agreement_is_one_and_kappa_of_nothing_undefined() -> None:
    assert krippendorff_alpha(coincidences([[0, 1, 1], [0, 1, 1]], 2)) == 1
    assert np.isnan(cohen_kappa(np.zeros((3, 3)))) and np.isnan(cohen_kappa(np.diag([4, 0])))


def test_refuses() -> None:
    with pytest.raises(InputError, match="square"):
        cohen_kappa(np.zeros((2, 3)))
    with pytest.raises(InputError, match="number the classes"):
        coincidences([[2]], 2)

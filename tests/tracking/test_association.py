from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.tracking.association import assign, assign_all


def best_by_trying(similarity: np.ndarray, least: float) -> float:
    """The largest total of similarity - least over all one-to-one choices, by trying them."""
    worth = np.maximum(similarity - least, 0)
    if worth.shape[0] > worth.shape[1]:
        worth = worth.T
    rows = range(worth.shape[0])
    return max(
        sum(worth[r, c] for r, c in zip(rows, p, strict=True))
        for p in permutations(range(worth.shape[1]), len(rows))
    )


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 4), st.integers(0, 4), st.floats(0, 0.9), st.integers(0, 2**32 - 1))
def test_the_sum_is_the_largest(tracks: int, found: int, least: float, seed: int) -> None:
    similarity = np.random.default_rng(seed).uniform(0, 1, (tracks, found))
    rows, columns = assign(similarity, least)
    assert len(set(rows.tolist())) == len(rows)
    assert len(set(columns.tolist())) == len(columns)
    assert (similarity[rows, columns] > least).all()
    total = float((similarity[rows, columns] - least).sum())
    assert total == pytest.approx(best_by_trying(similarity, least) if tracks and found else 0)


def test_a_pair_that_is_out_of_the_question() -> None:
    rows, columns = assign(np.array([[-np.inf, 0.2], [-np.inf, 0.9]]), 0.1)
    assert (rows.tolist(), columns.tolist()) == ([1], [1])


def test_sorts_way_lets_a_poor_pair_take_part() -> None:
    similarity = np.array([[0.5, 0.1], [0.55, 0.45]])
    everything = np.ones((2, 2), dtype=np.bool_)
    assert [a.tolist() for a in assign_all(similarity, everything, 0.3)] == [[0, 1], [0, 1]]
    similarity = np.array([[0.5, 0.29], [0.55, 0.0]])  # 0.29 + 0.55 > 0.5 + 0
    assert [a.tolist() for a in assign_all(similarity, everything, 0.3)] == [[1], [0]]
    assert [a.tolist() for a in assign(similarity, 0.3)] == [[1], [0]]


def test_only_allowed_pairs() -> None:
    rows, columns = assign_all(np.ones((2, 2)), np.array([[False, True], [False, True]]), 0.5)
    assert len(rows) == 1
    assert columns.tolist() == [1]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_pair(shape: tuple[int, int]) -> None:
    assert all(len(a) == 0 for a in assign(np.zeros(shape), 0.1))
    assert all(len(a) == 0 for a in assign_all(np.zeros(shape), np.ones(shape, dtype=np.bool_), 0.1))

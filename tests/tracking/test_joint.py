"""Links and divisions chosen together, against every choice there is."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from delineate.tracking.joint import choose

NONE = (np.zeros((0, 3), np.int64), np.zeros(0))


def best(links: np.ndarray, divisions: np.ndarray, gains: np.ndarray) -> float:
    """The largest total gain, by trying all sets."""
    things = [((i,), (j,), links[i, j]) for i, j in zip(*np.nonzero(links > 0), strict=True)]
    things += [((d[0],), (d[1], d[2]), g) for d, g in zip(divisions, gains, strict=True) if g > 0]
    top = 0.0
    for k in range(1, min(links.shape) + 1):
        for some in combinations(things, k):
            rows = [i for s in some for i in s[0]]
            columns = [j for s in some for j in s[1]]
            if len(set(rows)) == len(rows) and len(set(columns)) == len(columns):
                top = max(top, sum(s[2] for s in some))
    return top


@settings(max_examples=60, deadline=None)
@given(
    links=st.tuples(st.integers(1, 3), st.integers(2, 4)).flatmap(
        lambda shape: arrays(np.float64, shape, elements=st.floats(-4, 8, width=16))
    ),
    gains=arrays(np.float64, 3, elements=st.floats(-4, 16, width=16)),
    seed=st.integers(0, 99),
)
def test_the_choice_is_the_best_of_all(links: np.ndarray, gains: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tracks, found = links.shape
    divisions = np.array([[rng.integers(tracks), *rng.choice(found, 2, replace=False)] for _ in gains])
    rows, columns, divided = choose(links, divisions, gains)
    used = [*rows, *divisions[divided, 0]], [*columns, *divisions[divided, 1:].ravel()]
    assert all(len(set(u)) == len(u) for u in used)
    total = links[rows, columns].sum() + gains[divided].sum()
    assert total == pytest.approx(best(links, divisions, gains), abs=1e-6)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (2, 0)])
def test_nobody_to_choose(shape: tuple[int, int]) -> None:
    assert [len(part) for part in choose(np.zeros(shape), *NONE)] == [0, 0, 0]


def test_what_gains_nothing_is_not_made() -> None:
    links = np.array([[-1.0, -np.inf], [0.0, np.nan]])
    assert [len(p) for p in choose(links, np.array([[0, 0, 1]]), np.array([-0.1]))] == [0, 0, 0]


def test_a_division_takes_the_daughters_from_others() -> None:
    links = np.array([[3.0, 2.0], [-np.inf, 4.0]])
    rows, columns, divided = choose(links, np.array([[0, 0, 1]]), np.array([9.0]))
    assert (rows.tolist(), columns.tolist(), divided.tolist()) == ([], [], [0])

"""Objects of several annotators, brought together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.core.masks import Masks
from delineate.metrics.annotator_groups import group_objects
from delineate.metrics.cell_matching import OverlapPairs, match_pairs


def _bars(*starts: int) -> Masks:
    """Bars ten pixels long, on a line of 60 pixels."""
    dense = np.zeros((len(starts), 1, 60), bool)
    for plane, start in zip(dense, starts, strict=True):
        plane[0, start : start + 10] = True
    return Masks.from_dense(dense)


@pytest.mark.parametrize(
    ("annotations", "wanted"),
    [
        ([_bars(), _bars()], []),
        ([_bars(0), _bars()], [[0, -1]]),
        ([_bars(0, 20), _bars(21, 1)], [[0, 1], [1, 0]]),
        ([_bars(0), _bars(1), _bars(2)], [[0, 0, 0]]),
        ([_bars(0), _bars(8)], [[0, -1], [-1, 0]]),  # IoU 1/9
        ([_bars(0, 1), _bars(0)], [[0, 0], [1, -1]]),  # an annotator stands in a group once
        ([_bars(0), _bars(3), _bars(6)], [[0, 0, -1], [-1, -1, 0]]),  # a chain is not one object
    ],
)
def test_groups(annotations: list[Masks], wanted: list[list[int]]) -> None:
    assert group_objects(annotations).tolist() == wanted


def test_masks_without_a_pixel_are_in_no_group() -> None:
    empty = Masks.from_dense(np.zeros((1, 1, 60), bool))
    assert group_objects([Masks.concatenate([empty, _bars(5)]), _bars(5)]).tolist() == [[1, 0]]


def test_refuses() -> None:
    with pytest.raises(InputError, match="one image size"):
        group_objects([Masks.empty((2, 2)), Masks.empty((3, 2))])
    with pytest.raises(InputError, match="threshold"):
        group_objects([Masks.empty((2, 2))], 0)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_two_annotators_without_overlaps_are_matched_as_cells_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = np.kron(rng.integers(0, 12, (5, 5)), np.ones((4, 4), int))
    second = np.roll(first, rng.integers(0, 3, 2), (0, 1))
    a, b = Masks.from_label_image(first), Masks.from_label_image(second)
    groups = group_objects([a, b], 0.51)
    both = groups[(groups >= 0).all(axis=1)]
    i, j = match_pairs(OverlapPairs.of(a, b), 0.51)
    assert sorted(map(tuple, both.tolist())) == sorted(zip(i.tolist(), j.tolist(), strict=True))
    assert sorted(groups[groups[:, 0] >= 0, 0].tolist()) == list(range(len(a)))

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from delineate.core.masks import Masks
from delineate.metrics.neighbours import Neighbours, pixel_distances


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_distances_equal_those_between_all_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, side = int(rng.integers(2, 7)), int(rng.integers(3, 40))
    y, x = np.mgrid[:side, :side]
    centers, reach = rng.uniform(0, side, (n, 2)), rng.uniform(0.5, side / 2, n)
    dense = np.array(
        [(y - c[0]) ** 2 + (x - c[1]) ** 2 <= r * r for c, r in zip(centers, reach, strict=True)]
    )
    dense &= rng.random(dense.shape) < rng.choice([0.2, 0.8, 1.0])
    dense = dense[dense.any((1, 2))]
    if len(dense) < 2:
        return
    i, j = np.array(list(combinations(range(len(dense)), 2))).T
    expected = [cdist(np.argwhere(dense[a]), np.argwhere(dense[b])).min() for a, b in zip(i, j, strict=True)]
    np.testing.assert_allclose(pixel_distances(Masks.from_dense(dense), i, j), expected)


def table(text: str) -> Masks:
    return Masks.from_label_image(
        np.array([[0 if c == "." else int(c) for c in line] for line in text.split()])
    )


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        (".", []),
        ("11", []),
        ("12", [(0, 1, 0.0)]),
        ("1. .2", [(0, 1, 0.0)]),  # a corner touches
        ("1.2", []),  # a pixel of background beside one-pixel objects is most of a diameter
        ("1111.2222 1111.2222 1111.2222 1111.2222", [(0, 1, 0.22)]),
        ("1111....2222 1111....2222", []),
    ],
)
def test_table_of_gaps(text: str, pairs: list[tuple[int, int, float]]) -> None:
    near = Neighbours.of(table(text))
    found = list(zip(near.first.tolist(), near.second.tolist(), near.gap.round(2).tolist(), strict=True))
    assert found == pairs


def test_no_masks_and_empty_masks_have_no_neighbours() -> None:
    assert not len(Neighbours.of(Masks.empty((4, 4))).first)
    masks = Masks.from_label_image(np.array([[1, 2]]), ids=[1, 7, 2])
    near = Neighbours.of(masks)
    assert (near.first.tolist(), near.second.tolist()) == ([0], [2])


def test_box_overlap_and_nesting() -> None:
    dense = np.zeros((3, 8, 8), bool)
    dense[0, :, :4], dense[1, :, 2:6], dense[2, :2, :2] = True, True, True
    near = Neighbours.of(Masks.from_dense(dense))
    found = {
        (a, b): k for k, (a, b) in enumerate(zip(near.first.tolist(), near.second.tolist(), strict=True))
    }
    assert near.box_iou[found[0, 1]] == pytest.approx(16 / 48)
    assert near.nested[[found[0, 1], found[0, 2]]].tolist() == [False, True]
    assert near.box_iou[found[1, 2]] == 0


def test_an_object_around_thousands_of_others_costs_little_memory() -> None:
    labels = np.zeros((400, 400), np.int64)
    labels[::4, ::4] = np.arange(1, 10001).reshape(100, 100)
    labels[labels == 0] = 20000
    near = Neighbours.of(Masks.from_label_image(labels))
    assert len(near.first) == 10000  # each touches the one around it; two dots are three diameters apart
    assert (near.gap == 0).all()

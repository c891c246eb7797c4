"""Neighbours against plain loops, and against what is known of simple arrangements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial import Voronoi

from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.measurements import Groups, measured_table, touching_pairs
from delineate.measurements.neighbours import contacts, delaunay_pairs

GROUPS = Groups(neighbours=True, radius=5)


def slow_contacts(labels: np.ndarray) -> dict[tuple[int, int], int]:
    """Shared pixel edges of every pair that touches, by looking at each pixel's four later neighbours."""
    found: dict[tuple[int, int], int] = {}
    for y, x in np.argwhere(labels > 0):
        for dy, dx, edge in ((0, 1, 1), (1, 0, 1), (1, 1, 0), (1, -1, 0)):
            v, u = y + dy, x + dx
            if v < labels.shape[0] and 0 <= u < labels.shape[1] and labels[v, u] not in (0, labels[y, x]):
                pair = tuple(sorted((int(labels[y, x]), int(labels[v, u]))))
                found[pair] = found.get(pair, 0) + edge  # type: ignore[index, arg-type, call-overload]
    return found


@settings(max_examples=60, deadline=None)
@given(arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 4)))
def test_contacts_are_those_of_a_plain_loop(labels: np.ndarray) -> None:
    masks = Masks.from_label_image(labels, ids=[1, 2, 3, 4])
    found = contacts(masks)
    pairs = zip((found.first + 1).tolist(), (found.second + 1).tolist(), strict=True)
    assert dict(zip(pairs, found.border.tolist(), strict=True)) == slow_contacts(labels)
    assert not found.overlap.any()


def test_strips_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.random.default_rng(1).integers(0, 9, (37, 23)).astype(np.int32)
    whole = contacts(Masks.from_label_image(labels))
    monkeypatch.setattr("delineate.measurements.neighbours.ROWS_AT_ONCE", 4)
    parts = contacts(Masks.from_label_image(labels))
    assert np.array_equal(whole.border, parts.border) and np.array_equal(whole.first, parts.first)


def test_overlapping_objects_touch() -> None:
    dense = np.zeros((3, 8, 8), bool)
    dense[0, 1:5, 1:5] = dense[1, 3:7, 3:7] = dense[2, 7, 0] = True
    pairs = touching_pairs(Instances((8, 8), masks=Masks.from_dense(dense)))
    assert pairs[["label", "neighbour", "overlap"]].values.tolist() == [[1, 2, 4]]


def test_a_row_of_squares() -> None:
    labels = np.zeros((4, 20), np.int32)
    for k in range(5):
        labels[1:3, 4 * k : 4 * k + 2] = k + 1
    frame = measured_table(Instances(labels.shape, masks=Masks.from_label_image(labels)), groups=GROUPS)
    assert frame["touching"].tolist() == [0] * 5
    assert frame["nearest_distance"].tolist() == [4.0] * 5
    assert frame["delaunay_neighbours"].tolist() == [1, 2, 2, 2, 1]  # on a line each knows the next
    assert frame["neighbours_within_radius"].tolist() == [1, 2, 2, 2, 1]
    assert frame["nearest_label"][0] == 2 and frame["nearest_label"][4] == 4
    assert frame.attrs["radius_px"] == 5


def test_delaunay_edges_cross_voronoi_ridges() -> None:
    points = np.random.default_rng(3).random((60, 2)) * 100
    ridges = {tuple(sorted(pair)) for pair in Voronoi(points).ridge_points.tolist()}
    assert {tuple(pair) for pair in delaunay_pairs(points).tolist()} == ridges


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_objects(count: int) -> None:
    labels = np.zeros((6, 12), np.int32)
    for k in range(count):
        labels[2, 1 + 6 * k] = k + 1
    frame = measured_table(Instances(labels.shape, masks=Masks.from_label_image(labels)), groups=GROUPS)
    assert len(frame) == count
    assert frame["delaunay_neighbours"].tolist() == [count - 1] * count
    assert frame["nearest_distance"].isna().all() == (count < 2)


def test_an_empty_mask_has_no_neighbours() -> None:
    masks = Masks.from_label_image(np.array([[1, 0, 0, 3]]), ids=[1, 2, 3])
    frame = measured_table(Instances((1, 4), masks=masks), groups=GROUPS)
    assert frame["touching"].isna().tolist() == [False, True, False]
    assert frame["nearest_label"].tolist()[::2] == [3, 1]

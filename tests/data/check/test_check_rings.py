"""Outlines that cross themselves, leave the image, or lie within one another."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.data.check.rings import beyond, crossings, within

SQUARE = np.array([[0.0, 0], [10, 0], [10, 10], [0, 10]])
BOW_TIE = np.array([[0.0, 0], [10, 10], [10, 0], [0, 10]])
# Walks along its own edge and back: touches itself, crosses nothing.
SPIKE = np.array([[0.0, 0], [10, 0], [10, 5], [15, 5], [10, 5], [10, 10], [0, 10]])


@pytest.mark.parametrize(
    ("rings", "expected"),
    [
        ([], []),
        ([SQUARE], []),
        ([SPIKE], []),
        ([SQUARE, SQUARE], []),  # two rings may cross: they are joined
        ([BOW_TIE], [0]),
        ([SQUARE, BOW_TIE, SQUARE + 3, BOW_TIE * 7 - 300], [1, 3]),
        ([np.repeat(SQUARE, 2, axis=0)], []),  # points that stand twice
    ],
)
def test_which_rings_cross_themselves(rings: list[np.ndarray], expected: list[int]) -> None:
    assert [found.ring for found in crossings(rings)] == expected


def test_where_and_how_much() -> None:
    (found,) = crossings([BOW_TIE])
    assert found.at == (5.0, 5.0) and found.cut == 25.0 and found.number == 1


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=3, max_size=14, unique=True))
def test_as_shapely_sees_it(points: list[tuple[int, int]]) -> None:
    """Shapely also refuses rings that touch themselves, so the points are moved to where none do."""
    moved = np.array(points, np.float64) + np.random.default_rng(0).uniform(-0.4, 0.4, (len(points), 2))
    simple = shapely.LinearRing(moved).is_simple
    assert bool(crossings([moved])) is not simple


@pytest.mark.parametrize(
    ("ring", "expected"),
    [(SQUARE, 0.0), (SQUARE + 5, 3.0), (SQUARE - [0, 7], 7.0), (SQUARE * 2, 8.0)],
)
def test_how_far_a_ring_leaves_an_image_of_12_by_15(ring: np.ndarray, expected: float) -> None:
    assert beyond([ring], (12, 15)).tolist() == [expected]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20)), min_size=3, max_size=8, unique=True),
    st.floats(0.05, 0.9),
    st.tuples(st.floats(-5, 15), st.floats(-5, 15)),
)
def test_within_as_shapely_sees_it(
    points: list[tuple[float, float]], scale: float, shift: tuple[float, float]
) -> None:
    outer = np.array(shapely.MultiPoint(points).convex_hull.buffer(1, quad_segs=1).exterior.coords)[:-1]
    inner = outer * scale + shift
    ring = shapely.Polygon(outer)
    apart = min(abs(ring.exterior.distance(shapely.Point(*p))) for p in inner)
    if apart > 1e-6:
        assert within(inner, outer) is bool(ring.contains(shapely.MultiPoint(inner)))


def test_very_many_edges_are_fast_enough_to_finish() -> None:
    turn = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
    circle = 500 + 400 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    assert crossings([circle]) == []
    circle[[100, 10_000]] = circle[[10_000, 100]]
    assert [found.ring for found in crossings([circle])] == [0]

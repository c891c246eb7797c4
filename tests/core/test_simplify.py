"""Simplified outlines: the bound holds, nothing crosses, round things stay round."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import MaskError
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon
from delineate.core.simplify import crossings, resample, simplify, simplify_ring


def _star(seed: int, number: int = 60) -> np.ndarray:
    """A ring around (50, 50) whose radius goes up and down."""
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.random(number)) * 2 * np.pi
    radius = (
        15
        + 10 * rng.random() * np.sin(rng.integers(1, 6) * angle)
        + rng.normal(0, 1.5 * rng.random(), number)
    )
    return 50 + np.maximum(radius, 1)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _hausdorff(a: np.ndarray, b: np.ndarray) -> float:
    return float(shapely.hausdorff_distance(shapely.LinearRing(a), shapely.LinearRing(b), densify=0.02))


@given(seed=st.integers(0, 2**31), tolerance=st.floats(0, 6))
@settings(max_examples=80, deadline=None)
def test_the_bound_holds(seed: int, tolerance: float) -> None:
    ring = _star(seed)
    found = simplify_ring(ring, tolerance)
    assert 3 <= len(found.ring) <= len(ring)
    assert found.bound <= tolerance + 1e-9 or len(found.ring) == 3
    assert _hausdorff(ring, found.ring) <= found.bound + 1e-6


@given(seed=st.integers(0, 2**31), tolerance=st.floats(0, 4))
@settings(max_examples=40, deadline=None)
def test_objects_with_holes_and_parts_do_not_cross(seed: int, tolerance: float) -> None:
    rng = np.random.default_rng(seed)
    image = np.kron(rng.random((9, 9)) < 0.6, np.ones((3, 3))) > 0
    parts = Masks.from_dense(image[None]).to_polygons()[0]
    found, bound = simplify(parts, tolerance, image.shape)
    assert len(crossings([ring for part in found for ring in part.rings])) == 0
    assert [len(part.holes) for part in found] == [len(part.holes) for part in parts]
    for old, new in zip(parts, found, strict=True):
        for one, other in zip(old.rings, new.rings, strict=True):
            assert _hausdorff(one, other) <= bound + 1e-6
            assert other.min() >= 0 and other.max() <= 27


def test_zero_keeps_the_outline() -> None:
    square = np.array([[0.0, 0], [2, 0], [4, 0], [4, 4], [0, 4], [0, 4]])
    found = simplify_ring(square, 0)
    assert found.bound == 0 and sorted(map(tuple, found.ring)) == [(0, 0), (0, 4), (4, 0), (4, 4)]


@pytest.mark.parametrize("radius", [6, 15, 60])
def test_circles_keep_their_area(radius: int) -> None:
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    circle = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found = simplify_ring(circle, 1.0).ring
    assert Polygon(found).area == pytest.approx(Polygon(circle).area, rel=0.03)


def test_a_triangle_is_left() -> None:
    thin = np.array([[0.0, 0], [10, 0.2], [20, 0], [10, 0.4]])
    assert len(simplify_ring(thin, 5).ring) == 3
    small = np.array([[0.0, 0], [1, 0], [0, 1]])
    assert simplify_ring(small, 5).ring.tolist() == small.tolist()


def test_resample() -> None:
    ring = _star(3)
    dense = resample(ring, 1.5)
    assert np.hypot(*(np.roll(dense, -1, 0) - dense).T).max() <= 1.5 + 1e-9
    assert Polygon(dense).area == pytest.approx(Polygon(ring).area)
    assert _hausdorff(ring, dense) < 1e-9


@pytest.mark.parametrize("seed", range(20))
def test_crossings_as_shapely_sees_them(seed: int) -> None:
    ring = np.random.default_rng(seed).random((6, 2))
    assert (len(crossings([ring])) == 0) == shapely.is_valid(shapely.Polygon(ring))


@pytest.mark.parametrize("chunk", [1, 50, 1 << 21])
def test_crossings_as_counted_pair_by_pair(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delineate.core.simplify.CHUNK", chunk)
    rings = [np.random.default_rng(seed).random((9, 2)) for seed in range(4)]
    edges = [
        shapely.LineString([a, b])
        for ring in rings
        for a, b in zip(ring, np.roll(ring, -1, axis=0), strict=True)
    ]
    wanted = sum(a.crosses(b) for k, a in enumerate(edges) for b in edges[:k])
    assert len(crossings(rings)) == wanted > 0


def test_nothing_and_nonsense() -> None:
    assert simplify([], 1.0) == ([], 0.0) and len(crossings([])) == 0
    with pytest.raises(MaskError, match="tolerance >= 0"):
        simplify_ring([[0, 0], [1, 0], [0, 1]], -1)
    with pytest.raises(MaskError, match="at least 3 points"):
        simplify_ring([[0, 0], [1, 0]], 1)

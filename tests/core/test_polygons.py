from __future__ import annotations

import math
from typing import Any

import numpy as np
import pycocotools.mask as coco
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from delineate.core.errors import MaskError
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon, validate

# pycocotools 2.0.11 makes arrays the old way
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
COORDINATE = st.one_of(st.integers(-5, 45).map(float), st.floats(-5, 45, width=32))


def peer(parts: list[list[float]], h: int, w: int) -> Any:
    return coco.decode(coco.merge(coco.frPyObjects(parts, h, w)))


@given(
    st.lists(
        st.lists(COORDINATE, min_size=6, max_size=16).map(lambda v: v[: len(v) // 2 * 2]),
        min_size=1,
        max_size=3,
    )
)
def test_coco_lists_are_pycocotools(parts: list[list[float]]) -> None:
    masks = Masks.from_polygons([parts], (40, 37))
    np.testing.assert_array_equal(masks.dense()[0], peer(parts, 40, 37))


def test_a_hole_comes_back() -> None:
    ring = np.ones((5, 6), dtype=bool)
    ring[2, 2:4] = False
    (part,) = Masks.from_dense(ring[None]).to_polygons()[0]
    assert part.exterior.tolist() == [[0, 0], [6, 0], [6, 5], [0, 5]]
    assert [sorted(h.tolist()) for h in part.holes] == [[[2, 2], [2, 3], [4, 2], [4, 3]]]
    assert part.area == 28 and part.bounds == (0, 0, 6, 5)
    assert Masks.from_polygons([[part]], (5, 6)).dense()[0].tolist() == ring.tolist()


def test_nested_parts_and_holes() -> None:
    image = np.zeros((15, 15), dtype=bool)
    for k in range(0, 7, 2):  # ring in ring in ring
        image[k : 15 - k, k : 15 - k] = True
        image[k + 1 : 14 - k, k + 1 : 14 - k] = False
    parts = Masks.from_dense(image[None]).to_polygons()[0]
    assert [len(p.holes) for p in parts] == [1, 1, 1, 1]
    for p in parts:
        x1, y1, x2, y2 = p.bounds
        assert p.holes[0].min(axis=0).tolist() == [x1 + 1, y1 + 1]
        assert p.holes[0].max(axis=0).tolist() == [x2 - 1, y2 - 1]


def test_corner_to_corner_pixels_are_parts() -> None:
    parts = Masks.from_dense(np.eye(3, dtype=bool)[None]).to_polygons()[0]
    assert [p.area for p in parts] == [1, 1, 1]
    # a ring with a gap that touches the outside only at a corner: one part, and every ring simple
    image = np.ones((4, 4), dtype=bool)
    image[0, 0] = image[1, 1] = False
    (part,) = Masks.from_dense(image[None]).to_polygons()[0]
    assert len(part.holes) == 1
    for ring in part.rings:
        assert len(np.unique(ring, axis=0)) == len(ring)


@given(arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_outlines_are_valid_geometry(mask: Any) -> None:
    shapely = pytest.importorskip("shapely")
    ndimage = pytest.importorskip("scipy.ndimage")
    parts = Masks.from_dense(mask[None]).to_polygons()[0]
    assert len(parts) == ndimage.label(mask)[1]
    for part in parts:
        shape = shapely.Polygon(part.exterior, part.holes)
        assert shape.is_valid and shape.area == part.area
        for ring in part.rings:
            assert len(np.unique(ring, axis=0)) == len(ring)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 1.0, 2.0, 5.0]))
def test_simplified_rings_stay_near(seed: int, tolerance: float) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:40, :40]
    angle = np.arctan2(y - 20, x - 20)
    radius = 12 + 3 * np.sin(angle * rng.integers(2, 7) + rng.random() * 6)
    masks = Masks.from_dense((np.hypot(y - 20, x - 20) < radius)[None])
    exact, fewer = masks.to_polygons()[0], masks.to_polygons(tolerance)[0]
    assert len(fewer) == len(exact)
    for p, q in zip(exact, fewer, strict=True):
        assert 3 <= len(q.exterior) <= len(p.exterior)
        assert max(_distance(point, q.exterior) for point in p.exterior) <= tolerance + 1e-4


def _distance(point: Any, ring: Any) -> float:
    a, b = ring, np.roll(ring, -1, axis=0)
    along = np.clip(((point - a) * (b - a)).sum(1) / ((b - a) ** 2).sum(1), 0, 1)[:, None]
    return float(np.hypot(*(point - a - along * (b - a)).T).min())


def test_pixel_centres_decide() -> None:
    triangle = Polygon(np.array([[0, 0], [4, 0], [0, 4]]))
    expected = [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    dense = Masks.from_polygons([[triangle]], (4, 4)).dense()[0].astype(int)
    assert (
        np.abs(dense - expected).sum() == 0 or (dense - expected)[np.arange(4), 3 - np.arange(4)].sum() >= 0
    )
    small = Polygon(np.array([[0.6, 0.6], [0.9, 0.6], [0.9, 0.9], [0.6, 0.9]]))
    assert Masks.from_polygons([[small]], (4, 4)).area.tolist() == [0]


def test_beyond_the_image() -> None:
    huge = Polygon(np.array([[-1e9, -1e9], [1e9, -1e9], [1e9, 1e9], [-1e9, 1e9]]))
    flat = [-1e9, -1e9, 1e9, -1e9, 1e9, 1e9, -1e9, 1e9]
    away = [100.0, 100, 120, 100, 120, 120]
    masks = Masks.from_polygons([[huge], [flat], [away], [[v + 1e7 for v in away]]], (30, 20))
    assert masks.area.tolist() == [600, 600, 0, 0]


def test_parts_of_both_kinds_join() -> None:
    square = Polygon(np.array([[0, 0], [2, 0], [2, 2], [0, 2]]))
    masks = Masks.from_polygons([[square, [4.0, 0, 6, 0, 6, 2, 4, 2]], [square, square]], (4, 8))
    assert masks.area.tolist() == [8, 4]
    assert square.to_coco() == [0, 0, 2, 0, 2, 2, 0, 2]


@pytest.mark.parametrize(
    "part",
    [
        [1.0, 1, 5, 5],
        [1.0, 1, 5, 5, 9],
        [],
        [1, 1, math.inf, 5, 9, 9],
        [1, 1, math.nan, 5, 9, 9],
        [1, 1, 1e308, 5, 9, 9],
        [10**400, 1, 1, 5, 9, 9],
        [[1, 1], [5, 5], [9, 1]],
        ["1", "1", "5", "5", "9", "1"],
        [True, 1, 5, 5, 9, 9],
        "polygon",
        None,
        {"x": 1},
    ],
)
def test_malformed(part: Any) -> None:
    with pytest.raises(MaskError, match=r"annotation 3, polygon 1: expected .*got "):
        Masks.from_polygons([[[0, 0, 2, 0, 2, 2], part]], (9, 9), names=["annotation 3"])


@pytest.mark.parametrize("parts", [[], None, "ab", 3, {"counts": "0"}])
def test_objects_without_parts(parts: Any) -> None:
    with pytest.raises(MaskError, match=r"object 0: expected "):
        Masks.from_polygons([parts], (9, 9))


@pytest.mark.parametrize(
    "ring",
    [[[0, 0], [1, 1]], [[0, 0, 1], [1, 1, 1], [2, 2, 2]], [0, 1, 2], [[0, 0], [1, math.nan], [2, 2]], "x"],
)
def test_malformed_rings(ring: Any) -> None:
    with pytest.raises(MaskError):
        validate(ring)
    with pytest.raises(MaskError):
        Polygon(np.array([[0, 0], [2, 0], [2, 2]]), (ring,))

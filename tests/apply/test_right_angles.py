"""Right angles for buildings, alone and in rows."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.affinity import rotate

from delineate.apply.coverage import noded, simplified
from delineate.apply.right_angles import direction_of, square
from delineate.core.convert.shapely import from_shapely, to_shapely
from delineate.core.masks import Masks

L_SHAPE = shapely.Polygon([(20, 20), (70, 20), (70, 45), (45, 45), (45, 70), (20, 70)])


def masked(shapes: list, size: tuple[int, int] = (120, 120)) -> np.ndarray:
    masks = Masks.from_polygons([from_shapely(s) for s in shapes], size)
    return to_shapely(noded(masks.to_polygons()))


def corners(shape: shapely.Polygon) -> np.ndarray:
    ring = shapely.get_coordinates(shape.exterior)[:-1]
    side = np.roll(ring, -1, axis=0) - ring
    before = np.roll(side, 1, axis=0)
    cosine = (side * before).sum(axis=1) / np.linalg.norm(side, axis=1) / np.linalg.norm(before, axis=1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 90))
def test_a_turned_building_gets_its_corners_back(angle: float) -> None:
    true = rotate(L_SHAPE, angle)
    exact = masked([true])
    found = square(simplified(exact, 2.0), exact, 6.0)
    assert found.done.all()
    assert np.allclose(corners(found.shapes[0]), 90)
    assert len(corners(found.shapes[0])) == 6
    off = (found.direction[0] - angle + 45) % 90 - 45
    assert abs(off) < 3  # walls of 25 pixels tell no more
    assert found.shapes[0].area == pytest.approx(exact[0].area, rel=1e-9)  # the mask's area is kept
    shared = found.shapes[0].intersection(true).area
    assert shared / found.shapes[0].union(true).area > 0.95


def test_a_row_of_houses_keeps_its_party_walls() -> None:
    houses = [
        rotate(shapely.box(20 + 15 * k, 30, 35 + 15 * k, 55 + 4 * k), 17, origin=(50, 50)) for k in range(4)
    ]
    exact = masked(houses)
    found = square(simplified(exact, 1.5), exact, 4.5)
    assert found.done.all()
    assert len(set(found.direction.round(9))) == 1
    assert shapely.coverage_is_valid(found.shapes)
    assert np.isclose(shapely.union_all(found.shapes).area, shapely.area(found.shapes).sum())
    for shape in found.shapes:
        turn = corners(shape)
        assert np.allclose(np.minimum(turn, np.abs(turn - 90)), 0, atol=1e-4)  # right, or straight on


def test_neighbours_that_do_not_touch_stay_apart() -> None:
    rng = np.random.default_rng(1)
    houses = [
        rotate(shapely.box(x, y, x + 14, y + 11), rng.uniform(0, 90))
        for x in range(5, 100, 17)
        for y in range(5, 100, 17)
    ]
    parted = [shapely.difference(h, shapely.union_all(houses[:k])) for k, h in enumerate(houses)]
    exact = masked(parted)
    found = square(simplified(exact, 1.0), exact, 3.0)
    i, j = shapely.STRtree(found.shapes).query(found.shapes, predicate="intersects")
    assert (
        shapely.area(shapely.intersection(found.shapes[i[i < j]], found.shapes[j[i < j]])).max(initial=0) == 0
    )
    assert found.done.any()


def test_what_is_not_square_is_left_as_it_was() -> None:
    star = shapely.Polygon(
        [
            (60 + r * np.cos(t), 60 + r * np.sin(t))
            for t, r in zip(np.linspace(0, 6, 14), [50, 12] * 7, strict=True)
        ]
    )
    exact = masked([star])
    few = simplified(exact, 1.5)
    found = square(few, exact, 4.5)
    assert not found.done[0] and np.isnan(found.direction[0])
    assert found.shapes[0].equals(few[0])


def test_holes_stay_and_nothing_gives_nothing() -> None:
    court = L_SHAPE.difference(shapely.box(25, 25, 40, 40))
    exact = masked([court])
    found = square(simplified(exact, 1.5), exact, 4.5)
    assert len(found.shapes[0].interiors) == 1
    none = square(exact[:0], exact[:0], 1.0)
    assert len(none.shapes) == len(none.done) == 0


def test_long_edges_say_the_direction() -> None:
    edges = np.array([[10.0, 0], [0, 10], [-10, 0.2], [1, 1], [-1, 1.2]])
    assert abs(np.degrees(direction_of(edges))) < 2

"""Exact arithmetic on masks against plain pictures, OpenCV and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from delineate.core.errors import InputError
from delineate.core.masks import Masks
from delineate.server.shapes import both, filled, joined, minus, of_rings, parts, split, within
from delineate.server.strokes import line_pixels, stroke

SIZE = (24, 30)
FOUR = ndimage.generate_binary_structure(2, 1)


@st.composite
def pictures(draw: st.DrawFn) -> NDArray[np.bool_]:
    """Noise of any density, from empty to full."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.random(SIZE) < draw(st.sampled_from([0, 0.02, 0.3, 0.6, 0.9, 1]))


def mask(picture: NDArray[np.bool_]) -> Masks:
    return Masks.from_dense(picture[None])


def picture(masks: Masks, i: int = 0) -> NDArray[np.bool_]:
    return masks.dense()[i]


@given(pictures(), pictures())
def test_set_arithmetic_is_that_of_pictures(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> None:
    assert (picture(minus(mask(a), mask(b))) == (a & ~b)).all()
    assert (picture(both(mask(a), mask(b))) == (a & b)).all()
    assert (picture(joined([mask(a), mask(b)])) == (a | b)).all()
    assert minus(mask(a), mask(b)) == mask(a & ~b)  # canonical runs: equal masks are equal


@given(pictures())
def test_parts_and_filling_agree_with_scipy(a: NDArray[np.bool_]) -> None:
    labels, count = ndimage.label(a, FOUR)
    found = parts(mask(a))
    assert len(found) == count and sorted(found.area) == sorted(np.bincount(labels.ravel())[1:])
    assert (found.dense().sum(0) == a).all() and (np.diff(found.area) <= 0).all()
    whole = [ndimage.binary_fill_holes(labels == k) for k in range(1, min(count, 40) + 1)]
    if 0 < count <= 40:  # a hole is background that one part encloses
        assert (picture(filled(mask(a))) == np.any(whole, axis=0)).all()


@settings(max_examples=60)
@given(st.data())
def test_a_stroke_is_all_pixels_within_the_radius(data: st.DataObject) -> None:
    number = st.floats(-6, 36, allow_nan=False, width=32)
    points = np.array(data.draw(st.lists(st.tuples(number, number), min_size=1, max_size=5)), np.float64)
    radius = data.draw(st.floats(0.1, 12))
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    begin, end = (points[:-1], points[1:]) if len(points) > 1 else (points, points)
    distance = np.full(SIZE, np.inf)
    for p, q in zip(begin, end, strict=True):
        along = q - p
        share = ((x - p[0]) * along[0] + (y - p[1]) * along[1]) / max(along @ along, 1e-30)
        share = np.clip(share, 0, 1)
        distance = np.minimum(distance, np.hypot(x - p[0] - share * along[0], y - p[1] - share * along[1]))
    got = picture(stroke(points, radius, SIZE))
    visited = line_pixels(points, SIZE)
    assert got[visited[:, 1], visited[:, 0]].all()
    got[visited[:, 1], visited[:, 0]] = distance[visited[:, 1], visited[:, 0]] <= radius
    clear = np.abs(distance - radius) > 1e-6  # rounding may go either way on the rim itself
    assert (got == (distance <= radius))[clear].all()


@settings(max_examples=80)
@given(pictures(), st.data())
def test_split_keeps_every_pixel_once(a: NDArray[np.bool_], data: st.DataObject) -> None:
    number = st.floats(-5, 35, allow_nan=False, width=32)
    line = np.array(data.draw(st.lists(st.tuples(number, number), min_size=2, max_size=4)), np.float64)
    try:
        pieces = split(mask(a), line)
    except InputError:
        return
    assert len(pieces) >= 2 and (pieces.area > 0).all()
    assert (pieces.dense().sum(0) == a).all()


def test_split_of_a_square_by_hand() -> None:
    square = np.zeros(SIZE, np.bool_)
    square[2:12, 3:23] = True
    halves = split(mask(square), np.array([[13.0, 0], [13.0, 20]]))
    assert halves.area.sum() == 200 and len(halves) == 2 and abs(int(halves.area[0]) - 100) <= 10
    three = split(mask(square), np.array([[8.0, 0], [8, 14], [18, 14], [18, 0]]))
    assert len(three) == 3
    with pytest.raises(InputError, match="line across"):
        split(mask(square), np.array([[13.0, 0], [13, 6]]))  # ends inside
    with pytest.raises(InputError, match="line across"):
        split(mask(square), np.array([[0.0, 20], [29, 20]]))  # passes by
    with pytest.raises(InputError, match="several parts"):
        split(mask(square), np.zeros((0, 2)))
    square[15:20, 5:10] = True
    assert split(mask(square), np.zeros((0, 2))).area.tolist() == [200, 25]
    cut = split(mask(square), np.array([[13.0, 0], [13, 13]]))  # the part that is not touched stays
    assert len(cut) == 2 and cut.area.sum() == 225


def test_rings_are_even_odd() -> None:
    outer = np.array([[2.0, 2], [12, 2], [12, 12], [2, 12]])
    hole, island = outer * 0.6 + 2.8, outer * 0.2 + 5.6
    other = outer + np.array([15.0, 5])
    rings = of_rings([hole, outer, other, island], SIZE)
    assert rings.area[0] == 100 - 36 + 4 + 100
    assert within([outer, other], SIZE) and not within([outer - 3], SIZE)
    with pytest.raises(InputError, match="at least one ring"):
        of_rings([], SIZE)


def test_nothing_and_everything() -> None:
    empty, full = mask(np.zeros(SIZE, np.bool_)), mask(np.ones(SIZE, np.bool_))
    assert minus(empty, full) == empty and minus(full, empty) == full and minus(full, full) == empty
    assert len(parts(empty)) == 0 and filled(empty) == empty and filled(full) == full


@pytest.mark.parametrize(
    ("points", "radius"),
    [
        (np.zeros((0, 2)), 1.0),
        (np.zeros((1, 2)), 0.0),
        (np.zeros((1, 2)), 1e9),
        (np.zeros((200_000, 2)), 1.0),
    ],
)
def test_strokes_out_of_range_are_refused(points: NDArray[np.float64], radius: float) -> None:
    with pytest.raises(InputError, match="stroke"):
        stroke(points, radius, SIZE)


def test_a_stroke_on_a_large_image_costs_what_the_stroke_costs() -> None:
    found = stroke(np.array([[100.0, 100], [9900, 9900]]), 3, (10_000, 10_000))
    assert found.nbytes < 200_000 and 0.9 < found.area[0] / (9800 * 2**0.5 * 6) < 1.1

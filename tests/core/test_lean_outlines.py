"""Outlines of few points against the masks they were made of."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from delineate.core.lean_outlines import lean_outlines
from delineate.core.masks import Masks


def picture(seed: int, share: float) -> Masks:
    return Masks.from_dense(np.random.default_rng(seed).random((4, 11, 13)) < share)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1))
def test_the_same_pixels(seed: int, share: float) -> None:
    masks = picture(seed, share)
    lean = lean_outlines(masks)
    assert [bool(parts) for parts in lean] == [area > 0 for area in masks.area.tolist()]
    for i, parts in enumerate(lean):
        if parts:
            assert Masks.from_polygons([parts], masks.size) == masks[i]


def test_none_and_one_pixel() -> None:
    assert lean_outlines(Masks.empty((3, 3))) == []
    one = Masks.from_dense(np.ones((1, 1, 1), np.bool_))
    assert Masks.from_polygons(lean_outlines(one), (1, 1)) == one


@pytest.mark.parametrize(("radius", "most"), [(5, 14), (20, 40), (60, 128)])
def test_few_points(radius: int, most: int) -> None:
    disc: NDArray[np.bool_] = np.hypot(*np.mgrid[-70:71, -70:71]) < radius
    ((polygon,),) = lean_outlines(Masks.from_dense(disc[None]))
    assert len(polygon.exterior) <= most


def test_another_rasteriser_gives_the_same_pixels() -> None:
    """OpenCV's test of a point against a contour, at every pixel's centre."""
    masks = picture(3, 0.7)
    for i, parts in enumerate(lean_outlines(masks)):
        dense = masks[i].dense()[0]
        rings = [ring.astype(np.float32) for part in parts for ring in part.rings]
        for (y, x), inside in np.ndenumerate(dense):
            crossed = sum(cv2.pointPolygonTest(r, (x + 0.5, y + 0.5), False) > 0 for r in rings)
            assert crossed % 2 == inside

"""Outlines moved to the edges of images that are known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.apply.refine import RefineSettings, arcs, evolve, refine_masks
from delineate.core.errors import InputError
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon


def _disc(x: float, y: float, radius: float, size: tuple[int, int] = (80, 100)) -> np.ndarray:
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    return np.hypot(columns - x, rows - y) < radius


def _wheel(x: float, y: float, radius: float, points: int, wobble: float, seed: int = 0) -> Polygon:
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False) + rng.random()
    ring = np.array([x, y]) + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return Polygon(ring + rng.normal(0, wobble, ring.shape))


def _iou(a: Masks, b: np.ndarray) -> float:
    return float(a.iou(Masks.from_dense(b[None]))[0, 0])


@pytest.mark.parametrize("channels", [(), (1,), (3,), (5,)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_rough_polygons_come_nearer(channels: tuple[int, ...], kind: type) -> None:
    truth = _disc(50, 40, 22)
    noise = np.random.default_rng(1).normal(0, 12, (80, 100, *channels))
    image = (60 + 100 * truth.reshape(80, 100, *(1 for _ in channels)) + noise).clip(0).astype(kind)
    rough = _wheel(50, 40, 22, 10, 1.5)
    masks = Masks.from_polygons([[rough]], (80, 100))
    found = refine_masks(image, masks, [[rough]])
    assert _iou(masks, truth) < 0.93 < 0.95 < _iou(found, truth)


def test_trusted_points_give_the_curve_through_them() -> None:
    truth, flat = _disc(50, 40, 22), np.zeros((80, 100), np.uint8)
    rough = _wheel(50, 40, 22, 8, 0)
    masks = Masks.from_polygons([[rough]], (80, 100))
    found = refine_masks(flat, masks, [[rough]], RefineSettings(trust=1))
    assert _iou(masks, truth) < 0.93 < 0.98 < _iou(found, truth)


def test_neighbours_keep_their_pixels() -> None:
    left, right = _disc(40, 40, 15), _disc(64, 40, 15) & ~_disc(40, 40, 15)
    image = (np.where(left, 90, 0) + np.where(right, 200, 0)).astype(np.uint8)
    masks = Masks.from_dense(np.stack([left, right]))
    found = refine_masks(image, masks)
    assert (found.dense().sum(axis=0) <= 1).all()
    assert _iou(found[0], left) > 0.97 and _iou(found[1], right) > 0.97


def test_far_edges_are_out_of_reach() -> None:
    image = np.where(_disc(50, 40, 34), 200, 0)
    masks = Masks.from_dense(_disc(50, 40, 15)[None])
    found = refine_masks(image, masks, settings=RefineSettings(reach=0.1))
    assert found.dense()[0][~_disc(50, 40, 15 + 4.5)].sum() == 0


@pytest.mark.parametrize("points", [8, 12, 30])
def test_arcs_are_what_a_polygon_cuts_off(points: int) -> None:
    wheel = _wheel(0, 0, 10, points, 0)
    assert arcs(wheel.exterior) == pytest.approx(100 * np.pi - wheel.area, rel=0.1)
    assert arcs(wheel.exterior[::-1]) == pytest.approx(arcs(wheel.exterior))


def test_corners_are_no_arcs() -> None:
    assert arcs(np.array([[0.0, 0], [9, 0], [9, 5], [0, 5]])) == 0


@given(seed=st.integers(0, 2**31), trust=st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_any_masks_and_image(seed: int, trust: float) -> None:
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, 5, (4, 5)), np.ones((7, 6), int))
    masks = Masks.from_label_image(labels, np.arange(1, 6))
    image = rng.integers(0, 256, (28, 30, 3)) if seed % 2 else np.full((28, 30), 7)
    found = refine_masks(image, masks, masks.to_polygons(), RefineSettings(reach=0.3, trust=trust))
    assert len(found) == len(masks) and found.size == masks.size
    assert found.dense().sum(axis=0).max(initial=0) <= 1
    assert ((found.area > 0) == (masks.area > 0)).all()


def test_nothing_to_refine() -> None:
    assert len(refine_masks(np.zeros((9, 9)), Masks.empty((9, 9)))) == 0
    whole, none = np.ones((9, 9), bool), np.zeros((9, 9), bool)
    pixels = np.zeros((9, 9, 1), np.float32)
    assert evolve(pixels, none, none, 1.0).sum() == 0
    assert evolve(pixels, whole, none, 1.0).sum() > 0


def test_refuses() -> None:
    with pytest.raises(InputError, match="image of the masks"):
        refine_masks(np.zeros((8, 9)), Masks.empty((9, 9)))
    with pytest.raises(InputError, match="reach"):
        RefineSettings(reach=0)
    with pytest.raises(InputError, match="trust"):
        RefineSettings(trust=2)

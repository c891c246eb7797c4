"""Markers, coins and rulers in rendered photographs whose scale is known exactly."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from delineate.apply.crops import sizes
from delineate.apply.plane_scale import local_scale
from delineate.apply.scale_coin import coin_scale, find_coin
from delineate.apply.scale_marker import dictionary_names, find_markers, marker_scale
from delineate.apply.scale_ruler import find_ruler, ruler_scale
from delineate.core.errors import InputError
from delineate.data.synthetic.produce import Produce, ProduceSettings, produce_scene


@cache
def scene(seed: int = 0, **settings) -> Produce:
    return produce_scene(ProduceSettings(**{"fruit": 8, "markers": 0, **settings}), seed)


@pytest.mark.parametrize("tilt, turn", [(0, 0), (10, 10), (30, -8)])
def test_fruit_is_measured_through_the_markers_plane(tilt: float, turn: float) -> None:
    picture = scene(markers=4, tilt=tilt, turn=turn)
    corners, ids = find_markers(picture.image, "DICT_4X4_50")
    assert len(ids) >= 2
    scale = marker_scale(corners, 30)
    assert ("straight on" in scale.source) == (tilt == 0)
    found = sizes(picture.instances, scale)
    assert np.abs(found.diameter() / picture.diameters - 1).max() < 0.006
    assert (np.abs(found.diameter() - picture.diameters) < 2 * found.diameter_error()).all()
    assert np.abs(found.axis_major_length / picture.axes[:, 0] - 1).max() < 0.012


def test_one_marker_tells_that_it_is_less_sure_far_away() -> None:
    picture = scene(markers=1, tilt=20)
    corners, _ = find_markers(picture.image, "4x4_50")
    scale = marker_scale(corners, 30)
    near, far = corners[0].mean(axis=0), np.array([1100.0, 850.0])
    error = scale.error_at([near, far])
    assert error[0] < 0.004 < 0.02 < error[1]
    true = local_scale(np.linalg.inv(picture.to_image), [near, far])
    assert (np.abs(scale.mm_per_pixel([near, far]) / true - 1) < 3 * error + 1e-3).all()


def test_a_wrong_side_is_told_as_given() -> None:
    picture = scene(markers=1)
    corners, _ = find_markers(picture.image, "4X4_50")
    right, double = (marker_scale(corners, side).mm_per_pixel([[600, 450]])[0] for side in (30, 60))
    assert double == pytest.approx(2 * right)
    for wrong in (0, -3, float("nan")):
        with pytest.raises(InputError, match="side above 0"):
            marker_scale(corners, wrong)


def test_pictures_without_a_marker() -> None:
    corners, ids = find_markers(np.full((200, 300, 3), 128, np.uint8), "5X5_100")
    assert corners.shape == (0, 4, 2) and not len(ids)
    with pytest.raises(InputError, match="expected a dictionary among"):
        find_markers(np.zeros((50, 50), np.uint8), "9X9_50")
    assert "APRILTAG_36H11" in dictionary_names()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_coin_seen_straight_on(seed: int) -> None:
    picture = scene(seed, coin=True)
    assert picture.coin is not None
    near, fruit = (tuple(picture.coin), None) if seed else (None, picture.instances)
    scale = coin_scale(find_coin(picture.image, near, fruit), 25)
    assert scale.mm_per_pixel([picture.coin])[0] == pytest.approx(400 / 1300, rel=0.012)
    assert "straight on" in scale.source


def test_a_coin_tells_what_it_does_not_know_of_a_tilt() -> None:
    picture = scene(coin=True, tilt=15)
    scale = coin_scale(find_coin(picture.image, None, picture.instances), 25, 0, 1200)
    found = sizes(picture.instances, scale)
    assert (np.abs(found.diameter() - picture.diameters) < 2.5 * found.diameter_error()).all()
    assert scale.error_at([picture.coin])[0] < 0.01 < scale.error_at([[600, 850]])[0]


def test_no_coin() -> None:
    empty = np.full((300, 400, 3), 190, np.uint8)
    with pytest.raises(InputError, match="no round outline"):
        find_coin(empty)
    with pytest.raises(InputError, match="expected a coin at that point"):
        find_coin(empty, (20.0, 20.0))
    picture = scene(coin=True)
    with pytest.raises(InputError, match="diameter above 0"):
        coin_scale(find_coin(picture.image, tuple(picture.coin)), 0)


@pytest.mark.parametrize("turn", [0, 14])
def test_a_ruler_is_found_and_read(turn: float) -> None:
    picture = scene(ruler=True, turn=turn)
    assert picture.ruler is not None
    ruler = find_ruler(picture.image, None if turn else tuple(picture.ruler.ravel()))
    scale = ruler_scale(ruler, 1.0)
    assert ruler.marks > 30
    assert scale.mm_per_pixel([[600, 450]])[0] == pytest.approx(400 / 1300, rel=0.005)
    assert ruler_scale(ruler, 2.0).mm_per_pixel([[0, 0]])[0] == pytest.approx(800 / 1300, rel=0.005)


def test_no_ruler() -> None:
    empty = np.full((300, 400, 3), 190, np.uint8)
    with pytest.raises(InputError, match="even marks in the picture"):
        find_ruler(empty)
    with pytest.raises(InputError, match="along that line"):
        find_ruler(empty, (10.0, 10.0, 300.0, 10.0))
    with pytest.raises(InputError, match="at least 20 pixels"):
        find_ruler(empty, (10.0, 10.0, 12.0, 10.0))

import numpy as np
import pytest

from delineate.apply.birds_eye import MARGIN, PAPER, Frame, Way, birds_eye


def way(number, points, seen=None, ahead=()):
    points = np.asarray(points, float)
    places = np.asarray(ahead, float).reshape(-1, 2)
    spread = np.repeat(np.eye(2)[None], len(places), axis=0)
    return Way(number, points, np.ones(len(points), bool) if seen is None else seen, places, spread)


def test_ahead_is_up_and_left_is_left():
    frame = Frame((0.0, -5.0), (20.0, 5.0), 10.0, forward=True)
    assert frame.size == (100 + 2 * MARGIN, 200 + 2 * MARGIN)
    pixels = frame.pixel(np.array([[20.0, 5.0], [0.0, -5.0]])) - MARGIN
    np.testing.assert_allclose(pixels, [[0, 0], [100, 200]])
    flat = Frame((0.0, 0.0), (20.0, 10.0), 10.0, forward=False)
    np.testing.assert_allclose(flat.pixel(np.array([[20.0, 10.0]])) - MARGIN, [[200, 100]])


@pytest.mark.parametrize("unit", ["m", "px"])
def test_ways_are_drawn_in_their_colours(unit):
    ways = [way(3, [[0, 0], [10, 5], [20, 0]], ahead=[[22, 0]]), way(8, [[5, -5], [5, 5]])]
    picture = birds_eye(ways, unit, np.zeros(2))
    pixels = np.asarray(picture)
    assert pixels.ndim == 3 and max(picture.size) <= 1000 + 2 * MARGIN + 2
    colours = {tuple(c) for c in pixels.reshape(-1, 3).tolist()}
    assert PAPER in colours and len(colours) > 4
    assert picture.tobytes() == birds_eye(ways, unit, np.zeros(2)).tobytes()


@pytest.mark.parametrize("ways", [[], [way(1, [[4.0, 4.0]])], [way(1, [[0, 0], [1e6, 0]])]])
def test_nothing_one_point_and_a_long_line(ways):
    assert min(birds_eye(ways, "m").size) > 2 * MARGIN

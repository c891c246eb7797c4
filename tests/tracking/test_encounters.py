import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.tracking.encounters import collisions, times_to_collision


def one(place, velocity, heading, size):
    return [np.array([v], float) for v in (place, velocity, heading, size)]


@pytest.mark.parametrize(
    ("first", "second", "seconds"),
    [
        # (place, velocity, heading, (length, width)); a car 4 x 2 unless told
        (((0, 0), (10, 0), 0, (4, 2)), ((24, 0), (0, 0), 0, (4, 2)), 2.0),
        (((0, 0), (10, 0), 0, (4, 2)), ((24, 2.1), (0, 0), 0, (4, 2)), np.inf),  # beside it
        (((0, 0), (10, 0), 0, (4, 2)), ((24, 0), (5, 0), 0, (4, 2)), 4.0),  # catching up
        (((0, 0), (5, 0), 0, (4, 2)), ((24, 0), (10, 0), 0, (4, 2)), np.inf),  # falling behind
        (((0, 0), (10, 0), 0, (4, 2)), ((20, -20), (0, 10), np.pi / 2, (4, 2)), 1.7),  # a crossing
        (((0, 0), (10, 0), 0, (4, 2)), ((20, -60), (0, 10), np.pi / 2, (4, 2)), np.inf),  # gone by then
        (((0, 0), (1, 0), 0, (4, 2)), ((1, 0), (1, 0), 0, (4, 2)), 0.0),  # touching already
        (((0, 0), (0, 0), 0, (4, 2)), ((9, 0), (0, 0), 0, (4, 2)), np.inf),  # both stand
    ],
)
def test_times_by_hand(first, second, seconds):
    found = times_to_collision(*one(*first), tuple(one(*second)))
    np.testing.assert_allclose(found, [seconds])
    np.testing.assert_allclose(times_to_collision(*one(*second), tuple(one(*first))), [seconds])


def corners(place, heading, size):
    turn = np.array([[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]])
    box = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * np.array(size) / 2
    return box @ turn.T + place


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_shapely_sees_the_first_touch(data):
    from shapely.geometry import Polygon

    number = st.floats(-20, 20)
    sides = [
        [(data.draw(number), data.draw(number)), (data.draw(number), data.draw(number)),
         data.draw(st.floats(-3, 3)), (data.draw(st.floats(0.5, 8)), data.draw(st.floats(0.5, 3)))]
        for _ in range(2)
    ]  # fmt: skip
    ttc = float(times_to_collision(*one(*sides[0]), tuple(one(*sides[1])))[0])

    def gap(t):
        shapes = [Polygon(corners(np.array(s[0]) + t * np.array(s[1]), s[2], s[3])) for s in sides]
        return shapes[0].distance(shapes[1])

    if np.isfinite(ttc):
        assert gap(ttc) < 1e-6
        before = np.linspace(0, max(ttc - 1e-3, 0), 30)[:-1] if ttc > 2e-3 else []
        assert all(gap(t) > 0 for t in before)
    else:
        assert all(gap(t) > 0 for t in np.linspace(0, 4, 40))


def rows(*participants):
    """Participants as (track, class, x, y, speed, heading in degrees) of one frame."""
    table = pd.DataFrame(
        participants, columns=["track", "class", "x_m", "y_m", "speed_m_s", "heading_deg"]
    ).astype({"heading_deg": float})
    return table.assign(frame=3, time_s=0.1)


def test_each_gets_its_soonest_collision():
    table = rows(
        (1, "car", 0, 0, 10, 0), (2, "car", 30, 0, 0, np.nan), (3, "car", 54.4, 0, 10, 180),
        (4, "car", 0, 50, 10, 0),
    )  # fmt: skip
    pairs = collisions(table, 10.0)
    np.testing.assert_allclose(table["ttc_s"], [2.5, 1.98, 1.98, np.nan], atol=0.1)
    assert table["ttc_with"].tolist() == [3, 3, 2, 0]
    assert pairs[["track", "other"]].to_numpy().tolist() == [[2, 3], [1, 3], [1, 2]]
    assert pairs["ttc_s"].is_monotonic_increasing


def test_nobody_and_one():
    empty = rows()
    assert not len(collisions(empty, 10.0)) and list(empty["ttc_with"]) == []
    assert not len(collisions(rows((1, "person", 0, 0, 1, 0)), 10.0))

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.tracking.forecast import ForecastSettings, _turned, forecast
from delineate.tracking.smooth import SmoothSettings, TrackBatch, singer, smooth


def batch(places, step=0.1, sd=0.1, seen=None, acceleration=1.0, turning=0.3):
    """(T, N, 2) places, sighted with a noise of sd."""
    length, count = places.shape[:2]
    times = np.repeat(np.arange(length)[:, None] * step, count, axis=1)
    return TrackBatch(
        times, places, np.broadcast_to(np.eye(2) * sd**2, (length, count, 2, 2)).copy(),
        np.ones((length, count), bool) if seen is None else seen,
        np.full(count, acceleration), np.full(count, turning), np.ones(count),
    )  # fmt: skip


def line(length=60, speed=(8.0, -2.0), step=0.1):
    return (np.arange(length)[:, None] * step * np.array(speed))[:, None]


def circle(length=60, speed=8.0, rate=0.5, step=0.1):
    t = np.arange(length) * step
    return (speed / rate * np.stack([np.sin(rate * t), 1 - np.cos(rate * t)], axis=1))[:, None]


@pytest.mark.parametrize(
    ("step", "memory"),
    [(0.04, 1.5), (1.0, 0.7), (0.0, 1.5), (3.0, 20.0), (1.5, 1.5), (9.0, 1.5), (1800.0, 1.5)],
)
def test_singers_closed_form(step, memory):
    """Transition and noise as Singer's paper and Bar-Shalom et al. (2001), section 8.2.2 have them."""
    a, t = 1 / memory, step
    e = np.exp(-a * t)
    move = [[1, t, (a * t - 1 + e) / a**2], [0, 1, (1 - e) / a], [0, 0, e]]
    found, noise = singer(step, memory)
    np.testing.assert_allclose(found, move, atol=1e-12)
    q11 = (1 - e**2 + 2 * a * t + 2 * (a * t) ** 3 / 3 - 2 * (a * t) ** 2 - 4 * a * t * e) / (2 * a**5)
    q12 = (e**2 + 1 - 2 * e + 2 * a * t * e - 2 * a * t + (a * t) ** 2) / (2 * a**4)
    q13 = (1 - e**2 - 2 * a * t * e) / (2 * a**3)
    q22 = (4 * e - 3 - e**2 + 2 * a * t) / (2 * a**3)
    q23 = (e**2 + 1 - 2 * e) / (2 * a**2)
    q33 = (1 - e**2) / (2 * a)
    expected = 2 * a * np.array([[q11, q12, q13], [q12, q22, q23], [q13, q23, q33]])
    np.testing.assert_allclose(noise, expected, rtol=1e-6, atol=1e-10)


def test_a_straight_line_without_noise_is_kept():
    state, cov = smooth(batch(line(), sd=1e-3))
    np.testing.assert_allclose(state[:, 0, :2], line()[:, 0], atol=1e-3)
    np.testing.assert_allclose(state[5:-5, 0, 2:4], np.broadcast_to((8.0, -2.0), (50, 2)), atol=0.02)
    assert (np.linalg.eigvalsh(cov[:, 0]) > -1e-9).all()


def test_smoothing_is_the_best_linear_estimate():
    """The smoother against the conditional mean of one large Gaussian, solved at once by numpy."""
    rng = np.random.default_rng(3)
    tracks = batch(line(12) + rng.normal(0, 0.2, (12, 1, 2)), sd=0.2)
    plain = SmoothSettings(outlier=np.inf)
    state, cov = smooth(tracks, plain)
    move, noise = singer(0.1, plain.memory)
    start = np.diag([1e3 + 1e3 * 2 * 0.04, plain.start_speed**2, 1.0])
    prior = np.zeros((36, 36))
    one = start
    blocks = []
    for k in range(12):
        one = one if k == 0 else move @ one @ move.T + noise
        blocks.append(one)
    for i in range(12):
        for j in range(i, 12):
            cross = np.linalg.matrix_power(move, j - i) @ blocks[i]
            prior[3 * j : 3 * j + 3, 3 * i : 3 * i + 3] = cross
            prior[3 * i : 3 * i + 3, 3 * j : 3 * j + 3] = cross.T
    look = np.kron(np.eye(12), [[1.0, 0, 0]])
    for axis in (0, 1):
        seen = tracks.places[:, 0, axis]
        mean = np.zeros(36)
        mean[::3] = seen[0]
        gain = prior @ look.T @ np.linalg.inv(look @ prior @ look.T + 0.04 * np.eye(12))
        best = mean + gain @ (seen - look @ mean)
        left = prior - gain @ look @ prior
        np.testing.assert_allclose(state[:, 0, axis::2].ravel(), best, atol=1e-6)
        ours = cov[:, 0][:, axis::2, axis::2]
        theirs = np.stack([left[3 * k : 3 * k + 3, 3 * k : 3 * k + 3] for k in range(12)])
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_noise_is_smoothed_and_known():
    rng = np.random.default_rng(0)
    truth = np.repeat(line(80), 200, axis=1)
    state, cov = smooth(batch(truth + rng.normal(0, 0.3, truth.shape), sd=0.3))
    off = state[:, :, :2] - truth
    assert np.sqrt((off**2).mean()) < 0.15
    told = np.sqrt(cov[:, :, 0, 0].mean())
    assert 0.8 < told / np.sqrt((off**2).mean()) < 1.6


def test_gaps_are_bridged_and_less_certain():
    seen = np.ones((60, 1), bool)
    seen[20:35] = False
    state, cov = smooth(batch(line(), sd=0.05, seen=seen))
    np.testing.assert_allclose(state[20:35, 0, :2], line()[20:35, 0], atol=0.15)
    assert cov[27, 0, 0, 0] > 4 * cov[10, 0, 0, 0]


def test_one_wild_place_does_little():
    wild = line()
    wild[30] += 8.0
    state, _ = smooth(batch(wild, sd=0.1))
    free, _ = smooth(batch(wild, sd=0.1), SmoothSettings(outlier=np.inf))
    off, worse = (np.abs(s[30, 0, :2] - line()[30, 0]).max() for s in (state, free))
    assert off < 0.8 and off < worse / 2


def test_tracks_do_not_know_each_other():
    rng = np.random.default_rng(1)
    three = np.concatenate([line(), circle(), line(speed=(0, 0))], axis=1)
    three = three + rng.normal(0, 0.1, three.shape)
    together, _ = smooth(batch(three))
    ahead = forecast(batch(three))
    for n in range(3):
        alone, _ = smooth(batch(three[:, n : n + 1]))
        np.testing.assert_allclose(alone[:, 0], together[:, n], atol=1e-9)
        own = forecast(batch(three[:, n : n + 1]))
        np.testing.assert_allclose(own.places[:, 0], ahead.places[:, n], atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(
    vx=st.floats(-30, 30), vy=st.floats(-30, 30), rate=st.floats(-2, 2), step=st.floats(0, 3)
)  # fmt: skip
def test_a_turn_is_a_circle(vx, vy, rate, step):
    """Against fine steps of the differential equation, and its slope against differences."""
    state = np.array([[1.0, 2.0, vx, vy, rate]])
    found, slope = _turned(state, np.array([step]))
    fine = np.linspace(0, step, 4001)
    c, s = np.cos(rate * fine), np.sin(rate * fine)
    path = np.trapezoid(np.stack([c * vx - s * vy, s * vx + c * vy]), fine, axis=1)
    np.testing.assert_allclose(found[0, :2], [1 + path[0], 2 + path[1]], atol=1e-4)
    tiny = 1e-6
    ends = np.stack([
        (_turned(state + d, np.array([step]))[0] - _turned(state - d, np.array([step]))[0])[0] / (2 * tiny)
        for d in tiny * np.eye(5)
    ], axis=1)  # fmt: skip
    np.testing.assert_allclose(slope[0], ends, atol=2e-3)


def test_a_straight_way_is_foretold():
    told = forecast(batch(line(), sd=0.05), ForecastSettings(horizons=(1.0, 2.0)))
    ahead = line()[-1, 0] + np.array([[8, -2], [16, -4.0]])
    np.testing.assert_allclose(told.places[-1, 0], ahead, atol=0.3)
    assert told.turning[-1, 0] < 0.5
    spread = np.trace(told.spread[-1, 0], axis1=1, axis2=2)
    assert 0 < spread[0] < spread[1]


def test_a_bend_is_foretold_better_than_by_going_straight():
    told = forecast(batch(circle(), sd=0.02), ForecastSettings(horizons=(2.0,)))
    longer = circle(80)
    ahead = longer[79, 0]
    straight = told.now[-1, 0, :2] + 2 * told.now[-1, 0, 2:4]
    off = np.linalg.norm(told.places[-1, 0, 0] - ahead)
    assert off < 0.35 * np.linalg.norm(straight - ahead)
    assert told.turning[-1, 0] > 0.8
    assert told.now[-1, 0, 4] == pytest.approx(0.5, abs=0.1)


def test_nothing_is_known_ahead_of_time():
    """What a filter told at step k does not depend on what came after."""
    way = circle()
    other = way.copy()
    other[40:] += 5.0
    one, two = forecast(batch(way)), forecast(batch(other))
    np.testing.assert_array_equal(one.places[:40], two.places[:40])


def test_frames_half_an_hour_apart():
    """Nothing is smoothed then, and nothing overflows."""
    way = line(20, step=1800.0)
    for found in (smooth(batch(way, step=1800.0))[0], forecast(batch(way, step=1800.0)).now):
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found[:, 0, :2], way[:, 0], atol=0.5)


def test_one_sighting_and_none():
    state, _ = smooth(batch(line(1)))
    assert state.shape == (1, 1, 6) and np.isfinite(state).all()
    nothing = batch(np.zeros((1, 0, 2)))
    assert smooth(nothing)[0].shape == (1, 0, 6)
    assert forecast(nothing).places.shape == (1, 0, 4, 2)

"""The four small filters of a track are the one large filter of the textbook."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.tracking.kalman import Kalman
from delineate.tracking.motion import CentreArea, CentreAspect, CentreSize

MOTIONS = (CentreSize(), CentreArea(), CentreAspect())


class Textbook:
    """Kalman 1960 with full 8 x 8 matrices."""

    def __init__(self, value, var, speed_var):
        self.x = np.concatenate((value, np.zeros(4)))
        self.p = np.diag(np.concatenate((var, speed_var)))

    def predict(self, dt, noise, speed_noise):
        f = np.eye(8)
        f[:4, 4:] = dt * np.eye(4)
        self.x = f @ self.x
        self.p = f @ self.p @ f.T + dt * np.diag(np.concatenate((noise, speed_noise)))

    def update(self, measured, noise):
        h = np.eye(4, 8)
        gain = self.p @ h.T @ np.linalg.inv(h @ self.p @ h.T + np.diag(noise))
        self.x = self.x + gain @ (measured - h @ self.x)
        self.p = (np.eye(8) - gain @ h) @ self.p


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_textbooks_filter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    value, var, speed_var = rng.uniform(1, 50, (3, 5, 4))
    filters = Kalman()
    filters.add(value, var, speed_var)
    books = [Textbook(value[k], var[k], speed_var[k]) for k in range(5)]
    for _ in range(20):
        dt, noise, speed_noise = rng.uniform(0.2, 3), *rng.uniform(0.1, 2, (2, 5, 4))
        filters.predict(dt, noise, speed_noise)
        rows = np.flatnonzero(rng.random(5) < 0.7)
        measured, error = rng.normal(20, 10, (len(rows), 4)), rng.uniform(0.1, 5, (len(rows), 4))
        filters.update(rows, measured, error)
        for k, book in enumerate(books):
            book.predict(dt, noise[k], speed_noise[k])
        for row, z, r in zip(rows, measured, error, strict=True):
            books[row].update(z, r)
    for k, book in enumerate(books):
        np.testing.assert_allclose(np.r_[filters.value[k], filters.speed[k]], book.x, rtol=1e-9)
        np.testing.assert_allclose(np.r_[filters.var[k], filters.speed_var[k]], np.diag(book.p), rtol=1e-9)
        np.testing.assert_allclose(filters.cov[k], np.diag(book.p[:4, 4:]), rtol=1e-9)


def test_a_state_can_be_gone_back_to() -> None:
    filters = Kalman()
    filters.add(*np.full((3, 2, 4), 7.0))
    state = filters.state
    filters.predict(1, np.ones((2, 4)), np.ones((2, 4)))
    copy = filters.taken(np.array([1]))
    filters.restore(np.array([0]), state[:1])
    np.testing.assert_array_equal(filters.state[0], state[0])
    np.testing.assert_array_equal(filters.state[1], copy.state[0])
    assert (filters.state[1] != state[1]).any()


def test_no_filters_at_all() -> None:
    filters = Kalman()
    filters.predict(1, np.zeros((0, 4)), np.zeros((0, 4)))
    filters.update(np.zeros(0, dtype=np.int64), np.zeros((0, 4)), np.zeros((0, 4)))
    filters.keep(np.zeros(0, dtype=np.bool_))
    assert len(filters) == 0


@given(
    st.sampled_from(MOTIONS),
    st.tuples(*(st.floats(-500, 500) for _ in range(2)), *(st.floats(0.5, 500) for _ in range(2))),
)
def test_boxes_come_back_from_their_numbers(motion, box) -> None:
    x, y, width, height = box
    boxes = np.array([[x, y, x + width, y + height]])
    np.testing.assert_allclose(motion.boxes(motion.measure(boxes)), boxes, atol=1e-6)


@pytest.mark.parametrize("motion", MOTIONS)
def test_impossible_numbers_give_a_box_that_can_be(motion) -> None:
    boxes = motion.boxes(np.array([[5.0, 5.0, -3.0, -3.0]]))
    assert np.isfinite(boxes).all()
    assert (boxes[:, 2:] >= boxes[:, :2]).all()


def test_a_shrinking_area_stops_before_nothing() -> None:
    settled = CentreArea().settled(
        np.array([[0, 0, 10.0, 1], [0, 0, 10.0, 1]]),
        np.array([[1.0, 1, -10, 0], [1, 1, -9, 0]]),
        np.zeros(2, dtype=np.bool_),
    )
    assert settled[:, 2].tolist() == [0, -9]


@pytest.mark.parametrize(
    ("motion", "still"), [(CentreSize(), [2, 3]), (CentreAspect(), [3])], ids=["size", "aspect"]
)
def test_a_lost_object_keeps_its_size(motion, still: list[int]) -> None:
    settled = motion.settled(np.ones((2, 4)), np.ones((2, 4)), np.array([True, False]))
    assert np.flatnonzero(settled[0] == 0).tolist() == still
    assert (settled[1] == 1).all()

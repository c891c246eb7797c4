import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.data.synthetic.traffic import CLASSES, TrafficSettings, crowded, traffic
from delineate.tracking.ground import Camera

CAMERA = Camera((900.0, 900.0), (639.5, 359.5), 6.0, pitch=12.0)
SMALL = TrafficSettings(frames=40, participants=10)


def test_speeds_and_headings_are_those_of_the_places():
    street = traffic(CAMERA.projection, 1, SMALL)
    x, y, heading, speed, push, turn = np.moveaxis(street.states, 2, 0)
    step = 1 / SMALL.rate
    moved = np.stack([np.diff(x, axis=0), np.diff(y, axis=0)], axis=-1) / step
    np.testing.assert_allclose(np.linalg.norm(moved, axis=-1), speed[:-1], atol=0.15)
    gone = np.linalg.norm(moved, axis=-1) > 0.5
    way = np.arctan2(moved[..., 1], moved[..., 0])
    off = (way - heading[:-1] + np.pi) % (2 * np.pi) - np.pi
    assert np.abs(off[gone]).max() < 0.05
    np.testing.assert_allclose(np.cumsum(push, axis=0)[-2] * step, speed[-1] - speed[0], atol=0.4)
    assert np.abs(turn).max() < 1


def test_same_seed_same_street_and_nearer_hides_farther():
    one, two = (traffic(CAMERA.projection, 4, SMALL) for _ in range(2))
    hidden = 0
    for k in range(0, 40, 13):
        frame = one[k]
        np.testing.assert_array_equal(frame.truth.boxes, two[k].truth.boxes)
        assert frame.truth.masks.union().area.sum() == frame.truth.masks.area.sum()
        assert (frame.visible <= 1).all() and (frame.whole >= frame.truth.masks.area).all()
        hidden += int((frame.visible < 0.9).sum())
        nearest = int(np.argmin(frame.distance))
        assert frame.visible[nearest] == 1
    assert hidden > 0
    assert not np.array_equal(traffic(CAMERA.projection, 5, SMALL).states, one.states)


def test_a_box_stands_where_the_camera_sees_it():
    """The lowest row of a whole mask is the nearest corner of the footprint, by the camera's own plane."""
    from delineate.tracking.ground import Ground

    ground = Ground.of_camera(CAMERA)
    frame = traffic(CAMERA.projection, 2, SMALL)[10]
    alone = (frame.visible == 1) & (frame.truth.boxes[:, 3] < 715) & (frame.distance > 15)
    for k in np.flatnonzero(alone).tolist():
        x, y, heading = frame.states[k, :3]
        c, s = np.cos(heading), np.sin(heading)
        half = frame.bodies[k, :2] / 2
        corners = [(x + a * half[0] * c - b * half[1] * s, y + a * half[0] * s + b * half[1] * c)
                   for a in (-1, 1) for b in (-1, 1)]  # fmt: skip
        lowest = ground.to_image(np.array(corners))[:, 1].max()
        assert abs(lowest - frame.truth.boxes[k, 3]) < 1.5


def test_no_participants_and_crowds():
    empty = traffic(CAMERA.projection, 0, TrafficSettings(frames=3, participants=0))
    assert len(empty) == 3 and len(empty[1].truth) == 0 and empty[1].truth.classes == CLASSES
    assert crowded(SMALL, 1.0).participants == 40 and crowded(SMALL, 0.0) == SMALL


def test_wrong_settings_are_told():
    with pytest.raises(InputError, match="shape"):
        traffic(np.eye(3))
    with pytest.raises(InputError, match="shares"):
        TrafficSettings(pedestrians=0.9, riders=0.9)
    with pytest.raises(InputError, match="crowding"):
        crowded(SMALL, 2)

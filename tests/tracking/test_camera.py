import cv2
import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.tracking.camera import STILL, Camera

SIZE = (240, 320)


def world(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 255, (SIZE[0] + 80, SIZE[1] + 80, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.5), None, 0, 255, cv2.NORM_MINMAX)


def seen(scene: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """The picture once the camera moved: content at x goes to ``motion`` applied to x."""
    offset = np.array([[1, 0, -40], [0, 1, -40], [0, 0, 1.0]])
    full = np.vstack((motion, [0, 0, 1])) @ offset
    return cv2.warpAffine(scene, full[:2], SIZE[::-1], flags=cv2.INTER_LINEAR)


MOVES = {
    "pan": np.array([[1, 0, 6.5], [0, 1, -3.25]]),
    "zoom": np.array([[1.03, 0, -4], [0, 1.03, -3]]),
    "roll": np.array([[np.cos(0.02), -np.sin(0.02), 3], [np.sin(0.02), np.cos(0.02), -2]]),
}


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("kind", ["colour", "grey", "deep"])
def test_a_known_motion_is_found(name: str, kind: str) -> None:
    camera, nobody = Camera(), Instances.empty(SIZE)
    turn = {
        "colour": lambda p: p,
        "grey": lambda p: p[..., 0],
        "deep": lambda p: p[..., 0].astype(np.uint16) * 200,
    }[kind]
    np.testing.assert_array_equal(camera.step(turn(seen(world(), STILL)), nobody), STILL)
    motion = camera.step(turn(seen(world(), MOVES[name])), nobody)
    corners = np.array([[0, 0, 1], [SIZE[1], 0, 1], [0, SIZE[0], 1], [SIZE[1], SIZE[0], 1]], dtype=float)
    np.testing.assert_allclose(corners @ motion.T, corners @ MOVES[name].T, atol=0.6)


def test_frames_larger_than_looked_at() -> None:
    camera, nobody = Camera(longest=160), Instances.empty(SIZE)
    camera.step(seen(world(), STILL), nobody)
    motion = camera.step(seen(world(), MOVES["zoom"]), nobody)
    middle = np.array([SIZE[1] / 2, SIZE[0] / 2, 1])
    np.testing.assert_allclose(middle @ motion.T, middle @ MOVES["zoom"].T, atol=0.5)


def test_a_large_object_that_moves_is_not_the_camera() -> None:
    still, walker = seen(world(), STILL), seen(world(1), STILL)
    first, second = still.copy(), still.copy()
    first[40:200, 60:220] = walker[40:200, 60:220]
    second[40:200, 68:228] = walker[40:200, 60:220]
    camera = Camera()
    camera.step(first, Instances(SIZE, boxes=np.array([[60, 40, 220, 200]])))
    motion = camera.step(second, Instances(SIZE, boxes=np.array([[68, 40, 228, 200]])))
    np.testing.assert_allclose(motion, STILL, atol=0.05)


@pytest.mark.parametrize("pixels", [np.zeros((*SIZE, 3), np.uint8), np.full(SIZE, np.nan, np.float32)])
def test_frames_that_show_nothing(pixels: np.ndarray) -> None:
    camera, nobody = Camera(), Instances.empty(SIZE)
    for _ in range(3):
        np.testing.assert_array_equal(camera.step(pixels, nobody), STILL)


def test_a_frame_is_missing_in_between() -> None:
    camera, nobody = Camera(), Instances.empty(SIZE)
    camera.step(seen(world(), STILL), nobody)
    np.testing.assert_array_equal(camera.step(None, nobody), STILL)
    np.testing.assert_array_equal(camera.step(seen(world(), MOVES["pan"]), nobody), STILL)


def test_a_frame_of_another_size() -> None:
    with pytest.raises(InputError, match="frame"):
        Camera().step(np.zeros((10, 10), np.uint8), Instances.empty(SIZE))

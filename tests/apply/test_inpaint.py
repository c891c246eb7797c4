"""Backgrounds found again in other frames of standing and moving cameras, against the true background."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from delineate.apply.inpaint import Backdrop, camera_step, fill

H, W = 120, 160


@pytest.fixture(scope="module")
def ground() -> NDArray[np.uint8]:
    """A wide textured background."""
    rng = np.random.default_rng(4)
    fine = sum(cv2.resize(rng.normal(0, 40, (H // s, 2 * W // s, 3)), (2 * W, H)) for s in (4, 10, 30))
    return np.clip(fine + 120, 0, 255).astype(np.uint8)


def film(
    ground: NDArray[np.uint8], pan: float, count: int = 24
) -> list[tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.uint8]]]:
    """Frames in which a disk crosses, the disk's mask, and the true background."""
    made = []
    for t in range(count):
        shift = np.array([[1, 0, -pan * t], [0, 1, 0.0]])
        back = cv2.warpAffine(ground, shift, (W, H), flags=cv2.INTER_LINEAR)
        noise = np.random.default_rng(t).normal(0, 1.5, back.shape)
        seen = np.clip(back + noise, 0, 255).astype(np.uint8)
        mask = np.zeros((H, W), np.uint8)
        cv2.circle(mask, (20 + 5 * t, 60), 16, 1, -1)
        seen[mask > 0] = (250, 40, 40)
        made.append((seen, cv2.dilate(mask, np.ones((5, 5))) > 0, back))
    return made


@pytest.mark.parametrize("pan", [0.0, 1.5])
def test_the_background_is_taken_from_other_frames(ground: NDArray[np.uint8], pan: float) -> None:
    frames = film(ground, pan)
    backdrop, apart, made_up = Backdrop(), [], []
    nothing = np.zeros((H, W), np.bool_)
    for seen, hole, _ in frames:
        backdrop.see(seen, hole, nothing)
    for seen, hole, back in frames:
        got = backdrop.fill(seen, hole)
        assert np.array_equal(got[~hole], seen[~hole])
        apart.append(np.sqrt(((got[hole].astype(float) - back[hole]) ** 2).mean()))
        made_up.append(np.sqrt(((fill(seen, hole)[hole].astype(float) - back[hole]) ** 2).mean()))
    assert np.mean(apart[2:-2]) < 5.0
    assert np.mean(apart[2:-2]) < 0.3 * np.mean(made_up[2:-2])


def test_frame_by_frame_only_what_is_past_is_known(ground: NDArray[np.uint8]) -> None:
    backdrop = Backdrop()
    nothing = np.zeros((H, W), np.bool_)
    for t, (seen, hole, back) in enumerate(film(ground, 0.0)):
        backdrop.see(seen, hole, nothing)
        got = backdrop.fill(seen, hole)
        if t > 16:  # the disk has moved on from where it was
            assert np.sqrt(((got[hole].astype(float) - back[hole]) ** 2).mean()) < 12


@pytest.mark.parametrize("move", [(3.0, -2.0), (0.0, 0.0), (-6.5, 1.25)])
def test_the_cameras_motion_is_measured(ground: NDArray[np.uint8], move: tuple[float, float]) -> None:
    first = cv2.cvtColor(ground[:, 40 : 40 + W], cv2.COLOR_RGB2GRAY)
    path = np.array([[1, 0, move[0] - 40], [0, 1, move[1]]])
    second = cv2.warpAffine(
        cv2.cvtColor(ground, cv2.COLOR_RGB2GRAY), path, (W, H), borderMode=cv2.BORDER_REFLECT
    )
    step = camera_step(first, second, np.ones((H, W), np.bool_))
    assert np.allclose(step[:2, 2], move, atol=0.25) and np.allclose(step[:2, :2], np.eye(2), atol=0.01)


def test_a_blank_wall_shows_no_motion() -> None:
    blank = np.full((60, 80), 90, np.uint8)
    assert np.array_equal(camera_step(blank, blank, np.ones((60, 80), np.bool_)), np.eye(3))


def test_a_photographs_hole_is_filled_and_the_rest_stays(ground: NDArray[np.uint8]) -> None:
    hole = np.zeros((H, W), np.bool_)
    hole[50:70, 60:80] = True
    picture = ground[:, :W].copy()
    picture[hole] = (255, 0, 255)
    got = fill(picture, hole)
    assert np.array_equal(got[~hole], picture[~hole])
    assert abs(got[hole].astype(float) - ground[:, :W][hole]).mean() < 45
    assert np.array_equal(fill(picture, np.zeros((H, W), np.bool_)), picture)

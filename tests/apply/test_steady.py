"""Edges calmed in time: less flicker where nothing moves, nothing left behind where something does."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.apply.composite import grown
from delineate.apply.steady import Held, Motion, Steady

SIZE = (120, 160)


def scene(x: float, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A textured square at ``x`` on textured ground with some noise, and its mask."""
    rng = np.random.default_rng(9)
    ground = cv2.GaussianBlur(rng.normal(0, 60, SIZE), (0, 0), 3) * 4 + 110
    square = cv2.GaussianBlur(rng.normal(0, 60, (40, 40)), (0, 0), 2) * 3 + 180
    picture, mask = ground.copy(), np.zeros(SIZE, np.bool_)
    at = np.s_[40:80, round(x) : round(x) + 40]
    picture[at], mask[at] = square, True
    picture += np.random.default_rng(seed).normal(0, 2, SIZE)
    return np.repeat(np.clip(picture, 0, 255).astype(np.uint8)[..., None], 3, 2), mask


def trembling(mask: NDArray[np.bool_], seed: int) -> NDArray[np.float32]:
    """Alpha whose outline is pushed to and fro by two pixels."""
    dx, dy = np.random.default_rng(seed).integers(-2, 3, 2)
    return np.roll(mask.astype(np.float32), (dy, dx), (0, 1))


def test_a_trembling_outline_is_calmed() -> None:
    motion, steady = Motion(), Steady(0.8, 6)
    raw, calm = [], []
    for t in range(14):
        picture, mask = scene(50, seed=t)
        raw.append(trembling(mask, t))
        calm.append(steady.step(raw[-1], motion.step(picture)))
    change = [float(np.abs(np.diff(np.stack(a[4:]), axis=0)).mean()) for a in (raw, calm)]
    assert change[1] < 0.4 * change[0]


def test_nothing_is_left_where_the_object_was() -> None:
    motion, steady = Motion(), Steady(0.9, 4)
    for t in range(9):
        picture, mask = scene(4 + 12 * t, seed=t)
        alpha = steady.step(mask.astype(np.float32), motion.step(picture))
        assert alpha[~grown(mask, 5)].max(initial=0) < 1e-3
        assert alpha[mask].mean() > 0.97


def test_what_was_missed_is_held_where_it_has_moved_and_then_let_go() -> None:
    motion, held = Motion(), Held(2)
    kept = []
    for t in range(8):
        picture, mask = scene(40 + 2 * t, seed=t)
        found = mask if t < 4 else np.zeros_like(mask)
        kept.append((held.step(found, motion.step(picture)), mask))
    for t in (4, 5):
        got, truth = kept[t]
        assert (got & truth).sum() / (got | truth).sum() > 0.8
    assert not kept[6][0].any() and not kept[7][0].any()


def test_what_has_left_is_not_held() -> None:
    motion, held = Motion(), Held(5)
    picture, mask = scene(50)
    held.step(mask, motion.step(picture))
    empty = scene(50)[0]
    empty[40:80, 50:90] = 20  # something else is seen there
    assert not held.step(np.zeros_like(mask), motion.step(empty)).any()


def test_a_cut_carries_nothing() -> None:
    motion = Motion()
    assert motion.step(scene(50)[0]) is None
    assert motion.step(255 - scene(50)[0]) is None
    assert motion.step(np.zeros((60, 80, 3), np.uint8)) is None  # another size


def test_without_a_share_alpha_stays() -> None:
    motion, steady = Motion(), Steady(0.0, 4)
    for t in range(3):
        picture, mask = scene(50, seed=t)
        raw = trembling(mask, t)
        assert np.array_equal(steady.step(raw, motion.step(picture)), raw)

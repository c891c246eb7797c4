from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.engine.video import in_thread, predict_video


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(9):
        Image.fromarray(np.full((6, 8), 10 * i, np.uint8)).save(tmp_path / f"{i}.png")
    return tmp_path


def bright(image: np.ndarray) -> Instances:
    """As many boxes as the image is bright."""
    return Instances((6, 8), boxes=[[0, 0, 1, 1]] * (int(image.max()) // 10))


class Counted:
    """Numbers that know how many of them were made, and whether they were closed."""

    def __init__(self, count: int, error: BaseException | None = None) -> None:
        self.made, self.closed, self.count, self.error = 0, False, count, error

    def __iter__(self) -> Iterator[int]:
        try:
            for i in range(self.count):
                self.made += 1
                yield i
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_every_frame_in_order(folder: Path, ahead: int) -> None:
    found = list(predict_video(bright, folder, ahead=ahead))
    assert [(number, len(objects)) for number, _, _, objects in found] == [(i, i) for i in range(9)]
    assert [f.time for f in found] == [i / 25 for i in range(9)] and found[3].frame.max() == 30


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 20), st.integers(1, 4), st.integers(0, 20))
def test_a_thread_changes_nothing(count: int, ahead: int, taken: int) -> None:
    before = threading.active_count()
    source = Counted(count)
    items = in_thread(in_thread(source, ahead), ahead)
    first = [value for value, _ in zip(items, range(taken), strict=False)]
    assert first == list(range(min(count, taken)))
    assert source.made <= taken + 2 * ahead + 3  # memory stays flat
    items.close()
    assert source.closed or not source.made
    assert threading.active_count() == before


def test_what_a_thread_raises_is_raised_after_what_it_made() -> None:
    seen = []
    with pytest.raises(InputError, match="cut"):
        seen.extend(in_thread(in_thread(Counted(3, InputError("cut")), 1), 1))
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("ahead", [0, 2])
def test_a_network_that_fails_ends_all(folder: Path, ahead: int) -> None:
    def failing(image: np.ndarray) -> Instances:
        if image.max() >= 30:
            raise InputError("no")
        return bright(image)

    before, seen = threading.active_count(), []
    with pytest.raises(InputError, match="no"):
        seen.extend(found.number for found in predict_video(failing, folder, ahead=ahead))
    assert seen == [0, 1, 2] and threading.active_count() == before


def test_the_stages_overlap() -> None:
    """Two stages wait for each other: run one after the other they would wait for ever."""
    gate = threading.Barrier(2, timeout=20)

    def decoded() -> Iterator[int]:
        yield 0
        gate.wait()  # the second is being made...
        yield 1

    items = in_thread(decoded(), 1)
    assert next(items) == 0
    gate.wait()  # ...while the first is in use
    assert list(items) == [1]


def test_ctrl_c_in_the_loop_ends_the_threads(folder: Path) -> None:
    before = threading.active_count()

    def slow(image: np.ndarray) -> Instances:
        time.sleep(0.01)
        return bright(image)

    def loop() -> None:
        for found in predict_video(slow, folder):
            if found.number == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop()
    assert threading.active_count() == before


def test_settings_reach_the_model(folder: Path) -> None:
    class Asked:
        def predict(self, image: np.ndarray, **settings: float) -> Instances:
            assert settings == {"confidence": 0.25}
            return bright(image)

    assert len(list(predict_video(Asked(), folder, confidence=0.25))) == 9


def test_no_source(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing there"):
        next(predict_video(bright, tmp_path / "none.mp4"))

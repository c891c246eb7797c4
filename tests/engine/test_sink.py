from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.engine.sink import Sink


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(), max_size=20), st.integers(0, 4))
def test_every_item_in_order(items: list[int], ahead: int) -> None:
    before, seen = threading.active_count(), list[int]()
    with Sink(seen.append, ahead) as sink:
        for item in items:
            sink.put(item)
    assert seen == items and threading.active_count() == before


def test_few_items_wait() -> None:
    gate, taken = threading.Event(), []

    def slow(item: int) -> None:
        gate.wait(20)
        taken.append(item)

    put = 0
    with Sink(slow, 2) as sink:
        thread = threading.Thread(target=lambda: [sink.put(k) for k in range(10)])
        thread.start()
        time.sleep(0.2)
        put = sink._waiting.qsize()
        assert thread.is_alive() and put <= 2
        gate.set()
        thread.join()
    assert taken == list(range(10))


@pytest.mark.parametrize("ahead", [0, 2])
def test_what_the_function_raises_is_raised_once(ahead: int) -> None:
    seen: list[int] = []

    def failing(item: int) -> None:
        seen.append(item)
        if item == 1:
            raise OSError("disk full")

    sink = Sink(failing, ahead)
    with pytest.raises(OSError, match="disk full"):
        for k in range(50):
            sink.put(k)
            time.sleep(0.001)
    assert seen == [0, 1]
    sink.close()
    sink.close()

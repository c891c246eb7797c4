"""Reading ahead: what comes next is decoded on a thread while the present is worked on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

T = TypeVar("T")
WAIT = 0.1  # seconds between looks at whether anybody still listens


def ahead(items: Iterator[T], depth: int = 2) -> Iterator[T]:
    """The same items in the same order, up to ``depth`` of them made before they are asked for.

    An error in making one comes out at its place. When the caller stops early, the thread ends after the item
    it is making.

    Args:
        items: made in a thread of their own.
        depth: how many wait at most.

    Example:
        >>> list(ahead(iter([1, 2, 3])))
        [1, 2, 3]
    """
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def put(message: tuple[str, Any]) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(message, timeout=WAIT)
                return True
            except queue.Full:
                continue
        return False

    def make() -> None:
        try:
            for item in items:
                if not put(("item", item)):
                    return
            put(("end", None))
        except BaseException as error:  # told at its place, in the caller's thread
            put(("error", error))

    thread = threading.Thread(target=make, name="reading ahead", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stopped.set()
        thread.join()

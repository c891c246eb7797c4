"""What is done with results, such as drawing and encoding, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Queue
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Sink(Generic[T]):
    """Takes items and hands them, in order, to a function that runs in another thread; a context manager.

    The mirror of :func:`delineate.engine.video.in_thread`: that makes items ahead of their use, this uses
    them behind their making. What the function raises is raised by the next :meth:`put` or by :meth:`close`;
    nothing is handed on after it.

    Args:
        consume: called with each item.
        ahead: how many items wait at most; then :meth:`put` waits. 0 calls ``consume`` at once, in the
            caller's thread.

    Example:
        >>> seen = []
        >>> with Sink(seen.append, 2) as sink:
        ...     for i in range(3):
        ...         sink.put(i)
        >>> seen
        [0, 1, 2]
    """

    def __init__(self, consume: Callable[[T], object], ahead: int = 2) -> None:
        self._consume = consume
        self._error: BaseException | None = None
        self._waiting: Queue[tuple[bool, Any]] = Queue(ahead)
        self._thread = threading.Thread(target=self._work, daemon=True) if ahead else None
        if self._thread is not None:
            self._thread.start()

    def put(self, item: T) -> None:
        """Hand an item over.

        Raises:
            Exception: what ``consume`` has raised.
        """
        self._check()
        if self._thread is None:
            self._consume(item)
        else:
            self._waiting.put((True, item))

    def close(self) -> None:
        """Wait until all items are used, and end the thread. Harmless a second time.

        Raises:
            Exception: what ``consume`` has raised.
        """
        if self._thread is not None and self._thread.is_alive():
            self._waiting.put((False, None))
            self._thread.join()
        self._check()

    def __enter__(self) -> Sink[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            self._consume = _nothing
            raise error

    def _work(self) -> None:
        while True:
            more, item = self._waiting.get()
            if not more:
                return
            if self._error is None:
                try:
                    self._consume(item)
                except BaseException as error:
                    self._error = error


def _nothing(_: object) -> None:
    """What follows an error is dropped."""

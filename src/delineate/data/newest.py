"""A place for one thing between two threads: who takes gets the newest, and never waits for the old."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Newest(Generic[T]):
    """Holds the newest of what was put; safe between threads.

    Attributes:
        put_in: how many were put.
        dropped: how many were replaced before anybody took them, since the first was asked for.

    Args:
        every: keep all: who puts waits until the one before was taken.

    Example:
        >>> place = Newest()
        >>> place.take(timeout=0)
        >>> for i in range(3):
        ...     place.put(i)
        >>> place.take(), place.dropped
        (2, 2)
        >>> place.end()
        >>> place.take()
    """

    def __init__(self, every: bool = False) -> None:
        self.put_in = self.dropped = 0
        self._every = every
        self._change = threading.Condition()
        self._item: tuple[T] | None = None
        self._asked = self._over = False
        self._error: BaseException | None = None

    @property
    def over(self) -> bool:
        """Whether :meth:`end` was called; what was put before may still be taken."""
        return self._over

    def put(self, item: T) -> None:
        """Gives a newer one; after :meth:`end` it is thrown away."""
        with self._change:
            if self._every:
                self._change.wait_for(lambda: self._item is None or self._over)
            if self._over:
                return
            self.dropped += self._item is not None and self._asked
            self.put_in += 1
            self._item = (item,)
            self._change.notify_all()

    def take(self, timeout: float | None = None) -> T | None:
        """The newest, which nobody else gets; waits for one.

        Args:
            timeout: seconds to wait at most; None waits for good.

        Returns:
            None where nothing came in time, or nothing will come any more (then :attr:`over`).

        Raises:
            BaseException: what :meth:`end` was given.
        """
        with self._change:
            self._asked = True
            self._change.wait_for(lambda: self._item is not None or self._over, timeout)
            if self._item is None:
                if self._error is not None:
                    raise self._error
                return None
            (item,), self._item = self._item, None
            self._change.notify_all()
            return item

    def end(self, error: BaseException | None = None, *, drop: bool = False) -> None:
        """Nothing more comes.

        Args:
            error: raised where the next would have been taken.
            drop: throw away what is waiting too.
        """
        with self._change:
            self._over = True
            self._error = self._error or error
            if drop:
                self._item = None
            self._change.notify_all()

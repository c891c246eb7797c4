"""Where the time of a result goes, told from outside, at next to no cost where nobody asks.

Functions that are a stage of their own carry ``@timed("name")``; :func:`watch` collects what they took.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Clock:
    """Seconds by stage; a stage inside another counts for the outer one alone.

    Attributes:
        seconds: by stage, by the clock on the wall.
        cpu: by stage, of the processor: all threads of the process together.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        self.running = ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What happens in the block is of this stage."""
        if self.running:
            yield
            return
        self.running, began, used = name, time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.running = ""
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began
            self.cpu[name] = self.cpu.get(name, 0.0) + time.process_time() - used


_CLOCK: ContextVar[Clock | None] = ContextVar("clock", default=None)


@contextmanager
def watch() -> Iterator[Clock]:
    """While it lasts, stages of this thread are timed.

    Example:
        >>> @timed("nothing")
        ... def nothing() -> None: ...
        >>> with watch() as clock:
        ...     nothing()
        >>> list(clock.seconds)
        ['nothing']
    """
    clock = Clock()
    token = _CLOCK.set(clock)
    try:
        yield clock
    finally:
        _CLOCK.reset(token)


def timed(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function as a stage."""

    def mark(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            clock = _CLOCK.get()
            if clock is None:
                return function(*args, **kwargs)
            with clock.stage(name):
                return function(*args, **kwargs)

        return run

    return mark

"""A part of a video: from one time to another, every so many frames."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

from delineate.core.errors import InputError

from .video import Frame


@dataclass(frozen=True)
class Part:
    """Some of the frames of a source; they keep their numbers and times.

    Attributes:
        frames: all of them, in order.
        begin: seconds; frames before are left out.
        end: seconds; frames from then on are left out. None: to the last.
        every: of the frames from ``begin`` on the first is taken, and every so-many-th after it by number.

    Raises:
        InputError: a time below 0 or an end that is not after the begin, or a step below 1.

    Example:
        >>> import numpy as np
        >>> film = [Frame(k, k / 10, np.zeros((2, 2, 3), np.uint8)) for k in range(10)]
        >>> [frame.number for frame in Part(film, begin=0.2, end=0.8, every=2)]
        [2, 4, 6]
    """

    frames: Iterable[Frame]
    begin: float = 0.0
    end: float | None = None
    every: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.begin < float("inf"):
            raise InputError(f"part, begin: expected seconds from 0, got {self.begin}; correct it")
        if self.end is not None and not self.end > self.begin:
            raise InputError(
                f"part, end: expected seconds after {self.begin:g}, where it begins, got {self.end:g}; "
                "correct one of them"
            )
        if self.every < 1:
            raise InputError(f"part, every: expected 1 or more, got {self.every}; 1 takes every frame")

    def __iter__(self) -> Iterator[Frame]:
        first: int | None = None

        def wanted(number: int, time: float) -> bool:
            nonlocal first
            if time < self.begin:
                return False
            first = number if first is None else first
            return (number - first) % self.every == 0 or self._over(time)

        select = getattr(self.frames, "select", None)
        frames = iter(self.frames) if select is None else select(self.begin, wanted)
        try:
            for frame in frames:
                if self._over(frame.time):
                    return
                if select is not None or wanted(frame.number, frame.time):
                    yield frame
        finally:
            if isinstance(frames, Generator):
                frames.close()

    def _over(self, time: float) -> bool:
        return self.end is not None and time >= self.end


def seconds(text: str, name: str = "time") -> float:
    """A time as a person writes it: ``12.5``, ``1:30`` or ``1:02:03.5``.

    Raises:
        InputError: anything else.

    Example:
        >>> seconds("90"), seconds("1:30"), seconds("1:00:00.5")
        (90.0, 90.0, 3600.5)
    """
    parts = text.strip().split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    whole = all(n == int(n) for n in numbers[:-1] if abs(n) < 1e9)
    if not 1 <= len(numbers) <= 3 or not whole or not all(0 <= n < 1e9 for n in numbers):
        raise InputError(f"{name}: expected seconds as 12.5, or 1:30, or 1:02:03, got {text!r}; correct it")
    total = 0.0
    for number in numbers:
        total = 60 * total + number
    return total

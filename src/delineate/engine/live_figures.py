"""How fast a live source is looked at, how old what is shown is, how much is dropped."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

WINDOW = 2.0  # seconds that "now" is
BINS = 20_000  # of a millisecond each; what is older counts as the last


@dataclass(frozen=True)
class Now:
    """The last two seconds, and the whole.

    Attributes:
        rate: frames shown per second.
        source_rate: frames that arrive per second.
        age: median seconds from the taking of a frame to its showing.
        worst: the largest of them.
        spent: median seconds of the network and tracker for one frame.
        objects: objects in the last frame.
        shown: frames shown in all.
        arrived: frames that arrived in all.
        dropped: frames that were dropped in all.
    """

    rate: float
    source_rate: float
    age: float
    worst: float
    spent: float
    objects: int
    shown: int
    arrived: int
    dropped: int


class Figures:
    """Counts; safe between threads. Holds two seconds and a table of ages, however long it runs.

    Args:
        clock: gives seconds.

    Example:
        >>> figures = Figures(clock=iter([1.0, 1.5, 2.0, 2.0]).__next__)
        >>> figures.arrived(5, dropped=2)
        >>> for age in (0.1, 0.3):
        ...     figures.shown(age, spent=0.05, objects=3)
        >>> now = figures.now()
        >>> now.rate, now.age, now.shown, figures.quantile(1.0)
        (2.0, 0.2, 2, 0.3)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._begin: float | None = None  # the first arrival
        self._frames: deque[tuple[float, float, float]] = deque()  # moment, age, spent
        self._arrivals: deque[tuple[float, int]] = deque()
        self._ages = np.zeros(BINS, np.int64)
        self._shown = self._arrived = self._dropped = self._objects = 0

    def arrived(self, count: int, dropped: int) -> None:
        """So many have arrived, and been dropped, in all."""
        with self._lock:
            self._arrived, self._dropped = count, dropped
            self._arrivals.append((self._clock(), count))
            self._begin = self._arrivals[0][0] if self._begin is None else self._begin
            _forget(self._arrivals, self._arrivals[-1][0])

    def shown(self, age: float, spent: float, objects: int) -> None:
        """A frame was shown, ``age`` seconds after it was taken, of which the network took ``spent``."""
        with self._lock:
            self._shown += 1
            self._objects = objects
            self._ages[min(max(round(age * 1000), 0), BINS - 1)] += 1
            self._frames.append((self._clock(), age, spent))
            _forget(self._frames, self._frames[-1][0])

    def now(self) -> Now:
        """How things stand."""
        with self._lock:
            moment = self._clock()
            _forget(self._frames, moment)
            _forget(self._arrivals, moment)
            ages = [age for _, age, _ in self._frames] or [0.0]
            counts = [(moment, k) for k, (moment, *_) in enumerate(self._frames)]
            return Now(
                rate=_rate(counts, moment),
                source_rate=_rate(list(self._arrivals), moment),
                age=float(np.median(ages)),
                worst=max(ages),
                spent=float(np.median([spent for *_, spent in self._frames] or [0.0])),
                objects=self._objects,
                shown=self._shown,
                arrived=self._arrived,
                dropped=self._dropped,
            )

    def quantile(self, share: float) -> float:
        """The age in seconds that this share of all shown frames did not exceed, to a millisecond."""
        with self._lock:
            below = np.cumsum(self._ages)
        if not below[-1]:
            return 0.0
        return float(np.searchsorted(below, max(1, share * below[-1]))) / 1000

    def summary(self) -> dict[str, float | int]:
        """The whole, for a record: frames, frames/s over all, median and 95th percentile of the ages in s."""
        with self._lock:
            moment = self._clock()
            seconds = max(moment - (self._begin or moment), 1e-3)
        whole = {k: v for k, v in asdict(self.now()).items() if k in ("shown", "arrived", "dropped")}
        middle, high = self.quantile(0.5), self.quantile(0.95)
        return whole | {
            "seconds": round(seconds, 3),
            "rate": round(self._shown / seconds, 3),
            "age_median": middle,
            "age_95": high,
        }


def _rate(counts: list[tuple[float, int]], moment: float) -> float:
    """A second, from moments and how many there were by then; falls where nothing has come for long."""
    if len(counts) < 2:
        return 0.0
    (first, begin), (last, end) = counts[0], counts[-1]
    between = (last - first) / max(end - begin, 1)
    return (end - begin) / max(last - first + max(moment - last - 2 * between, 0.0), 1e-6)


def _forget(items: deque[tuple[float, float, float]] | deque[tuple[float, int]], moment: float) -> None:
    """Forgets what is older than the window, but the last two, without which there is no rate."""
    while len(items) > 2 and items[0][0] < moment - WINDOW:
        items.popleft()

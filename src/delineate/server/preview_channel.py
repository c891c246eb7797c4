"""Where the newest picture waits for whoever looks: pages and programs, each as fast as it can take them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np
import simplejpeg
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

QUALITY = 85  # of JPEG, 1..100
KEPT = 256  # numbers of pictures whose taking is remembered


@dataclass(eq=False)
class Picture:
    """A picture that is shown.

    Attributes:
        number: its place among those that were shown, from 1.
        pixels: (H, W, 3) uint8 RGB.
        taken: when its frame was taken, in seconds of :func:`time.monotonic`.
    """

    number: int
    pixels: Pixels
    taken: float
    _jpeg: bytes = b""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def jpeg(self) -> bytes:
        """The picture as a JPEG file; encoded once, however many ask."""
        with self._lock:
            if not self._jpeg:
                pixels = np.ascontiguousarray(self.pixels)
                self._jpeg = simplejpeg.encode_jpeg(pixels, quality=QUALITY, colorsubsampling="420")
            return self._jpeg


class Channel:
    """Holds the newest picture. Published from any thread, waited for in an event loop.

    Attributes:
        picture: the newest; None before the first.
        over: whether none will follow.

    Example:
        >>> channel = Channel()
        >>> channel.publish(np.zeros((2, 2, 3), np.uint8), taken=1.0)
        >>> channel.picture.number
        1
    """

    def __init__(self) -> None:
        self.picture: Picture | None = None
        self.over = False
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._taken: deque[tuple[int, float]] = deque(maxlen=KEPT)
        self._seen: deque[tuple[float, float]] = deque(maxlen=KEPT)  # moment, age

    def publish(self, pixels: Pixels, taken: float) -> None:
        """A newer picture, which is not changed any more."""
        number = 1 if self.picture is None else self.picture.number + 1
        with self._lock:
            self.picture = Picture(number, pixels, taken)
            self._taken.append((number, taken))
        self._wake()

    def end(self) -> None:
        """None will follow; whoever waits is told."""
        self.over = True
        self._wake()

    async def after(self, number: int, timeout: float = 10.0) -> Picture | None:
        """The newest picture, once it is another than ``number``; None where none came in time, or will."""
        end = time.monotonic() + timeout
        while True:
            event = asyncio.Event()
            place = (asyncio.get_running_loop(), event)
            with self._lock:
                if self.picture is not None and self.picture.number != number:
                    return self.picture
                self._waiting.append(place)
            try:
                if self.over:
                    return None
                await asyncio.wait_for(event.wait(), end - time.monotonic())
            except TimeoutError:
                return None
            finally:
                with self._lock:
                    if place in self._waiting:
                        self._waiting.remove(place)

    def painted(self, number: int) -> None:
        """A page says that it has shown the picture of this number."""
        moment = time.monotonic()
        with self._lock:
            taken = next((taken for known, taken in self._taken if known == number), None)
            if taken is not None:
                self._seen.append((moment, moment - taken))

    def on_screen(self, window: float = 2.0) -> float | None:
        """Median seconds from the taking of a frame to a page's word that it is painted; None: no page."""
        since = time.monotonic() - window
        with self._lock:
            ages = [age for moment, age in self._seen if moment >= since]
        return float(np.median(ages)) if ages else None

    def _wake(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

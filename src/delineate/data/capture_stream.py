"""Frames of a camera or a stream as they arrive; a connection that is lost is made again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError, MissingDependencyError

from .capture_source import CaptureSettings, CaptureSource
from .limits import check_size

log = logging.getLogger("delineate")

FIRST_WAIT, LONGEST_WAIT = 0.25, 5.0  # seconds between two tries to connect; doubled each time
DRIFT = 1e-3  # seconds a second
LEAP = 5.0  # seconds: a clock of the stream that is off by more than this has been set anew

Pixels = NDArray[np.uint8]


class Seen(NamedTuple):
    """A frame that has arrived.

    Attributes:
        number: how many arrived before it.
        time: seconds since the first, by the source's own clock.
        taken: when it was taken, as near as that is known, in seconds of :func:`time.monotonic`.
        pixels: makes (H, W, 3) uint8 RGB of it, once it is known that the frame is wanted.
    """

    number: int
    time: float
    taken: float
    pixels: Callable[[], NDArray[Any]]


@dataclass
class Clock:
    """When frames were taken, from the stream's own times and from when they arrive.

    A frame that waited in a buffer arrives late, never early: the smallest difference between arrival and
    the stream's time is the one of a frame that did not wait. From it every other's taking is told. What a
    frame needs from the camera to here at the least is unknown and counts as none. As no two clocks run
    alike, that smallest difference may grow by :data:`DRIFT`.

    A time that leaps, as after a camera has restarted, sets the clock anew.

    Attributes:
        ours: the source stamps its frames with this machine's monotonic clock, as cameras do on Linux.
    """

    ours: bool = False
    begin: float | None = None
    offset: float | None = None
    last: float = 0.0
    before: float = 0.0

    def set_anew(self) -> None:
        """After a new connection: the stream's times start somewhere else."""
        self.offset = None

    def tell(self, stamp: float | None, arrived: float) -> tuple[float, float]:
        """(seconds since the first frame, moment of taking on the clock of ``arrived``).

        Args:
            stamp: the stream's own time of the frame in seconds, or None.
            arrived: when it was decoded, in seconds.

        Example:
            >>> clock = Clock()
            >>> [clock.tell(stamp, arrived)[1] for stamp, arrived in ((7, 100), (8, 102), (9, 102))]
            [100, 101.002, 102]
        """
        taken = arrived
        if stamp is not None:
            late = arrived - stamp
            if self.ours and 0 <= late <= LEAP:
                self.offset = 0.0
            elif self.offset is not None and late - self.offset <= LEAP:
                self.offset = min(late, self.offset + DRIFT * (arrived - self.before))
            else:
                self.offset = late
            taken = stamp + self.offset
        self.before = arrived
        if self.begin is None:
            self.begin = taken
        else:
            self.last = max(taken - self.begin, self.last + 1e-6)
        return self.last, taken


class Stream:
    """A camera or stream, open.

    Attributes:
        source: what it is.
        rate: frames per second that it says it has; None where it does not say.
        size: (height, width).
        reconnects: how often the connection was made again.
        damaged: how many frames could not be decoded.

    Args:
        source: what to open.
        settings: how.
        ended: set by the reader to end.

    Raises:
        InputError: it cannot be opened.
        MissingDependencyError: PyAV is not installed.
    """

    def __init__(self, source: CaptureSource, settings: CaptureSettings, ended: threading.Event) -> None:
        self.source, self.settings, self._ended = source, settings, ended
        self.reconnects = self.damaged = self._number = 0
        self._av = _av(source.shown)
        self._clock = Clock(ours=source.format == "v4l2")
        self._file: Any = None
        reason = self._connect()
        if reason:
            raise InputError(
                f"{source.shown}: expected a {source.kind} that answers, got {reason}; {_mend(source)}"
            )

    def __iter__(self) -> Iterator[Seen]:
        """Frames until the source's end, until ``ended`` is set, or until patience ends; closes it.

        Raises:
            InputError: no frame has come at all.
        """
        lost = wait = 0.0
        try:
            while not self._ended.is_set():
                before = self._number
                reason = yield from self._frames()
                if not reason or self._ended.is_set():
                    return
                if self._number > before or not lost:
                    lost, wait = time.monotonic(), FIRST_WAIT
                    log.warning("%s: the connection is lost (%s)", self.source.shown, reason)
                if not self._again(lost, wait):
                    break
                wait = min(2 * wait, LONGEST_WAIT)
        finally:
            self.close()
        if self._ended.is_set():
            return
        if not self._number:
            raise InputError(f"{self.source.shown}: expected frames, got none; {_mend(self.source)}")
        log.warning("%s: ended after %d frames: no connection any more", self.source.shown, self._number)

    def close(self) -> None:
        """Lets go of the camera or connection."""
        if self._file is not None:
            with suppress(self._av.error.FFmpegError, OSError):
                self._file.close()
            self._file = None

    def _again(self, lost: float, wait: float) -> bool:
        """Connects again after ``wait`` seconds, and again, while patience lasts; whether it did."""
        self.close()
        while time.monotonic() - lost + wait <= self.settings.patience and not self._ended.wait(wait):
            if not self._connect():
                self.reconnects += 1
                self._clock.set_anew()
                return True
            wait = min(2 * wait, LONGEST_WAIT)
        return False

    def _connect(self) -> str:
        """Opens the source; what went wrong, in words, or nothing."""
        source, wait = self.source, self.settings.timeout
        first = max(wait, self.settings.patience) if self.settings.listen else wait
        try:
            self._file = self._av.open(
                source.url, format=source.format, options=source.options, timeout=(first, wait)
            )
        except (self._av.error.FFmpegError, OSError) as error:
            return _told(error)
        if not self._file.streams.video:
            self.close()
            return "no pictures in it"
        stream = self._file.streams.video[0]
        stream.thread_type = "SLICE"  # threads by frames hold back as many frames as there are threads
        rate = stream.average_rate or stream.guessed_rate
        # Where the format knows no times FFmpeg makes them up.
        self._timed = not self._file.format.flags & self._av.format.Flags.no_timestamps.value
        self.rate = float(rate) if rate and 0 < rate < 1000 else None
        self.size = (stream.height, stream.width)
        # A recording that is sent says how long it is; what is live cannot.
        self._finite = source.kind == "stream" and bool(self._file.duration)
        return ""

    def _frames(self) -> Generator[Seen, None, str]:
        """Frames of one connection; returns why it ended, or nothing where that is the source's end."""
        av, packets = self._av, self._file.demux(self._file.streams.video[0])
        while not self._ended.is_set():
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                return _told(error)
            if packet is None:
                return "" if self._finite else "it sends no more"
            try:
                decoded = packet.decode()
            except av.error.FFmpegError:
                self.damaged += 1
                continue
            for frame in decoded:
                if frame.is_corrupt:
                    self.damaged += 1
                else:
                    yield self._seen(frame)
        return ""

    def _seen(self, frame: Any) -> Seen:
        check_size((frame.height, frame.width), self.source.shown, self.settings.max_pixels)
        stamp = float(frame.time) if self._timed and frame.time is not None else None
        seconds, taken = self._clock.tell(stamp, time.monotonic())
        self._number += 1
        return Seen(self._number - 1, seconds, taken, partial(_upright, frame))


def _upright(frame: Any) -> Pixels:
    """(H, W, 3) uint8 RGB, turned as the source says that it is to be shown."""
    pixels: Pixels = frame.to_ndarray(format="rgb24")
    turns = round(int(getattr(frame, "rotation", 0)) / 90) % 4  # anticlockwise
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _told(error: BaseException) -> str:
    if type(error).__name__ == "ExitError":  # FFmpeg was told to leave by the timeout
        return "no answer in time"
    return str(getattr(error, "strerror", None) or error).strip().rstrip(".").lower()


def _mend(source: CaptureSource) -> str:
    if source.kind == "camera":
        return "see that it is connected, that no other program uses it and that you may read it"
    return "check the address, and that the sender runs"


def _av(where: str) -> ModuleType:
    try:
        import av
    except ImportError:
        raise MissingDependencyError(
            f"{where}: expected the package av to read video, got none; pip install 'delineate[video]'"
        ) from None
    module: ModuleType = av
    return module

"""Frames of a camera or a stream as they arrive; a connection that is lost is made again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from numpy.typing import NDArray

from delineate.core.errors import InputError

from .capture_clock import Clock
from .capture_decode import Decoder
from .capture_source import CaptureSettings, CaptureSource
from .video_file import any_title, pyav

log = logging.getLogger("delineate")

FIRST_WAIT, LONGEST_WAIT = 0.25, 5.0  # seconds between two tries to connect; doubled each time

LATE = 1.0  # seconds behind its own clock after which a recording's clock is set anew
WAITED = 0.01  # seconds of reading that mean that nothing lay ready


class Seen(NamedTuple):
    """A frame that has arrived.

    Attributes:
        number: how many arrived before it.
        time: seconds since the first, by the source's own clock.
        taken: when it was taken, as near as that is known, in seconds of :func:`time.monotonic`.
        pixels: makes (H, W, 3) uint8 RGB of it, once it is known that the frame is wanted; None where it
            cannot be decoded.
    """

    number: int
    time: float
    taken: float
    pixels: Callable[[], NDArray[Any] | None]


class Stream:
    """A camera or stream, open.

    Attributes:
        source: what it is.
        rate: frames per second that it says it has; None where it does not say.
        size: (height, width); None where it does not say.
        reconnects: how often the connection was made again.

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
        self.reconnects = self._number = 0
        self._decoder: Decoder | None = None
        self._begin: float | None = None  # when a recording's first frame was shown
        self._before = (0, 0)  # damaged and skipped, of earlier connections
        self._av = pyav(source.shown)
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

    @property
    def damaged(self) -> int:
        """How many frames could not be decoded."""
        return self._before[0] + (self._decoder.damaged if self._decoder is not None else 0)

    @property
    def skipped(self) -> int:
        """How many frames were not decoded, to catch up."""
        return self._before[1] + (self._decoder.skipped if self._decoder is not None else 0)

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
                source.url,
                format=source.format,
                options=source.options,
                timeout=(first, wait),
                **any_title(self._av),
            )
        except (self._av.error.FFmpegError, OSError) as error:
            return _told(error)
        if not self._file.streams.video:
            self.close()
            return "no pictures in it"
        stream = self._file.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate
        # Where the format knows no times FFmpeg makes them up.
        self._timed = not self._file.format.flags & self._av.format.Flags.no_timestamps.value
        self.rate = float(rate) if rate and 0 < rate < 1000 else None
        self.size = (stream.height, stream.width) if stream.height and stream.width else None
        self._before = (self.damaged, self.skipped)
        kept = (source.shown, self.settings.max_pixels, self.settings.every)
        self._decoder = Decoder(self._av, stream, *kept)
        # A recording that is sent says how long it is; what is live cannot.
        self._finite = source.kind == "stream" and bool(self._file.duration)
        self._paced = self._finite and source.url.lower().startswith("http") and not self.settings.every
        return ""

    def _wait(self, seconds: float) -> float:
        """Waits until a recording's frame is due, as it comes faster than it is to be shown; the moment."""
        now = time.monotonic()
        if self._begin is None or now - self._begin - seconds > LATE:
            self._begin = now - seconds
        self._ended.wait(max(0.0, self._begin + seconds - now))
        return time.monotonic()

    def _frames(self) -> Generator[Seen, None, str]:
        """Frames of one connection; returns why it ended, or nothing where that is the source's end."""
        av, packets, decoder = self._av, self._file.demux(self._file.streams.video[0]), self._decoder
        assert decoder is not None  # made where it was connected
        while not self._ended.is_set():
            begin = time.monotonic()
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                return _told(error)
            if packet is None:
                return "" if self._finite else "it sends no more"
            waited = time.monotonic() - begin > WAITED
            before = decoder.skipped
            for stamp, pixels in decoder.pictures(packet):
                seconds, taken = self._clock.tell(stamp if self._timed else None, time.monotonic(), waited)
                decoder.catch_up(time.monotonic() - taken, waited)
                if self._paced:
                    taken = self._wait(seconds)
                self._number += 1
                yield Seen(self._number - 1, seconds, taken, pixels)
            self._number += decoder.skipped - before
        return ""


def _told(error: BaseException) -> str:
    if type(error).__name__ == "ExitError":  # FFmpeg was told to leave by the timeout
        return "no answer in time"
    return str(getattr(error, "strerror", None) or error).strip().rstrip(".").lower()


def _mend(source: CaptureSource) -> str:
    if source.kind == "camera":
        return "see that it is connected, that no other program uses it and that you may read it"
    return "check the address, and that the sender runs"

"""A camera, a stream, or a file played at its own rate: the newest frame, whenever it is asked for.

A source that runs in real time does not wait for who looks at it. A thread takes every frame as it arrives
and keeps only the newest; a slow reader sees fewer frames, counted in ``dropped``, and never old ones.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from delineate.core.errors import InputError

from .capture_source import CaptureSettings, CaptureSource, capture_source, is_live
from .capture_stream import LATE, Seen, Stream
from .newest import Newest
from .video import Frame, frames


@dataclass(frozen=True)
class Captured(Frame):
    """A frame of a camera or stream.

    Attributes:
        number: its place among all frames that arrived, from 0; those that were dropped keep theirs.
        time: seconds since the first frame, by the source's own clock.
        pixels: (H, W, 3) uint8 RGB, upright.
        taken: when it was taken, as near as that is known, in seconds of :func:`time.monotonic`; so
            ``time.monotonic() - taken`` is its age.
    """

    taken: float


class Capture:
    """A source that runs in real time; see :func:`open_capture`. An iterable, once, and a context manager.

    Attributes:
        source: its kind, and its name for messages.
        rate: frames per second that it says it has; None where it does not say.
        size: (height, width) of a camera or stream; of a file None.
    """

    def __init__(self, source: CaptureSource, settings: CaptureSettings) -> None:
        self.source, self.settings = source, settings
        self._left = threading.Event()  # nobody reads any more
        self._newest: Newest[Seen] = Newest(settings.every)
        self._thread = threading.Thread(target=self._work, name="capture", daemon=True)
        if source.kind == "file":
            self._stream, self._frames = None, frames(source.url, max_pixels=settings.max_pixels)
            self.rate: float | None = self._frames.rate
            self.size: tuple[int, int] | None = None
        else:
            self._stream = Stream(source, settings, self._left)
            self.rate, self.size = self._stream.rate, self._stream.size
            self._thread.start()  # at once: what is live does not wait

    @property
    def arrived(self) -> int:
        """How many frames came so far."""
        return self._newest.put_in + self._skipped

    @property
    def dropped(self) -> int:
        """How many frames gave way to a newer one, or to catch up, before anybody asked for them."""
        return self._newest.dropped + self._skipped

    @property
    def _skipped(self) -> int:
        return self._stream.skipped if self._stream is not None else 0

    @property
    def reconnects(self) -> int:
        """How often the connection was lost and made again."""
        return self._stream.reconnects if self._stream is not None else 0

    @property
    def damaged(self) -> int:
        """How many frames could not be decoded."""
        return self._stream.damaged if self._stream is not None else len(self._frames.damaged)

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the source. A call while a frame is waited for ends the waiting."""
        self._left.set()
        self._newest.end(drop=True)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(self.settings.timeout + 1)

    def __iter__(self) -> Iterator[Captured]:
        """Frames, each newer than the one before, until the source ends; closes it.

        Raises:
            InputError: the source turned out to be unreadable.
        """
        try:
            if not self._thread.ident:
                self._thread.start()
            while (seen := self._newest.take()) is not None:
                if (pixels := seen.pixels()) is not None:
                    yield Captured(seen.number, seen.time, pixels, seen.taken)
        finally:
            self.close()

    def _work(self) -> None:
        failed: BaseException | None = None
        try:
            if self._stream is not None:
                for seen in self._stream:
                    self._newest.put(seen)
            else:
                self._play()
        except BaseException as error:
            failed = error
        finally:
            self._newest.end(failed)

    def _play(self) -> None:
        """The file's frames, each when its time has come."""
        number, ended = 0, 0.0
        while not self._left.is_set():
            begin, first, seconds = 0.0, None, 0.0
            reader = iter(self._frames)
            with closing(reader):  # type: ignore[type-var]
                for frame in reader:
                    if first is None:
                        begin, first = time.monotonic(), frame.time
                    seconds = max(frame.time - first, 0.0)
                    begin = self._wait(begin, seconds)
                    if self._left.is_set():
                        return
                    self._newest.put(
                        Seen(number, ended + seconds, time.monotonic(), partial(_same, frame.pixels))
                    )
                    number += 1
            if not self.settings.loop or first is None:
                return
            pause = 1 / self._frames.rate
            self._wait(begin, seconds + pause)
            ended += seconds + pause

    def _wait(self, begin: float, seconds: float) -> float:
        """Waits until ``seconds`` after ``begin``; the begin to go by from now on."""
        if self.settings.every:
            return begin
        late = time.monotonic() - begin - seconds
        if late > LATE:  # it cannot be decoded as fast as it is to be shown
            return begin + late
        self._left.wait(max(-late, 0.0))
        return begin


def _same(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels


def open_capture(
    source: str | Path | int, settings: CaptureSettings | None = None, **changes: Any
) -> Capture:
    """Opens a camera or a stream, or a file as if it were one.

    Args:
        source: ``0``, ``camera``, ``camera:1`` or ``/dev/video1``; an address such as
            ``rtsp://user:password@10.0.0.7/door`` or ``http://10.0.0.7:8080/video.mjpg``; a video file; a
            folder of images. :func:`is_live` tells the first two from the others.
        settings: how; None is the default.
        changes: fields of :class:`CaptureSettings` to set, such as ``every=True``.

    Returns:
        An iterable of :class:`Captured`, which are :class:`delineate.data.video.Frame`. By default each is
        the newest that there is. A lost connection is made again while ``patience`` lasts; then the frames
        end, with a warning.

    Raises:
        InputError: no such source, or it does not answer; a setting out of range.
        MissingDependencyError: PyAV is not installed.

    Example:
        >>> import tempfile, numpy as np
        >>> from delineate.data.write import write_png
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for i in (10, 2):
        ...         _ = write_png(Path(folder) / f"{i}.png", np.full((4, 5), i, np.uint8))
        ...     with open_capture(folder, every=True) as capture:
        ...         [(frame.number, int(frame.pixels.max())) for frame in capture]
        [(0, 2), (1, 10)]
    """
    try:
        chosen = replace(settings or CaptureSettings(), **changes)
    except TypeError as error:
        raise InputError(
            f"open_capture: expected fields of CaptureSettings, got {error}; see its page"
        ) from None
    return Capture(capture_source(source, chosen), chosen)


__all__ = ["Capture", "CaptureSettings", "Captured", "is_live", "open_capture"]

"""From the packets of a stream to pictures, no more of them than are wanted or than there is time for.

What is sent faster than it can be decoded would grow old in the system's buffers. Where every frame is a
picture of its own (JPEG), only those that are wanted are decoded; else, where frames come late, all but the
key frames are skipped until they are in time again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .limits import check_size

BEHIND, CAUGHT_UP = 0.3, 0.1  # seconds late at which frames are skipped, and no longer are

Pixels = NDArray[np.uint8]
Maker = Callable[[], Pixels | None]


class Decoder:
    """Of one connection.

    Attributes:
        damaged: frames that could not be decoded.
        skipped: frames that were not decoded, to catch up.

    Args:
        av: PyAV.
        stream: its video stream.
        where: the source's name for messages.
        max_pixels: larger frames are refused.
        every: skip none.
    """

    def __init__(self, av: ModuleType, stream: Any, where: str, max_pixels: int, every: bool) -> None:
        self.damaged = self.skipped = 0
        self._av, self._where, self._max_pixels, self._every = av, where, max_pixels, every
        stream.thread_type = "SLICE"  # threads by frames hold back as many frames as there are threads
        self._codec = stream.codec_context
        single = self._codec.name == "mjpeg"
        self._jpeg = av.CodecContext.create("mjpeg", "r") if single else None  # used by the reader's thread
        self._late = False

    def pictures(self, packet: Any) -> Iterator[tuple[float | None, Maker]]:
        """The frames that a packet completes: the stream's time in seconds, and what makes the pixels.

        What makes the pixels gives (H, W, 3) uint8 RGB, upright, or None for a damaged frame.

        Raises:
            InputError: a frame above ``max_pixels``.
        """
        if self._jpeg is not None:
            if packet.size:
                yield _seconds(packet), partial(self._opened, bytes(packet))
            return
        try:
            decoded = packet.decode()
        except self._av.error.FFmpegError:
            self.damaged += 1
            return
        self.skipped += self._late and not decoded
        for frame in decoded:
            if frame.is_corrupt:
                self.damaged += 1
            else:
                self._check(frame)
                yield _seconds(frame), partial(_upright, frame)

    def catch_up(self, late: float, waited: bool) -> None:
        """Skips all but key frames while frames come late; after each frame.

        Args:
            late: seconds that the last one was late.
            waited: whether the reader had to wait for it, so that no other can lie ready.
        """
        if not self._late and late > BEHIND and not waited and not self._every:
            self._late, self._codec.skip_frame = True, "NONKEY"
        elif self._late and (
            late < CAUGHT_UP or waited
        ):  # this one was a key frame: the next ones build on it
            self._late, self._codec.skip_frame = False, "DEFAULT"

    def _opened(self, jpeg: bytes) -> Pixels | None:
        try:
            frames = self._jpeg.decode(self._av.Packet(jpeg))  # type: ignore[union-attr]
        except self._av.error.FFmpegError:
            frames = []
        if not frames or frames[0].is_corrupt:
            self.damaged += 1
            return None
        self._check(frames[0])
        return _upright(frames[0])

    def _check(self, frame: Any) -> None:
        check_size((frame.height, frame.width), self._where, self._max_pixels)


def _seconds(item: Any) -> float | None:
    """The time of a frame or a packet."""
    return None if item.pts is None or item.time_base is None else float(item.pts * item.time_base)


def _upright(frame: Any) -> Pixels:
    """(H, W, 3) uint8 RGB, turned as the source says that it is to be shown."""
    pixels: Pixels = frame.to_ndarray(format="rgb24")
    turns = round(int(getattr(frame, "rotation", 0)) / 90) % 4  # anticlockwise
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels

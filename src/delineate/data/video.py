"""Video files in and out, one frame at a time, by PyAV (FFmpeg); folders of images as the frames of one.

The content decides what a file is, not its ending, and only the containers of
:data:`delineate.data.video_file.CONTAINERS` go to a decoder: no playlists, no addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .find import find
from .images import read
from .limits import MAX_PIXELS
from .video_file import container, head_of, opened, packets, pyav, started
from .video_seek import Start, start_at

SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".ogv")
FOLDER_RATE = 25.0  # frames per second of a folder, which does not say
TICKS = 90_000  # a second, in written files
PASSED_OVER = 2.0  # seconds at a video's start that are decoded rather than passed over
STEP = 1e-3  # seconds between two frames at least, where a file gives both the same time

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """One picture of a video.

    Attributes:
        number: its place in the source, from 0; damaged frames keep theirs.
        time: seconds from the start of the source; it rises from frame to frame.
        pixels: (H, W, 3) uint8 RGB of a file, upright; of a folder whatever its images hold.
    """

    number: int
    time: float
    pixels: NDArray[Any]


def is_video(path: str | Path) -> bool:
    """Whether a file is to be read as video: by its content, or as its name promises one."""
    path = Path(path)
    return path.suffix.lower() in SUFFIXES or (path.is_file() and bool(container(head_of(path))))


@dataclass
class Frames:
    """The frames of a video file or a folder, in order, read as they are asked for; see :func:`frames`.

    Attributes:
        source: the file or folder.
        rate: frames per second, on average.
        count: how many it says it has; None where it does not say.
        max_pixels: larger frames are refused.
        damaged: numbers of the frames that could not be read whole and were left out; grows while reading.
        short: whether a file ended before the number of frames that it says it has.
    """

    source: Path
    rate: float
    count: int | None
    max_pixels: int = MAX_PIXELS
    damaged: list[int] = field(default_factory=list)
    short: bool = False

    def __iter__(self) -> Iterator[Frame]:
        return self.select(0.0, lambda number, time: True)

    def select(self, begin: float, wanted: Callable[[int, float], bool]) -> Iterator[Frame]:
        """Some of the frames; the pixels of the others are not looked at.

        Args:
            begin: seconds; a video's parts that end before are passed over without decoding them.
            wanted: told the number and time of each frame from ``begin`` on (and maybe of some before it),
                in order.
        """
        self.damaged.clear()
        self.short = False
        return self._images(begin, wanted) if self.source.is_dir() else self._decoded(begin, wanted)

    def notes(self) -> str:
        """What was lost, in words; empty where nothing was."""
        parts = []
        if self.damaged:
            shown = ", ".join(map(str, self.damaged[:10])) + (", …" if len(self.damaged) > 10 else "")
            parts.append(f"{len(self.damaged)} damaged frame{'s'[: len(self.damaged) > 1]} left out: {shown}")
        if self.short:
            parts.append(f"the file ends before its {self.count} frames")
        return "; ".join(parts)

    def _images(self, begin: float, wanted: Callable[[int, float], bool]) -> Iterator[Frame]:
        for index, path in enumerate(find([self.source])):
            if index / self.rate < begin or not wanted(index, index / self.rate):
                continue
            try:
                pixels = read(path, max_pixels=self.max_pixels).pixels
            except InputError:
                self.damaged.append(index)
                continue
            yield Frame(index, index / self.rate, pixels)

    def _decoded(self, begin: float, wanted: Callable[[int, float], bool]) -> Iterator[Frame]:
        av = pyav(self.source)
        start, last = self._start(av, begin), -1.0
        index = start.number
        with opened(self.source) as (file, stream):
            zero = started(file)
            for place, packet in enumerate(packets(av, file, stream)):
                if place < start.packet:
                    continue
                try:
                    decoded = packet.decode()
                except av.error.FFmpegError:
                    self.damaged.append(index)
                    index += 1
                    continue
                for frame in decoded:
                    if start.pts is not None and frame.pts is not None and frame.pts < start.pts:
                        continue
                    if frame.is_corrupt:
                        self.damaged.append(index)
                    else:
                        _check_size(self.source, frame, self.max_pixels)
                        time = float(frame.time) - zero if frame.time is not None else index / self.rate
                        last = max(time, last + STEP) if last >= 0 else time
                        if wanted(index, last):
                            yield Frame(index, last, _upright(frame))
                    index += 1
        if not index or len(self.damaged) == index:
            raise InputError(f"{self.source}: expected a video, got no whole frame; copy it again")
        self.short = self.count is not None and index < self.count

    def _start(self, av: ModuleType, begin: float) -> Start:
        if begin < PASSED_OVER:
            return Start()
        with opened(self.source) as (file, stream):
            return start_at(packets(av, file, stream), begin, started(file))


def frames(source: str | Path, *, rate: float = FOLDER_RATE, max_pixels: int = MAX_PIXELS) -> Frames:
    """The frames of a video file, or of a folder of images in their natural order.

    Args:
        source: an MP4, MOV, MKV, WebM, AVI, MPEG, FLV, Ogg or WMV file, or a folder of images.
        rate: frames per second of a folder; a file knows its own.
        max_pixels: refuse larger frames.

    Returns:
        An iterable that decodes frame by frame and holds none. Damaged frames are left out and listed.

    Raises:
        InputError: no such file, not a video, or no frame in it; the message says how to mend it.
        MissingDependencyError: PyAV is not installed.

    Example:
        >>> import tempfile
        >>> from delineate.data.write import write_png
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for i in (10, 2):
        ...         _ = write_png(Path(folder) / f"{i}.png", np.full((4, 5), i, np.uint8))
        ...     [(f.number, f.time, int(f.pixels.max())) for f in frames(folder, rate=2)]
        [(0, 0.0, 2), (1, 0.5, 10)]
    """
    path = Path(source)
    if path.is_dir():
        if not rate > 0:
            raise InputError(f"frames, rate: expected frames per second above 0, got {rate}; try 25")
        return Frames(path, float(rate), len(find([path])), max_pixels)
    with opened(path) as (_, stream):
        given = stream.average_rate or stream.guessed_rate
        return Frames(path, float(given or FOLDER_RATE), stream.frames or None, max_pixels)


class VideoWriter:
    """Pictures as an MP4 file, encoded as they come; a context manager.

    H.264 where PyAV's FFmpeg has it, else MPEG-4. Odd sides, which these cannot hold, get one more row or
    column, a copy of the last.

    Args:
        path: the file to write.
        rate: frames per second, on average; each frame is shown at its own time.

    Raises:
        MissingDependencyError: PyAV is not installed.
        InputError: a frame of another size than the first.
    """

    def __init__(self, path: str | Path, rate: float) -> None:
        self.path = Path(path)
        self._av = pyav(self.path)
        self._rate = Fraction(rate).limit_denominator(1001)
        self._file = self._av.open(str(path), "w", format="mp4")
        self._stream: Any = None
        self._size = (0, 0)
        self._last = -1

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, pixels: Pixels, time: float) -> None:
        """The next picture, (H, W, 3) uint8 RGB, shown ``time`` seconds after the start."""
        height, width = pixels.shape[:2]
        if self._stream is None:
            self._begin(height, width)
        if (height, width) != self._size:
            raise InputError(
                f"{self.path}: expected frames of {self._size[0]} x {self._size[1]}, got {height} x {width}; "
                "make a video of each size"
            )
        if height % 2 or width % 2:
            pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        self._last = max(self._last + 1, round(time * TICKS))
        picture.pts, picture.time_base = self._last, Fraction(1, TICKS)
        self._file.mux(self._stream.encode(picture))

    def close(self) -> None:
        """Finish the file; more pictures cannot follow."""
        if self._stream is not None:
            self._file.mux(self._stream.encode())
            self._stream = None
        self._file.close()

    def _begin(self, height: int, width: int) -> None:
        good = "libx264" in self._av.codecs_available
        options = {"preset": "veryfast", "crf": "20"} if good else {}
        self._stream = self._file.add_stream("libx264" if good else "mpeg4", rate=self._rate, options=options)
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = "yuv420p"
        if good:  # MPEG-4's clock is at most 65,535 ticks a second: there the frame rate stays the clock
            self._stream.codec_context.time_base = Fraction(1, TICKS)
        self._size = (height, width)


def _check_size(path: Path, frame: Any, max_pixels: int) -> None:
    if frame.width * frame.height > max_pixels:
        raise InputError(
            f"{path}: expected at most {max_pixels} pixels a frame, got {frame.width} x {frame.height}; "
            "raise max_pixels if it is meant"
        )


def _upright(frame: Any) -> Pixels:
    """(H, W, 3) uint8 RGB, turned as the file says that it is to be shown."""
    pixels: Pixels = frame.to_ndarray(format="rgb24")
    turns = {
        90: cv2.ROTATE_90_COUNTERCLOCKWISE,
        -90: cv2.ROTATE_90_CLOCKWISE,
        180: cv2.ROTATE_180,
        -180: cv2.ROTATE_180,
    }
    rotation = int(getattr(frame, "rotation", 0))
    return np.asarray(cv2.rotate(pixels, turns[rotation]), dtype=np.uint8) if rotation in turns else pixels

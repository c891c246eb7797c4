"""Pictures to a virtual camera (v4l2loopback), which other programs see as a camera. Linux only."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError, MissingDependencyError

Pixels = NDArray[np.uint8]
HOW = "make one: sudo modprobe v4l2loopback video_nr=9 exclusive_caps=1 card_label=delineate"


class VirtualCamera:
    """A virtual camera that is written to; a context manager.

    Its size is that of the first picture, even in width; later pictures of another size are scaled to it,
    as a camera cannot change. Pixels go out as YUYV of BT.601, limited range, which is what programs take a
    camera's to be.

    Args:
        path: the device, such as ``/dev/video9``.
        rate: frames per second that it tells; pictures are shown when they come.
        container: FFmpeg's output; another than ``"v4l2"`` writes a file.

    Raises:
        InputError: no such device, or one that takes no pictures.
        MissingDependencyError: PyAV is not installed.
    """

    def __init__(self, path: str | Path, rate: float = 30.0, container: str = "v4l2") -> None:
        self.path, self._container = Path(path), container
        self._rate = Fraction(rate).limit_denominator(1001)
        self._file: Any = None
        self._stream: Any = None
        self._count = 0
        if container == "v4l2":
            self._check()
        try:
            import av
        except ImportError:
            raise MissingDependencyError(
                f"{path}: expected the package av to write video, got none; pip install 'delineate[video]'"
            ) from None
        self._av = av

    def __enter__(self) -> VirtualCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, pixels: Pixels) -> None:
        """Shows the next picture, (H, W, 3) uint8 RGB.

        Raises:
            InputError: the device takes no pictures.
        """
        if self._stream is None:
            self._begin(pixels.shape[0], pixels.shape[1] + pixels.shape[1] % 2)
        size = (self._stream.width, self._stream.height)
        if (pixels.shape[1], pixels.shape[0]) != size:
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = frame.reformat(format="yuyv422", dst_colorspace="ITU601", dst_color_range="MPEG")
        frame.pts, frame.time_base = self._count, 1 / self._rate
        self._count += 1
        try:
            self._file.mux(self._stream.encode(frame))
        except (self._av.error.FFmpegError, OSError) as error:
            raise self._refused(error) from None

    def close(self) -> None:
        """Lets go of the device."""
        if self._file is not None:
            self._file.close()
            self._file = self._stream = None

    def _begin(self, height: int, width: int) -> None:
        try:
            self._file = self._av.open(str(self.path), "w", format=self._container)
            self._stream = self._file.add_stream("rawvideo", rate=self._rate)
            self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuyv422"
            self._file.start_encoding()
        except (self._av.error.FFmpegError, OSError) as error:
            raise self._refused(error) from None

    def _refused(self, error: BaseException) -> InputError:
        reason = str(getattr(error, "strerror", None) or error).lower()
        return InputError(f"{self.path}: expected a camera that takes pictures, got {reason}; {HOW}")

    def _check(self) -> None:
        if not sys.platform.startswith("linux"):
            raise InputError(
                f"{self.path}: expected Linux for a virtual camera, got {sys.platform}; "
                "let the other program open the stream's address instead"
            )
        if not self.path.is_char_device():
            what = "something else" if self.path.exists() else "nothing there"
            raise InputError(f"{self.path}: expected a virtual camera, got {what}; {HOW}")

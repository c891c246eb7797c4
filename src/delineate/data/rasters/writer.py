"""What every writer of large images does: take windows in any order, finish the file whole or not at all."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError


class RasterWriter(ABC):
    """Writes an image of any size by windows; a context manager, safe between threads.

    Windows may come in any order and overlap; the last one counts. What is never written is 0. The file
    takes its name when the block ends well; when it ends with an error nothing is left.

    Attributes:
        path: where to.
        size: (height, width).
        channels: how many; with one, windows are (h, w), with more (h, w, C).
        dtype: of the windows.
        labels: whether the numbers are ids, whose reduced levels must not be averages.
    """

    def __init__(self, path: Path, size: tuple[int, int], channels: int, dtype: Any, labels: bool) -> None:
        self.path, self.size, self.channels, self.labels = Path(path), size, channels, labels
        self.dtype = np.dtype(dtype)
        if min(size) < 1 or channels < 1:
            raise InputError(
                f"{path}: expected a size of at least 1 x 1 and a channel, got {size} and {channels} "
                "channels; check them"
            )
        if labels and (channels > 1 or self.dtype.kind not in "iu"):
            raise InputError(
                f"{path}: expected whole numbers in one channel as labels, got {channels} of {self.dtype}; "
                "use uint16 or uint32"
            )
        if not labels and self.dtype not in (np.uint8, np.uint16, np.float32):
            raise InputError(
                f"{path}: expected uint8, uint16 or float32 for an image, got {self.dtype}; convert it"
            )
        self._lock = threading.Lock()
        self._done = False

    def write(self, x0: int, y0: int, pixels: NDArray[Any]) -> None:
        """Writes a window whose top left corner is at ``x0``, ``y0``.

        Raises:
            InputError: another shape or type, or a window that is not inside the image.
        """
        height, width = pixels.shape[:2] if pixels.ndim >= 2 else (0, 0)
        inside = x0 >= 0 and y0 >= 0 and x0 + width <= self.size[1] and y0 + height <= self.size[0]
        fits = pixels.shape[2:] == (() if self.channels == 1 else (self.channels,))
        if not (inside and fits and pixels.size and pixels.dtype == self.dtype):
            whole = f"{self.size[1]} x {self.size[0]}" + (f" x {self.channels}" if self.channels > 1 else "")
            raise InputError(
                f"{self.path}: expected a window of {self.dtype} inside {whole}, got "
                f" {pixels.dtype} {pixels.shape} at x {x0}, y {y0}; cut or convert it"
            )
        with self._lock:
            self._put(x0, y0, pixels)

    def write_all(self, windows: Iterable[tuple[int, int, NDArray[Any]]]) -> None:
        """Writes windows ``(x0, y0, pixels)`` from an iterator, one at a time.

        Raises:
            InputError: as :meth:`write`.
        """
        for x0, y0, pixels in windows:
            self.write(x0, y0, pixels)

    def close(self) -> Path:
        """Makes the reduced levels and gives the file its name.

        Returns:
            The file's path.

        Raises:
            InputError: it cannot be written.
        """
        if not self._done:
            self._done = True
            try:
                self._finish()
            finally:
                self._discard()
        return self.path

    def abort(self) -> None:
        """Leaves nothing behind."""
        self._done = True
        self._discard()

    @abstractmethod
    def _put(self, x0: int, y0: int, pixels: NDArray[Any]) -> None:
        """Keeps a window that has been checked."""

    @abstractmethod
    def _finish(self) -> None:
        """Completes the file and moves it to its place."""

    @abstractmethod
    def _discard(self) -> None:
        """Removes whatever is temporary."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()


def level_sizes(size: tuple[int, int], tile: int, count: int | None = None) -> list[tuple[int, int]]:
    """(height, width) of each level, each half the one before, until one tile holds the last.

    Args:
        size: of the finest.
        tile: side of a tile.
        count: make so many instead.

    Example:
        >>> level_sizes((1000, 601), 512)
        [(1000, 601), (500, 301)]
    """
    found = [size]
    while len(found) < count if count is not None else max(found[-1]) > tile:
        found.append((-(-found[-1][0] // 2), -(-found[-1][1] // 2)))
    return found

"""What every raster can do: windows at any stored resolution, an overview, what the file says of itself."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.data.georeference import Georeference

from .slices import Box

Channels = int | Sequence[int] | Literal["all"] | None
BLOCK_BYTES = 64 << 20
"""Memory for one part while all of an image is read."""


class Raster(ABC):
    """An image of any size of which parts are read; a context manager, safe between threads.

    It is pickled as its path and settings, so that another process opens the file for itself.

    Attributes:
        path: the file or folder.
        size: (height, width) at full resolution, upright.
        channels: how many a window has; 1 gives windows (h, w), more (h, w, C).
        dtype: uint8, uint16 or float32; any integer type for labels.
        colour: whether the channels are red, green, blue.
        pixel_size: side of a pixel in µm, or None where the file does not say so believably.
        georeference: where the image lies on the map, or None.
        nodata: the value that stands for no measurement, or None.
        levels: (height, width) of each stored resolution, the finest first.
        times: how many images of a time-lapse the file has.
        slices: how many slices (or other pages) each of them has.
        notes: what was chosen or left out, one phrase each.
    """

    path: Path
    size: tuple[int, int]
    channels: int
    dtype: np.dtype[Any]
    colour: bool = False
    pixel_size: float | None = None
    georeference: Georeference | None = None
    nodata: float | None = None
    levels: tuple[tuple[int, int], ...]
    times: int = 1
    slices: int = 1
    notes: tuple[str, ...] = ()
    labels: bool = False
    reopen: partial[Raster] | None = None

    @abstractmethod
    def _part(self, box: Box, level: int) -> NDArray[Any]:
        """The pixels of a window inside its level, (h, w) or (h, w, C) of the raster's dtype; NaN stays."""

    def window(self, x0: int, y0: int, x1: int, y1: int, level: int = 0) -> NDArray[Any]:
        """The pixels [x0, x1) x [y0, y1) of a level, in that level's own pixels.

        Returns:
            (y1 - y0, x1 - x0) for one channel, else (y1 - y0, x1 - x0, channels), of the raster's dtype. It
            is the caller's own: writing into it changes nothing else.

        Raises:
            InputError: outside the image, no such level, or a damaged part of the file; other windows of the
                same file may still be read.
        """
        return self._filled(self._checked(x0, y0, x1, y1, level))

    def valid(self, x0: int, y0: int, x1: int, y1: int, level: int = 0) -> NDArray[np.bool_]:
        """(h, w) where a window holds measurements.

        Every channel is finite there, not all are ``nodata``, alpha is above 0, a TIFF's own mask is set.

        Raises:
            InputError: as :meth:`window`.
        """
        pixels = self._checked(x0, y0, x1, y1, level)
        flat = pixels if pixels.ndim == 3 else pixels[:, :, None]
        known = np.isfinite(flat).all(axis=2) if flat.dtype.kind == "f" else np.ones(flat.shape[:2], bool)
        if self.nodata is not None and np.isfinite(self.nodata):
            known &= (flat != self.nodata).any(axis=2)
        told = self._told_valid((x0, y0, x1, y1), level)
        return np.asarray(known if told is None else known & told)

    def _told_valid(self, box: Box, level: int) -> NDArray[np.bool_] | None:
        """(h, w) where the file says by itself that there are measurements; None where it says nothing."""
        return None

    def _checked(self, x0: int, y0: int, x1: int, y1: int, level: int) -> NDArray[Any]:
        if not 0 <= level < len(self.levels):
            raise InputError(
                f"{self.path}: expected a level in 0..{len(self.levels) - 1}, got {level}; see `levels`"
            )
        height, width = self.levels[level]
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            raise InputError(
                f"{self.path}: expected a window inside 0..{width} x 0..{height}, got x {x0}..{x1}, "
                f"y {y0}..{y1}; cut it at the image's edge"
            )
        return self._part((x0, y0, x1, y1), level)

    def _filled(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """NaN and infinity replaced by the finite extremes of the whole image (NaN by the lowest)."""
        if pixels.dtype.kind != "f" or np.isfinite(pixels).all():
            return pixels
        low, high = self._extremes
        return np.nan_to_num(pixels, copy=False, nan=low, posinf=high, neginf=low)

    @cached_property
    def _extremes(self) -> tuple[float, float]:
        """The lowest and highest finite value of the coarsest level; 0, 0 where there is none."""
        low, high = np.inf, -np.inf
        for box in self.blocks(len(self.levels) - 1):
            part = self._part(box, len(self.levels) - 1)
            finite = part[np.isfinite(part)]
            if finite.size:
                low, high = min(low, float(finite.min())), max(high, float(finite.max()))
        return (low, high) if low <= high else (0.0, 0.0)

    def overview(self, longest: int = 1024) -> NDArray[Any]:
        """The whole image, its longer side at most ``longest``; averages, or for labels the nearest values.

        It is made from the coarsest level that suffices, in parts of at most 64 MB. Without stored levels
        this reads the whole file once.

        Returns:
            (h, w) or (h, w, C) of the raster's dtype.

        Raises:
            InputError: a damaged part.
        """
        level = max(
            k for k, size in enumerate(self.levels) if k == 0 or max(size) >= min(longest, max(self.size))
        )
        height, width = self.levels[level]
        factor = max(1, max(height, width) // longest)
        small = (-(-height // factor), -(-width // factor))
        whole = np.empty(small if self.channels == 1 else (*small, self.channels), self.dtype)
        for x0, y0, x1, y1 in self.blocks(level, factor):
            part = reduced(self.window(x0, y0, x1, y1, level), factor, self.labels)
            top, left = y0 // factor, x0 // factor
            whole[top : top + part.shape[0], left : left + part.shape[1]] = part
        scale = min(1.0, longest / max(self.size))
        wanted = (max(1, round(self.size[1] * scale)), max(1, round(self.size[0] * scale)))
        if wanted == (whole.shape[1], whole.shape[0]):
            return whole
        return resized(whole, wanted, self.labels)

    def blocks(self, level: int = 0, multiple: int = 1) -> Iterator[Box]:
        """Boxes that cover a level, each of about 64 MB or less, so that little is decoded twice.

        Args:
            level: which.
            multiple: corners are multiples of it.

        Yields:
            x0, y0, x1, y1, row after row: bands of whole rows where the file stores rows, else squares.
        """
        height, width = self.levels[level]
        pixel = self.channels * self.dtype.itemsize
        if self._stored_width(level) >= width:
            wide, tall = width, BLOCK_BYTES // (width * pixel)
        else:
            wide = tall = math.isqrt(BLOCK_BYTES // pixel) // multiple * multiple
        wide, tall = max(wide, multiple), max(tall // multiple, 1) * multiple
        for top in range(0, height, tall):
            for left in range(0, width, wide):
                yield left, top, min(left + wide, width), min(top + tall, height)

    def _stored_width(self, level: int) -> int:
        """How wide the pieces are that the file decodes by themselves."""
        return self.levels[level][1]

    def close(self) -> None:  # noqa: B027 - what is held whole has nothing to close
        """Gives back what is held open; the raster cannot be read any more."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[[], Raster], tuple[()]]:
        if self.reopen is None:
            raise TypeError(f"{type(self).__name__} was not made by open_raster and cannot be pickled")
        return self.reopen, ()


def reduced(pixels: NDArray[Any], factor: int, nearest: bool) -> NDArray[Any]:
    """Each pixel the mean of ``factor`` x ``factor`` (fewer at the right and bottom edge), or one of them.

    Args:
        pixels: (H, W) or (H, W, C).
        factor: how many pixels become one, each way.
        nearest: take the middle one instead of the mean, for labels.

    Example:
        >>> reduced(np.array([[1, 3, 8], [1, 3, 8]], np.uint8), 2, nearest=False).tolist()
        [[2, 8]]
    """
    if factor == 1:
        return pixels
    if nearest:
        rows = np.minimum(np.arange(0, pixels.shape[0], factor) + factor // 2, pixels.shape[0] - 1)
        columns = np.minimum(np.arange(0, pixels.shape[1], factor) + factor // 2, pixels.shape[1] - 1)
        return np.ascontiguousarray(pixels[rows[:, None], columns])
    odd = [(0, -n % factor) for n in pixels.shape[:2]] + [(0, 0)] * (pixels.ndim - 2)
    if any(after for _, after in odd):
        pixels = np.pad(pixels, odd, mode="edge")
    return resized(pixels, (pixels.shape[1] // factor, pixels.shape[0] // factor), nearest=False)


def resized(pixels: NDArray[Any], size: tuple[int, int], nearest: bool) -> NDArray[Any]:
    """Pixels at another size (width, height): the mean of the area, or the nearest for labels."""
    if nearest:
        rows = (np.arange(size[1]) * pixels.shape[0] // size[1])[:, None]
        return np.ascontiguousarray(pixels[rows, np.arange(size[0]) * pixels.shape[1] // size[0]])
    if pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4):  # what OpenCV reduces fast
        return np.dstack([resized(pixels[:, :, k], size, nearest) for k in range(pixels.shape[2])])
    result = cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA)
    return np.asarray(result).reshape(size[1], size[0], *pixels.shape[2:])

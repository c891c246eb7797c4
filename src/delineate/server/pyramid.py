"""An image at all scales: whole in memory where it is small, in a cache on the disk where it is large."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from delineate.core.rle import MAX_PIXELS
from delineate.data.images import read
from delineate.data.tiff_file import opened_tiff

TILE = 256
"""Width and height of a tile."""
SMALL_VALUES = 48_000_000
"""Images of up to so many values (4,000 x 4,000 in RGB) are held whole in memory while they are looked at."""
RANGE = (1.0, 99.8)
"""Percentiles of the values that are shown as black and white at first."""


class Pyramid(Protocol):
    """What tiles are cut from.

    Attributes:
        size: (height, width) at full resolution.
        channels: how many.
        dtype: uint8, uint16 or float32.
        colour: whether the channels are red, green, blue.
        ranges: per channel the values that are shown as black and white at first.
        nbytes: memory that it holds.
    """

    size: tuple[int, int]
    channels: int
    dtype: np.dtype[Any]
    colour: bool
    ranges: list[tuple[float, float]]
    nbytes: int

    def level_size(self, level: int) -> tuple[int, int]:
        """(height, width) of a level."""

    def window(self, level: int, x0: int, y0: int, x1: int, y1: int) -> NDArray[Any]:
        """The pixels [x0, x1) x [y0, y1) of a level, (h, w, channels)."""


def halved(size: tuple[int, int], level: int) -> tuple[int, int]:
    """(height, width) of a level of an image of ``size``."""
    for _ in range(level):
        size = (-(-size[0] // 2), -(-size[1] // 2))
    return size


def levels(size: tuple[int, int]) -> int:
    """How many levels an image has: each halves the one before, the last is one tile."""
    count, longest = 1, max(size)
    while longest > TILE:
        longest = -(-longest // 2)
        count += 1
    return count


def half(pixels: NDArray[Any]) -> NDArray[Any]:
    """Each pixel the mean of two by two, (h, w, C) to (ceil(h / 2), ceil(w / 2), C); edges repeat."""
    odd = [(0, n % 2) for n in pixels.shape[:2]]
    if odd != [(0, 0), (0, 0)]:
        pixels = np.pad(pixels, (*odd, (0, 0)), mode="edge")
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    if pixels.shape[2] not in (1, 3, 4):  # what OpenCV halves fast
        return np.dstack([half(pixels[:, :, k : k + 1]) for k in range(pixels.shape[2])])
    reduced = cv2.resize(np.ascontiguousarray(pixels), (width, height), interpolation=cv2.INTER_AREA)
    return reduced.reshape(height, width, pixels.shape[2])


def ranges_of(pixels: NDArray[Any], colour: bool) -> list[tuple[float, float]]:
    """Per channel the values shown as black and white; 0 and 255 for colours of eight bits."""
    if pixels.dtype == np.uint8 and colour:
        return [(0.0, 255.0)] * 3
    found = []
    for k in range(pixels.shape[2]):
        low, high = np.percentile(pixels[:, :, k], RANGE).tolist()
        found.append((low, high if high > low else low + 1))
    return found


class SmallImage:
    """An image whole in memory; levels are made when they are first asked for."""

    def __init__(self, pixels: NDArray[Any]) -> None:
        stack = pixels if pixels.ndim == 3 else pixels[:, :, None]
        self._levels = [stack]
        self.size = (int(stack.shape[0]), int(stack.shape[1]))
        self.channels = int(stack.shape[2])
        self.dtype = stack.dtype
        self.colour = self.channels == 3
        self.ranges = ranges_of(stack[:: 1 + self.size[0] // 1024, :: 1 + self.size[1] // 1024], self.colour)
        self.nbytes = stack.nbytes * 4 // 3

    def level_size(self, level: int) -> tuple[int, int]:
        """(height, width) of a level."""
        return halved(self.size, level)

    def window(self, level: int, x0: int, y0: int, x1: int, y1: int) -> NDArray[Any]:
        """The pixels of a part of a level."""
        while len(self._levels) <= level:
            self._levels.append(half(self._levels[-1]))
        return self._levels[level][y0:y1, x0:x1]


def read_all(path: Path, channels: tuple[int, ...] | None) -> NDArray[Any]:
    """The whole image, (H, W, C), with the channels asked for or with all that it has.

    Raises:
        InputError: it cannot be read.
    """
    if channels is None:
        count = channel_count(path)
        channels = None if count in (1, 3) else tuple(range(count))
    pixels = read(path, channels=channels, max_pixels=MAX_PIXELS).pixels
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def channel_count(path: Path) -> int:
    """How many channels a TIFF stores; 3 for any other file, whose alpha does not count."""
    try:
        with opened_tiff(path) as file:
            series = file.series[0]
            sizes = [n for axis, n in zip(series.axes, series.shape, strict=True) if axis in "CS"]
            photometric, extra = int(series.keyframe.photometric), len(series.keyframe.extrasamples)
    except (tifffile.TiffFileError, OSError, IndexError, ValueError):
        return 3
    count = math.prod(sizes)
    plain = (photometric == 2 and count == 4) or (photometric in (0, 1) and count == 2)
    return 3 if photometric not in (0, 1, 2) or (plain and extra) else count

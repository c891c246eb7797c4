"""Reading the windows of a large image ahead of the model, whatever some of them hold."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.input_spec import Brightness, brightness_of, sample_step
from delineate.data.rasters import Raster

from .agreement import Window

BLOCK = 256
"""Where a window cannot be read, blocks of this side are tried one by one."""
READ_WHOLE = 1_000_000_000
"""Images of up to so many pixels are read wholly for their brightness, larger ones in part."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Read:
    """A window as it was read.

    Attributes:
        window: x0, y0, x1, y1 in the region that is looked at.
        pixels: (h, w) or (h, w, C); None where nothing of it can be read.
        damaged: how many blocks of it could not be read; they are 0.
        reason: why not.
        blank: nothing but one value, or no measurement at all.
    """

    window: Window
    pixels: NDArray[Any] | None
    damaged: int = 0
    reason: str = ""
    blank: bool = False


@dataclass(frozen=True, eq=False)
class Region:
    """A part of a raster, or all of it, in pixels of its own.

    Attributes:
        raster: the image.
        x: left column of the part.
        y: its top row.
        size: its (height, width).
        fill: what takes the place of the raster's value for no measurement.
    """

    raster: Raster
    x: int
    y: int
    size: tuple[int, int]
    fill: float = 0.0

    def read(self, window: Window) -> Read:
        """A window; what is damaged in it is left out block by block."""
        try:
            pixels, damaged, reason = self._pixels(window), 0, ""
        except InputError as error:
            reason = str(error)
            found, damaged = self._in_blocks(window)
            if found is None:
                return Read(window, None, damaged, reason)
            pixels = found
        blank = False
        nodata = self.raster.nodata
        if nodata is not None:
            missing = pixels == nodata if pixels.ndim == 2 else (pixels == nodata).all(axis=2)
            blank = bool(missing.all())
            pixels[missing] = pixels.dtype.type(self.fill)
        blank = blank or bool(pixels.min() == pixels.max())
        return Read(window, pixels, damaged, reason, blank)

    def pixels(self, window: Window) -> NDArray[Any]:
        """A window's pixels; 0 where they cannot be read."""
        found = self.read(window).pixels
        if found is not None:
            return found
        return self._nothing(window)

    def _pixels(self, window: Window) -> NDArray[Any]:
        x0, y0, x1, y1 = window
        return self.raster.window(self.x + x0, self.y + y0, self.x + x1, self.y + y1)

    def _nothing(self, window: Window) -> NDArray[Any]:
        x0, y0, x1, y1 = window
        channels = () if self.raster.channels == 1 else (self.raster.channels,)
        return np.zeros((y1 - y0, x1 - x0, *channels), self.raster.dtype)

    def _in_blocks(self, window: Window) -> tuple[NDArray[Any] | None, int]:
        """What can be read of a window, and how many blocks cannot."""
        x0, y0, x1, y1 = window
        whole, damaged, read = self._nothing(window), 0, 0
        down = [
            y0,
            *range(y0 + BLOCK - (self.y + y0) % BLOCK, y1, BLOCK),
            y1,
        ]  # blocks of the raster's own grid
        across = [x0, *range(x0 + BLOCK - (self.x + x0) % BLOCK, x1, BLOCK), x1]
        for top, bottom in pairwise(down):
            for left, right in pairwise(across):
                try:
                    part = self._pixels((left, top, right, bottom))
                except InputError:
                    damaged += 1
                    continue
                whole[top - y0 : bottom - y0, left - x0 : right - x0] = part
                read += 1
        return (whole if read else None), damaged


def ahead(make: Callable[[T], Read], of: Iterable[T], workers: int) -> Iterator[Read]:
    """What ``make`` gives for each, in order; ``workers`` threads are at most so many steps ahead."""
    waiting: deque[Future[Read]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="windows") as pool:
        try:
            for one in of:
                waiting.append(pool.submit(make, one))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def cells(size: tuple[int, int], side: int) -> list[Window]:
    """Windows of at most ``side`` pixels a side that share nothing and cover an image of ``size``."""
    return [
        (x, y, min(x + side, size[1]), min(y + side, size[0]))
        for y in range(0, size[0], side)
        for x in range(0, size[1], side)
    ]


def brightness_by_windows(
    region: Region,
    windows: list[Window],
    scaling: str,
    workers: int = 1,
    stain: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
) -> Brightness | None:
    """The brightness of a region, as :func:`delineate.core.batch.brightness_of` tells it of the whole.

    The same pixels are looked at: every so many, each way. Where the windows have more than a billion
    pixels only every second, third, .. of them is read. What is not measured (the raster's ``nodata``), or
    cannot be read, does not count.

    Args:
        region: what is looked at.
        windows: what of it, without overlap: all of it, or what has tissue.
        scaling: see :class:`delineate.core.batch.InputSpec`.
        workers: threads that read.
        stain: changes the colours of what the model sees.
    """
    if scaling == "range" and region.raster.dtype == np.uint8:
        return None
    step = sample_step(region.size)
    pixels = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in windows)
    apart = max(1, -(-pixels // READ_WHOLE))
    nodata, channels = region.raster.nodata, region.raster.channels
    samples = [np.zeros((0, channels), region.raster.dtype)]
    as_stored = replace(region, fill=0 if nodata is None else nodata)
    for read in ahead(as_stored.read, windows[::apart], workers):
        if read.pixels is None:
            continue
        x0, y0, _, _ = read.window
        values = read.pixels[-y0 % step :: step, -x0 % step :: step].reshape(-1, channels)
        samples.append(values if nodata is None else values[~(values == nodata).all(axis=1)])
    values = np.concatenate(samples)
    if stain is not None and len(values):
        values = stain(values[:, None])[:, 0]
    return brightness_of(values[:, None], scaling) if len(values) else (0.0, 0.0)

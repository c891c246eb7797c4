"""OME-Zarr, versions 0.1 to 0.5 (Zarr 2 and 3), read by windows at any stored resolution."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.data.channels import check_channels, too_many_channels

from .ome_zarr_layout import brief, find_image, open_store
from .raster import Channels, Raster
from .recent import Recent
from .slices import Box, Slices
from .values import plain_values
from .zarr_codecs import check_array

KEPT_BYTES = 64 << 20
"""Decoded chunks that are kept."""


class OmeZarrRaster(Raster):
    """An image in a Zarr store, a folder or a zip file.

    A chunk that was never written has the array's fill value, as Zarr defines; one that is there but cannot
    be decoded is refused.

    Args:
        path: the store, or the group of one image in it.
        channels, series, time, z, labels: as :func:`~delineate.data.rasters.open_raster`.

    Raises:
        MissingDependencyError: zarr is not installed.
        InputError: no image, damaged metadata, or no such series, channel, time or slice.
    """

    def __init__(
        self,
        path: Path,
        channels: Channels = None,
        series: int = 0,
        time: int = 0,
        z: int | str | None = None,
        labels: bool = False,
    ) -> None:
        self.path, self.labels = path, labels
        self._root = open_store(path)
        layout = find_image(self._root, path, series, labels)
        self._arrays, self._axes = layout.arrays, layout.axes
        self._where = f"{path}/{layout.name}" if layout.name else str(path)
        for array in self._arrays:
            if min(array.chunks) < 1:
                raise InputError(
                    f"{self._where}: expected chunks of 1 and more, got {tuple(array.chunks)}; write it again"
                )
            try:
                check_array(array)
            except ValueError as error:
                raise InputError(
                    f"{self._where}: expected chunks of numbers up to 1 GiB in codecs that are known, got "
                    f"{error}; write it again"
                ) from None
        self.times = layout.count("t")
        if not 0 <= time < self.times:
            raise InputError(
                f"{path}: expected a time in 0..{self.times - 1}, got {time}; choose one of them"
            )
        self._time = time
        self._depth = [n for a, n in zip(self._axes, self._arrays[0].shape, strict=True) if a in "z?"]
        self.slices = math.prod(self._depth)
        self._slices = Slices.choose(z, self.slices, str(path))
        self._chosen = self._choose(layout.count("c"), channels)
        self.levels = tuple((int(a.shape[-2]), int(a.shape[-1])) for a in self._arrays)
        self.size = self.levels[0]
        self._kept = Recent(KEPT_BYTES)
        probe = self._finish(np.zeros((1, 1, len(self._chosen)), self._arrays[0].dtype))
        self.dtype, self.channels = probe.dtype, len(self._chosen)
        if labels and (self.channels > 1 or self.dtype.kind not in "iu"):
            raise InputError(
                f"{path}: expected one whole number per pixel as labels, got {self.channels} of "
                f"{self._arrays[0].dtype}; save uint16 or uint32"
            )
        self.colour = layout.colour and self._chosen == [0, 1, 2]
        self.pixel_size = layout.pixel_size
        told = [
            (layout.series > 1, f"one of {layout.series} images ({layout.name})"),
            (z is None and self.slices > 1, f"first of {self.slices} slices"),
            (self.times > 1, f"one of {self.times} times"),
        ]
        self.notes = tuple(text for holds, text in told if holds)

    def _choose(self, total: int, channels: Channels) -> list[int]:
        if channels is None or channels == "all":
            if channels is None and total not in (1, 3):
                raise too_many_channels(total, str(self.path))
            return list(range(total))
        return check_channels(
            [channels] if isinstance(channels, int) else list(channels), total, str(self.path)
        )

    def _part(self, box: Box, level: int) -> NDArray[Any]:
        def one(wide: Box, k: int) -> NDArray[Any]:
            return self._finish(self._slice(wide, level, k))

        return np.ascontiguousarray(self._slices.read(one, box, self.levels[level]))

    def _stored_width(self, level: int) -> int:
        return int(self._arrays[level].chunks[-1])

    def _slice(self, box: Box, level: int, k: int) -> NDArray[Any]:
        """Stored numbers of a slice, (h, w, channels), put together from chunks."""
        x0, y0, x1, y1 = box
        array = self._arrays[level]
        tall, wide = array.chunks[-2:]
        tops, lefts = range(y0 // tall * tall, y1, tall), range(x0 // wide * wide, x1, wide)
        self._fetch(level, k, tops, lefts)
        result = np.empty((y1 - y0, x1 - x0, len(self._chosen)), array.dtype.newbyteorder("="))
        for top in tops:
            for left in lefts:
                part = self._chunk(level, k, top, left)
                a, b = max(y0, top), min(y1, top + part.shape[0])
                c, d = max(x0, left), min(x1, left + part.shape[1])
                result[a - y0 : b - y0, c - x0 : d - x0] = part[a - top : b - top, c - left : d - left]
        return result

    def _fetch(self, level: int, k: int, tops: range, lefts: range) -> None:
        """Reads chunks together, which zarr does faster, where none of them is kept and all can be."""
        size = len(tops) * tops.step * len(lefts) * lefts.step * len(self._chosen)
        if len(tops) * len(lefts) == 1 or size * self._arrays[level].dtype.itemsize > KEPT_BYTES // 2:
            return
        if any(self._kept.get((level, k, top, left)) is not None for top in tops for left in lefts):
            return
        try:
            block = self._read(
                level, k, slice(tops[0], tops[-1] + tops.step), slice(lefts[0], lefts[-1] + lefts.step)
            )
        except Exception:  # one of them is damaged; read one by one they tell which
            return
        for top in tops:
            for left in lefts:
                a, c = top - tops[0], left - lefts[0]
                part = np.ascontiguousarray(block[a : a + tops.step, c : c + lefts.step])
                self._kept.put((level, k, top, left), part, part.nbytes)

    def _chunk(self, level: int, k: int, top: int, left: int) -> NDArray[Any]:
        """A decoded chunk's rows and columns of the chosen channels, (h, w, channels)."""
        kept: NDArray[Any] | None = self._kept.get((level, k, top, left))
        if kept is not None:
            return kept
        tall, wide = self._arrays[level].chunks[-2:]
        try:
            part = self._read(level, k, slice(top, top + tall), slice(left, left + wide))
        except Exception as error:  # codecs and stores raise whatever they like on damaged data
            raise InputError(
                f"{self._where}: expected a whole chunk at x {left}, y {top} of level {level}, got a damaged "
                f"one: {brief(error)}; fetch it again"
            ) from None
        self._kept.put((level, k, top, left), part, part.nbytes)
        return part

    def _read(self, level: int, k: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Rows and columns of the chosen channels as zarr decodes them, (h, w, channels)."""
        slices = iter(np.unravel_index(k, self._depth) if self._depth else ())
        first, last = min(self._chosen), max(self._chosen)
        at: list[Any] = [
            self._time if axis == "t" else slice(first, last + 1) if axis == "c" else int(next(slices))
            for axis in self._axes[:-2]
        ]
        found = np.asarray(self._arrays[level][(*at, rows, columns)])
        planes = found if "c" in self._axes else found[None]
        return np.ascontiguousarray(np.moveaxis(planes[[c - first for c in self._chosen]], 0, 2))

    def _finish(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Stored numbers (h, w, n) as a window gives them."""
        pixels = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
        if self.labels:
            return pixels.astype(np.uint8) if pixels.dtype.kind == "b" else pixels
        return plain_values(pixels)

    def close(self) -> None:
        """Closes the store; what is decoded is given back."""
        self._kept.clear()
        self._root.store.close()

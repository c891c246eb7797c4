"""Parts of a TIFF, decoded one tile or strip at a time: the picture is never held whole."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .file_parts import FileParts
from .recent import Recent

SEGMENT_BYTES = 64 << 20
"""The largest tile or strip that is decoded by itself; a file of larger ones is read whole, once."""
KEPT_BYTES = 64 << 20
"""Decoded tiles and strips that are kept."""
_DECODERS = ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 1)), thread_name_prefix="tiff")
_GREY, _RGB, _YCBCR, _JPEG = 1, 2, 6, 7


class TiffWindows:
    """One TIFF at full resolution; safe between threads.

    Args:
        path: the file.
        channels: which channels, counted from 0 as stored; None takes all (alpha not).

    Raises:
        InputError: not a TIFF that can be read in parts; it may be one that can be read whole.
    """

    def __init__(self, path: Path, channels: tuple[int, ...] | None = None) -> None:
        self._path = path
        try:
            self._file = tifffile.TiffFile(path, _multifile=False)
        except (tifffile.TiffFileError, OSError) as error:
            raise InputError(f"{path}: expected a TIFF, got another file ({error}); convert it") from None
        try:
            pages, samples = _planes(self._file, path)
        except Exception:
            self._file.close()
            raise
        key = pages[0]
        self.size = (int(key.imagelength), int(key.imagewidth))
        self.dtype = np.dtype(key.dtype).newbyteorder("=")
        stored = len(pages) * samples
        extra = samples > 1 and len(key.extrasamples) > 0
        self._chosen = tuple(range(stored - extra)) if channels is None else channels
        if any(not 0 <= c < stored for c in self._chosen):
            self._file.close()
            raise InputError(f"{path}: expected channels in 0..{stored - 1}, got {channels}; choose others")
        self.channels = len(self._chosen)
        self.colour = self.channels == 3 and int(key.photometric) in (_RGB, _YCBCR)
        self._pages, self._samples = pages, samples
        self._apart = int(key.planarconfig) != 1
        self._groups = self._group()
        self._kept = Recent(KEPT_BYTES)
        for page in pages:  # what decoding needs is read now, not by several threads later
            page.decode, page.jpegtables, page.dataoffsets, page.databytecounts  # noqa: B018
        self._file.close()
        self._parts = FileParts(path)

    def window(self, x0: int, y0: int, x1: int, y1: int) -> NDArray[Any]:
        """The pixels [x0, x1) x [y0, y1), (h, w, channels)."""
        result = np.zeros((y1 - y0, x1 - x0, self.channels), self.dtype)
        places = [
            (channels, number, index, left, top)
            for channels, number, plane in self._groups
            for top, left, index in self._met(number, plane, (x0, y0, x1, y1))
        ]
        keys = [(number, index) for _, number, index, _, _ in places]
        parts = _DECODERS.map(self._segment, keys) if len(keys) > 4 else map(self._segment, keys)
        for (channels, _, _, left, top), part in zip(places, parts, strict=True):
            if part is None:
                continue
            a, b = max(y0, top), min(y1, top + part.shape[0])
            c, d = max(x0, left), min(x1, left + part.shape[1])
            if a >= b or c >= d:
                continue
            cut, target = (
                part[a - top : b - top, c - left : d - left],
                result[a - y0 : b - y0, c - x0 : d - x0],
            )
            if len(channels) == part.shape[2] and channels == sorted(channels) == list(range(self.channels)):
                target[:] = cut
            else:
                for at in channels:
                    sample = self._chosen[at] % self._samples if part.shape[2] > 1 else 0
                    target[:, :, at] = cut[:, :, sample]
        return np.nan_to_num(result, copy=False) if self.dtype.kind == "f" else result

    def _group(self) -> list[tuple[list[int], int, int]]:
        """Places among the chosen channels that lie in the same tiles, their page, and their plane in it."""
        found: dict[tuple[int, int], list[int]] = {}
        for at, channel in enumerate(self._chosen):
            number, sample = divmod(channel, self._samples)
            found.setdefault((number, sample if self._apart else 0), []).append(at)
        return [(channels, number, plane) for (number, plane), channels in found.items()]

    def _met(self, number: int, plane: int, box: tuple[int, int, int, int]) -> Iterator[tuple[int, int, int]]:
        """Top row, left column and index of the tiles or strips that meet a window."""
        x0, y0, x1, y1 = box
        tall, wide = self._pages[number].chunks[:2]
        down, across = math.ceil(self.size[0] / tall), math.ceil(self.size[1] / wide)
        for row in range(y0 // tall, math.ceil(y1 / tall)):
            for column in range(x0 // wide, math.ceil(x1 / wide)):
                yield row * tall, column * wide, (plane * down + row) * across + column

    def _segment(self, at: tuple[int, int]) -> NDArray[Any] | None:
        """A decoded tile or strip, (h, w, samples); None where the file leaves it out."""
        number, index = at
        kept: NDArray[Any] | None = self._kept.get(at)
        if kept is not None:
            return kept
        page = self._pages[number]
        offset, count = page.dataoffsets[index], page.databytecounts[index]
        if not count:
            return None
        data = self._parts.read(offset, count)
        if len(data) < count:
            raise InputError(
                f"{self._path}: expected a whole TIFF file, got one that is cut off; fetch it again"
            )
        try:
            found, _, shape = page.decode(data, index, jpegtables=page.jpegtables)
        except Exception as error:  # codecs raise whatever they like on damaged data
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"{self._path}: expected a whole TIFF file, got a damaged one: {reason}; save it again"
            ) from None
        if found is None:
            return None
        part = np.asarray(found).reshape(found.shape[-3:])[: shape[1], : shape[2]]
        part = np.ascontiguousarray(part.astype(self.dtype, copy=False))
        self._kept.put(at, part, part.nbytes)
        return part


def _planes(file: Any, path: Path) -> tuple[list[Any], int]:
    """The pages that hold the first picture's channels, and how many samples each has.

    Raises:
        InputError: a kind of TIFF that has to be read whole.
    """
    series = file.series[0]
    key = series.keyframe
    inner = key.axes
    lead = series.axes[: len(series.axes) - len(inner)]
    photometric, compression = int(key.photometric), int(key.compression)
    orientation = key.tags.get("Orientation")
    chunk = math.prod(key.chunks) * key.dtype.itemsize if key.dtype is not None else 0
    reasons = {
        "its axes": sorted(inner.replace("S", "")) != ["X", "Y"] or not series.axes.endswith(inner),
        "its colours": not (photometric in (_GREY, _RGB) or (photometric == _YCBCR and compression == _JPEG)),
        "its numbers": key.dtype not in (np.uint8, np.uint16, np.float32) or key.bitspersample % 8,
        "its orientation": orientation is not None and int(orientation.value) != 1,
        "its one block of data": series.is_truncated or chunk > SEGMENT_BYTES,
    }
    found = [reason for reason, holds in reasons.items() if holds]
    if found:
        raise InputError(
            f"{path}: expected a TIFF that can be read in parts, got {found[0]}; it is read whole"
        )
    shape = series.shape[: len(lead)]
    count = math.prod(n for axis, n in zip(lead, shape, strict=True) if axis == "C")
    pages = []
    for channel in range(count):
        at = [channel if axis == "C" else 0 for axis in lead]
        page = series.pages[int(np.ravel_multi_index(at, shape)) if at else 0]
        pages.append(page.aspage() if hasattr(page, "aspage") else page)
    return pages, int(key.samplesperpixel)

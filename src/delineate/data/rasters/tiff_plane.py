"""Parts of one page of a TIFF, decoded one tile or strip at a time: the page is never held whole."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.data import png

from .file_parts import FileParts
from .recent import Recent

SEGMENT_BYTES = 64 << 20
"""The largest compressed tile or strip that is decoded by itself; a file of larger ones is read whole."""


class NotInPartsError(InputError):
    """A file that can be read whole, perhaps, but not in parts."""


class TiffPlane:
    """One page, at one resolution; safe between threads.

    Args:
        page: a ``tifffile.TiffPage`` of a file that is still open; it may be closed afterwards.
        parts: the same file, for reading.
        kept: decoded tiles and strips of this file.
        where: the file's name for messages.
        start: where uncompressed pixels begin that no strip of this page's own tells of (ImageJ writes one
            page and all other pixels behind it); None takes the page's.

    Attributes:
        size: (height, width).
        samples: numbers per pixel.
        dtype: of the numbers as decoded, in the machine's byte order.
        piece: (height, width) of what is decoded by itself, a tile or strip.

    Raises:
        NotInPartsError: one compressed block that is too large.
    """

    def __init__(
        self, page: Any, parts: FileParts, kept: Recent, where: str, start: int | None = None
    ) -> None:
        key = page.keyframe
        self._page, self._parts, self._kept, self._where = page, parts, kept, where
        self.size = (int(key.imagelength), int(key.imagewidth))
        self.samples = int(key.samplesperpixel)
        self._apart = int(key.planarconfig) != 1 and self.samples > 1
        self.dtype = np.dtype(key.dtype).newbyteorder("=")
        self._stored = np.dtype(key.parent.byteorder + key.dtype.char)
        self._start = start
        self.piece = (int(key.chunks[0]), int(key.chunks[1]))
        if min(*self.size, *self.piece, self.samples) < 1:
            raise InputError(f"{where}: expected a TIFF with pixels, got a page without any; save it again")
        if start is None and page.is_final and sum(page.databytecounts) >= page.nbytes:
            self._start = int(page.dataoffsets[0])  # row after row, without a gap
        if self._start is None:
            if math.prod(key.chunks) * key.dtype.itemsize > SEGMENT_BYTES:
                raise NotInPartsError(
                    f"{where}: expected a TIFF of tiles or strips, got one compressed block; save it in tiles"
                )
            # What decoding needs is read now, not by several threads later.
            self._decode, self._tables = page.decode, page.jpegtables
            self._png = int(page.compression) == png.IN_TIFF
            self._offsets, self._counts = page.dataoffsets, page.databytecounts
            self._name = int(page.offset)

    def window(self, box: tuple[int, int, int, int], samples: list[int]) -> NDArray[Any]:
        """The numbers of a box x0, y0, x1, y1, (h, w, len(samples)), of the samples named, in their order.

        Raises:
            InputError: this part of the file is damaged or missing.
        """
        if self._start is not None:
            return self._from_block(self._start, box, samples)
        x0, y0, x1, y1 = box
        result = np.zeros((y1 - y0, x1 - x0, len(samples)), self.dtype)
        groups = (
            [(s, [k]) for k, s in enumerate(samples)] if self._apart else [(0, list(range(len(samples))))]
        )
        places = [(to, *met) for plane, to in groups for met in self._met(plane, box)]
        indices = [index for *_, index in places]
        parts = (
            _decoders(os.getpid()).map(self._segment, indices)
            if len(indices) > 4
            else map(self._segment, indices)
        )
        for (to, top, left, _), part in zip(places, parts, strict=True):
            if part is None:
                continue
            a, b = max(y0, top), min(y1, top + part.shape[0])
            c, d = max(x0, left), min(x1, left + part.shape[1])
            if a >= b or c >= d:
                continue
            cut = part[a - top : b - top, c - left : d - left]
            target = result[a - y0 : b - y0, c - x0 : d - x0]
            if not self._apart and samples == list(range(part.shape[2])):
                target[:] = cut
                continue
            for k in to:
                target[:, :, k] = cut[:, :, 0 if self._apart else samples[k]]
        return result

    def _from_block(self, start: int, box: tuple[int, int, int, int], samples: list[int]) -> NDArray[Any]:
        if not self._apart:
            return self._rows(start, box, self.samples)[:, :, samples]
        plane = math.prod(self.size) * self._stored.itemsize
        return np.concatenate([self._rows(start + s * plane, box, 1) for s in samples], axis=2)

    def _rows(self, start: int, box: tuple[int, int, int, int], per_pixel: int) -> NDArray[Any]:
        """Uncompressed rows cut to a box, (h, w, per_pixel)."""
        x0, y0, x1, y1 = box
        pixel = per_pixel * self._stored.itemsize
        wide, row = (x1 - x0) * pixel, self.size[1] * pixel
        if wide == row:
            data = self._parts.read(start + y0 * row, (y1 - y0) * row)
        else:
            data = b"".join(self._parts.read(start + y * row + x0 * pixel, wide) for y in range(y0, y1))
        if len(data) < (y1 - y0) * wide:
            raise self._cut_off()
        shape = (y1 - y0, x1 - x0, per_pixel)
        return np.frombuffer(data, self._stored).reshape(shape).astype(self.dtype)

    def _met(self, plane: int, box: tuple[int, int, int, int]) -> Iterator[tuple[int, int, int]]:
        """Top row, left column and index of the tiles or strips that meet a box."""
        x0, y0, x1, y1 = box
        tall, wide = self._page.keyframe.chunks[:2]
        down, across = math.ceil(self.size[0] / tall), math.ceil(self.size[1] / wide)
        for row in range(y0 // tall, math.ceil(y1 / tall)):
            for column in range(x0 // wide, math.ceil(x1 / wide)):
                yield row * tall, column * wide, (plane * down + row) * across + column

    def _segment(self, index: int) -> NDArray[Any] | None:
        """A decoded tile or strip, (h, w, samples); None where the file leaves it out."""
        kept: NDArray[Any] | None = self._kept.get((self._name, index))
        if kept is not None:
            return kept
        if index >= min(len(self._offsets), len(self._counts)):
            raise self._cut_off()
        offset, count = int(self._offsets[index]), int(self._counts[index])
        if not count:
            return None
        data = self._parts.read(offset, count)
        if len(data) < count:
            raise self._cut_off()
        try:
            found, _, shape = self._decode(data, index, jpegtables=self._tables)
            if found is None:
                return None
            part = np.asarray(found).reshape(found.shape[-3:])[: shape[1], : shape[2]]
        except Exception as error:  # codecs raise whatever they like on damaged data
            if self._png:
                png.outweigh()
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"{self._where}: expected a whole TIFF file, got a damaged one: {reason}; save it again"
            ) from None
        part = np.ascontiguousarray(part.astype(self.dtype, copy=False))
        self._kept.put((self._name, index), part, part.nbytes)
        return part

    def _cut_off(self) -> InputError:
        return InputError(
            f"{self._where}: expected a whole TIFF file, got one that is cut off; fetch it again"
        )


@cache
def _decoders(process: int) -> ThreadPoolExecutor:
    """Threads that decode, of this process (threads do not survive a fork)."""
    return ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 1)), thread_name_prefix=f"tiff-{process}")

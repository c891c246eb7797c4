"""Tiles of an image that grows in any order, compressed in one temporary file."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray

_LEVEL = 6


class ScratchFile:
    """A temporary file of compressed tiles; several levels of one image share it.

    Args:
        path: where it lies until :meth:`close`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("w+b")
        self.size = 0

    def add(self, data: bytes) -> tuple[int, int]:
        """Keeps bytes; gives their offset and count."""
        self._file.seek(self.size)
        self._file.write(data)
        self.size += len(data)
        return self.size - len(data), len(data)

    def get(self, offset: int, count: int) -> bytes:
        """What :meth:`add` kept."""
        self._file.seek(offset)
        return self._file.read(count)

    def close(self) -> None:
        """Removes the file."""
        self._file.close()
        self._path.unlink(missing_ok=True)


class TileScratch:
    """One level of an image, written and read by windows, whose tiles end as a TIFF holds them.

    A tile is compressed by deflate when many others were used since; with ``predictor`` it holds the
    differences of neighbours in a row (TIFF 6.0, section 14), which photographs compress better.

    Args:
        file: where compressed tiles go.
        size: (height, width).
        samples: numbers per pixel in a tile.
        dtype: of the numbers.
        tile: side of a tile, a multiple of 16.
        predictor: store differences.
        kept: bytes of tiles that stay decoded.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = ScratchFile(Path(folder) / "tiles")
        ...     level = TileScratch(file, (40, 30), 1, np.dtype(np.uint8), 16, predictor=True)
        ...     level.write(10, 12, np.full((8, 9, 1), 5, np.uint8))
        ...     part, count = level.read(17, 18, 21, 20)[:, :, 0].tolist(), len(list(level.encoded()))
        ...     file.close()
        ...     part, count
        ([[5, 5, 0, 0], [5, 5, 0, 0]], 6)
    """

    def __init__(
        self,
        file: ScratchFile,
        size: tuple[int, int],
        samples: int,
        dtype: np.dtype[Any],
        tile: int,
        *,
        predictor: bool,
        kept: int = 64 << 20,
    ) -> None:
        self._file, self.size, self._shape = file, size, (tile, tile, samples)
        self._dtype, self._tile, self._predictor = dtype.newbyteorder("<"), tile, predictor
        self._stored: dict[tuple[int, int], tuple[int, int]] = {}
        self._decoded: OrderedDict[tuple[int, int], NDArray[Any]] = OrderedDict()
        self._changed: set[tuple[int, int]] = set()
        self._most = max(2, kept // (tile * tile * samples * dtype.itemsize))

    def write(self, x0: int, y0: int, pixels: NDArray[Any]) -> None:
        """Puts a window (h, w, samples) that lies inside the level."""
        for at, inside, outside in self._met(x0, y0, x0 + pixels.shape[1], y0 + pixels.shape[0]):
            self._get(at)[inside] = pixels[outside]
            self._changed.add(at)
            self._shrink()

    def read(self, x0: int, y0: int, x1: int, y1: int) -> NDArray[Any]:
        """A window (h, w, samples); 0 where nothing was written."""
        pixels = np.zeros((y1 - y0, x1 - x0, self._shape[2]), self._dtype)
        for at, inside, outside in self._met(x0, y0, x1, y1):
            if at in self._stored or at in self._decoded:
                pixels[outside] = self._get(at)[inside]
                self._shrink()
        return pixels

    def encoded(self) -> Iterator[bytes]:
        """Every tile's compressed bytes, row after row; all tiles are whole, the edge's filled with 0."""
        blank = self._encode(np.zeros(self._shape, self._dtype))
        for row in range(-(-self.size[0] // self._tile)):
            for column in range(-(-self.size[1] // self._tile)):
                at = (row, column)
                if at in self._changed:
                    yield self._encode(self._decoded[at])
                elif at in self._stored:
                    yield self._file.get(*self._stored[at])
                else:
                    yield blank

    def _met(self, x0: int, y0: int, x1: int, y1: int) -> Iterator[tuple[tuple[int, int], Any, Any]]:
        """Tiles that meet a box: row and column, the part inside the tile, the part inside the box."""
        side = self._tile
        for row in range(y0 // side, -(-y1 // side)):
            for column in range(x0 // side, -(-x1 // side)):
                top, left = row * side, column * side
                a, b, c, d = max(y0, top), min(y1, top + side), max(x0, left), min(x1, left + side)
                yield (
                    (row, column),
                    (slice(a - top, b - top), slice(c - left, d - left)),
                    (slice(a - y0, b - y0), slice(c - x0, d - x0)),
                )

    def _get(self, at: tuple[int, int]) -> NDArray[Any]:
        if at in self._decoded:
            self._decoded.move_to_end(at)
        elif at in self._stored:
            self._decoded[at] = self._decode(self._file.get(*self._stored[at]))
        else:
            self._decoded[at] = np.zeros(self._shape, self._dtype)
        return self._decoded[at]

    def flush(self) -> None:
        """Puts all tiles into the file; none stays decoded."""
        self._shrink(0)

    def _shrink(self, most: int | None = None) -> None:
        """Puts tiles that were not used for long into the file."""
        while len(self._decoded) > (self._most if most is None else most):
            at, pixels = self._decoded.popitem(last=False)
            if at in self._changed:
                self._changed.discard(at)
                self._stored[at] = self._file.add(self._encode(pixels))

    def _encode(self, pixels: NDArray[Any]) -> bytes:
        if self._predictor:
            pixels = imagecodecs.delta_encode(pixels, axis=1)
        return bytes(imagecodecs.deflate_encode(pixels.tobytes(), level=_LEVEL))

    def _decode(self, data: bytes) -> NDArray[Any]:
        size = int(np.prod(self._shape)) * self._dtype.itemsize
        raw = imagecodecs.deflate_decode(data, out=size)
        pixels = np.frombuffer(raw, self._dtype).reshape(self._shape)
        return np.asarray(imagecodecs.delta_decode(pixels, axis=1)) if self._predictor else pixels.copy()

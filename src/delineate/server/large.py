"""Large images: full resolution from the file, reduced levels from a cache on the disk, made once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.data.rasters.file_parts import FileParts
from delineate.data.rasters.tiff import TiffRaster

from .pyramid import half, halved, levels, ranges_of

BAND_BYTES = 32 << 20
"""Memory for one band of rows at full resolution, about."""
SAMPLE = 1 << 20
"""Pixels that are looked at for the range of brightness, about."""

_MAKING = threading.Lock()  # one cache at a time: two requests for one image must not make it twice


class Base(Protocol):
    """An image at full resolution, read in parts."""

    size: tuple[int, int]
    channels: int
    dtype: np.dtype[Any]
    colour: bool

    def window(self, x0: int, y0: int, x1: int, y1: int) -> NDArray[Any]:
        """The pixels [x0, x1) x [y0, y1), (h, w, channels)."""


class TiffBase:
    """A TIFF read in parts, always with a channel axis.

    Raises:
        InputError: not a TIFF that can be read in parts; it may be one that can be read whole.
    """

    def __init__(self, path: Path, channels: tuple[int, ...] | None) -> None:
        self._raster = TiffRaster(path, "all" if channels is None else channels)
        self.size, self.channels, self.dtype = self._raster.size, self._raster.channels, self._raster.dtype
        self.colour = self._raster.colour

    def window(self, x0: int, y0: int, x1: int, y1: int) -> NDArray[Any]:
        """The pixels of a part, (h, w, channels)."""
        return self._raster.window(x0, y0, x1, y1).reshape(y1 - y0, x1 - x0, self.channels)


class RawFile:
    """Pixels in a plain file, row after row; read in parts, safe between threads."""

    def __init__(
        self, path: Path, size: tuple[int, int], channels: int, dtype: np.dtype[Any], colour: bool
    ) -> None:
        self.size, self.channels, self.dtype, self.colour = size, channels, dtype, colour
        self._parts = FileParts(path)

    def window(self, x0: int, y0: int, x1: int, y1: int) -> NDArray[Any]:
        """The pixels of a part, (h, w, channels)."""
        pixel = self.channels * self.dtype.itemsize
        wide, row = (x1 - x0) * pixel, self.size[1] * pixel
        if wide == row:
            data = self._parts.read(y0 * row, (y1 - y0) * row)
        else:
            data = b"".join(self._parts.read(y * row + x0 * pixel, wide) for y in range(y0, y1))
        return np.frombuffer(data, self.dtype).reshape(y1 - y0, x1 - x0, self.channels)


class LargeImage:
    """An image of which only the parts that are looked at are read.

    Attributes:
        size: (height, width) at full resolution.
        channels: how many.
        dtype: uint8, uint16 or float32.
        colour: whether the channels are red, green, blue.
        ranges: per channel the values shown as black and white at first.
        nbytes: memory that it holds.
    """

    nbytes = 1 << 20

    def __init__(self, base: Base, folder: Path) -> None:
        self._base = base
        self.size, self.channels, self.dtype, self.colour = base.size, base.channels, base.dtype, base.colour
        self.ranges = [tuple(r) for r in json.loads((folder / "pyramid.json").read_text())["ranges"]]
        self._levels = [
            RawFile(folder / f"{k}.raw", halved(base.size, k), base.channels, base.dtype, base.colour)
            for k in range(1, levels(base.size))
        ]

    def level_size(self, level: int) -> tuple[int, int]:
        """(height, width) of a level."""
        return halved(self.size, level)

    def window(self, level: int, x0: int, y0: int, x1: int, y1: int) -> NDArray[Any]:
        """The pixels of a part of a level, (h, w, channels)."""
        source = self._base if level == 0 else self._levels[level - 1]
        return source.window(x0, y0, x1, y1)


def file_key(path: Path, channels: tuple[int, ...] | None) -> str:
    """A name for a file as it is now: another one once it was written again."""
    stat = path.stat()
    text = f"{path}\0{stat.st_mtime_ns}\0{stat.st_size}\0{channels}"
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def open_large(path: Path, channels: tuple[int, ...] | None, cache: Path) -> LargeImage:
    """A large image; its cache is made now where it is missing.

    A TIFF of tiles or strips is read in parts. Any other file is decoded whole, once, by a process of its
    own whose memory ends with it.

    Raises:
        InputError: it cannot be read, or the disk is too full for its cache.
    """
    folder = cache / file_key(path, channels)
    base: Base | None
    try:
        base = TiffBase(path, channels)
    except InputError:
        base = None
    with _MAKING:
        if not (folder / "pyramid.json").is_file():
            with _made(folder) as temporary:
                if base is None:
                    _flatten(path, channels, temporary)
                _build(base or _raw_base(temporary), temporary)
    return LargeImage(base or _raw_base(folder), folder)


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[Path]:
    """A temporary folder that takes its name when all went well."""
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        with contextlib.suppress(OSError):  # another server was faster
            temporary.rename(folder)
    except OSError as error:
        raise InputError(
            f"{folder.parent}: expected room for the cache of a large image, got {error.strerror}; make room"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _build(base: Base, folder: Path) -> None:
    """Writes levels 1, 2, .. and the ranges, one band of rows after the other."""
    height, width = base.size
    count = levels(base.size)
    needed = height * width * base.channels * base.dtype.itemsize // 3
    if shutil.disk_usage(folder).free < needed + (64 << 20):
        raise InputError(
            f"{folder.parent}: expected {needed >> 20} MB of free disk, got less; make room there"
        )
    step = 1 << (count - 1)  # so that every level of a band has whole rows
    rows = BAND_BYTES // (width * base.channels * base.dtype.itemsize)
    band = max(step, rows // step * step)
    apart = max(1, math.isqrt(height * width // SAMPLE))
    samples = []
    with contextlib.ExitStack() as files:
        out = [files.enter_context((folder / f"{k}.raw").open("wb")) for k in range(1, count)]
        for top in range(0, height, band):
            pixels = base.window(0, top, width, min(top + band, height))
            samples.append(pixels[-top % apart :: apart, ::apart].copy())
            for file in out:
                pixels = half(pixels)
                file.write(np.ascontiguousarray(pixels).data)
    ranges = ranges_of(np.concatenate(samples), base.colour)
    (folder / "pyramid.json").write_text(json.dumps({"ranges": ranges}))


def _flatten(path: Path, channels: tuple[int, ...] | None, folder: Path) -> None:
    """Decodes a file in another process, into a plain file."""
    wanted = "" if channels is None else ",".join(map(str, channels))
    command = [sys.executable, "-m", "delineate.server.flatten", str(path), str(folder), wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"code {done.returncode}: perhaps too little memory"]
        raise InputError(lines[-1] if ": expected" in lines[-1] else f"{path}: cannot be read: {lines[-1]}")


def _raw_base(folder: Path) -> RawFile:
    told: dict[str, Any] = json.loads((folder / "0.json").read_text())
    size = (told["size"][0], told["size"][1])
    return RawFile(folder / "0.raw", size, told["channels"], np.dtype(told["dtype"]), told["colour"])

"""From a file to the images in it, one at a time: pages, times of a time-lapse, projections of stacks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from delineate.core.errors import InputError
from delineate.data.channel_names import chosen_channels
from delineate.data.images import ImageFile, read
from delineate.data.limits import MAX_PIXELS, check_size
from delineate.data.projection import PROJECTIONS
from delineate.data.rasters import open_raster


@dataclass(frozen=True)
class Reading:
    """How files are read.

    Attributes:
        channels: numbers from 0, or names as the file has them; one, or three. None: as stored.
        page: one page of a multi-page TIFF, from 0; None: all of them, each an image.
        z: one image of the slices of a stack: ``max``, ``mean``, ``focus``, or a slice's number from 0. Of a
            time-lapse that gives an image for each time. None: every slice is an image.
        max_pixels: refuse larger images.
    """

    channels: tuple[int | str, ...] | None = None
    page: int | None = None
    z: str | int | None = None
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        if isinstance(self.z, str) and self.z not in PROJECTIONS:
            raise InputError(
                f"z: expected {', '.join(PROJECTIONS)} or a slice's number from 0, got {self.z!r}; choose one"
            )
        if isinstance(self.z, int) and self.z < 0:
            raise InputError(f"z: expected a slice's number from 0, got {self.z}; count from 0")
        if self.z is not None and self.page is not None:
            raise InputError("predict: expected a page or z, got both; leave one out")


@dataclass(frozen=True, eq=False)
class Unit:
    """One image of a source.

    Attributes:
        image: its pixels and what is known of them.
        number: which it is, from 0.
        count: how many the source has.
        suffix: what tells its files from those of the others; empty where it is the only one.
    """

    image: ImageFile
    number: int
    count: int
    suffix: str = ""


def images_of(
    source: str,
    reading: Reading,
    done: Callable[[int], bool] = lambda _: False,
    count: int | None = None,
) -> Iterator[Unit]:
    """The images of a file, or of standard input (``-``), decoded one at a time.

    Args:
        source: the path.
        reading: how.
        done: which of them are not wanted; they are not decoded.
        count: how many there are, where that is known.

    Raises:
        InputError: as :func:`delineate.data.images.read`.
    """
    if source == "-":
        yield from _pages(sys.stdin.buffer.read(), reading, _numbers(reading, None), done, count)
        return
    path = Path(source)
    channels = _numbers(reading, path)
    if path.is_dir() or reading.z is not None:
        yield from _times(path, reading, channels, done)
    elif reading.page is not None:
        if not done(0):
            image = read(path, channels=channels, page=reading.page, max_pixels=reading.max_pixels)
            yield Unit(image, 0, 1, f".page{image.page}" if image.pages > 1 else "")
    else:
        yield from _pages(path, reading, channels, done, count)


def _numbers(reading: Reading, path: Path | None) -> tuple[int, ...] | None:
    if reading.channels is None:
        return None
    if path is None:
        if any(isinstance(one, str) for one in reading.channels):
            raise InputError("stdin: expected channels by number, got names; count them from 0")
        return tuple(int(one) for one in reading.channels)
    return chosen_channels(reading.channels, path)


def _pages(
    source: Path | bytes,
    reading: Reading,
    channels: tuple[int, ...] | None,
    done: Callable[[int], bool],
    count: int | None,
) -> Iterator[Unit]:
    if isinstance(source, bytes) and reading.page is not None:
        image = read(source, channels=channels, page=reading.page, max_pixels=reading.max_pixels)
        yield Unit(image, 0, 1, f".page{image.page}" if image.pages > 1 else "")
        return
    page = 0
    while count is None or page < count:
        if count is None or not done(page):
            image = read(source, channels=channels, page=page, max_pixels=reading.max_pixels)
            count = image.pages
            if not done(page):
                yield Unit(image, page, count, f".page{page}" if count > 1 else "")
        page += 1


def _times(
    path: Path, reading: Reading, channels: tuple[int, ...] | None, done: Callable[[int], bool]
) -> Iterator[Unit]:
    """An image for each time, of one slice or a projection of all; without ``z`` one for each slice too."""
    with open_raster(path, channels=channels, max_pixels=reading.max_pixels) as first:
        times, slices = first.times, first.slices
    every = reading.z is None
    number = 0
    for time in range(times):
        for z in range(slices) if every else [reading.z]:
            if not done(number):
                yield _plane(path, reading, channels, (time, z), number, times * (slices if every else 1))
            number += 1


def _plane(
    path: Path,
    reading: Reading,
    channels: tuple[int, ...] | None,
    place: tuple[int, str | int | None],
    number: int,
    count: int,
) -> Unit:
    time, z = place
    z = z if z in PROJECTIONS else z or None
    with open_raster(path, channels=channels, time=time, z=z, max_pixels=reading.max_pixels) as raster:
        check_size(raster.size, str(path), reading.max_pixels, samples=raster.channels)
        height, width = raster.size
        pixels = raster.window(0, 0, width, height)
        notes = tuple(
            note for note in raster.notes if not (note.startswith("one of") and note.endswith("times"))
        )
        size, slices = raster.pixel_size, raster.slices
    if isinstance(z, str):
        notes = (*notes, f"{z} of {slices} slices" if slices > 1 else "one slice, nothing to project")
    letter = "t" if reading.z is not None else "page"
    image = ImageFile(pixels, path.name, path, "", size, count, number, notes)
    return Unit(image, number, count, f".{letter}{number}" if count > 1 else "")

"""A Zarr image, or a slide of OpenSlide's, read whole like any other image, where it fits the limit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.data.images import ImageFile
from delineate.data.limits import check_size

from .opening import open_raster
from .raster import Raster


def read_image(
    path: Path, channels: int | Sequence[int] | None, page: int | None, max_pixels: int
) -> ImageFile:
    """One page of an image that only a raster can read.

    Args:
        path: a Zarr store or a slide.
        channels: as :func:`delineate.data.images.read`.
        page: time point times the number of slices, plus the slice; None takes the first.
        max_pixels: the limit.

    Raises:
        InputError: as :func:`delineate.data.images.read`.
    """
    with open_raster(path, channels=channels) as first:
        pages, slices = first.times * first.slices, first.slices
        check_size(first.size, str(path), max_pixels, samples=first.channels)
        number = 0 if page is None else page
        if not 0 <= number < pages:
            raise InputError(
                f"{path}: expected a page in 0..{pages - 1}, got {number}; choose another `--page`"
            )
        if number == 0:
            return _image(first, pages, 0, noted=page is None)
    with open_raster(path, channels=channels, time=number // slices, z=number % slices) as raster:
        return _image(raster, pages, number, noted=False)


def read_ids(path: Path, max_pixels: int) -> NDArray[Any]:
    """(H, W) the numbers of a label image as stored.

    Raises:
        InputError: as :func:`delineate.data.images.read_labels`.
    """
    with open_raster(path, labels=True) as raster:
        check_size(raster.size, str(path), max_pixels)
        return raster.window(0, 0, raster.size[1], raster.size[0])


def _image(raster: Raster, pages: int, page: int, *, noted: bool) -> ImageFile:
    pixels = raster.window(0, 0, raster.size[1], raster.size[0])
    notes = (
        raster.notes if noted else tuple(n for n in raster.notes if n.startswith("one of") and "image" in n)
    )
    return ImageFile(
        np.ascontiguousarray(pixels),
        raster.path.name,
        raster.path,
        "slide"
        if raster.path.is_file() and not raster.path.name.lower().endswith((".zip", ".ozx"))
        else "Zarr",
        raster.pixel_size,
        pages,
        page,
        notes,
    )

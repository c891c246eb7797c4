"""How large an image is before it is read, and which images a file of many planes holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from delineate.core.errors import DelineateError, InputError
from delineate.data.images import read_size
from delineate.data.rasters import open_raster

from .batch_sources import Reading

LARGE = 50_000_000
"""Images of more pixels than this are looked at by windows."""


def pixels_in(path: str, reading: Reading) -> int:
    """How many pixels an image has, from its header; 0 where that cannot be told."""
    try:
        if Path(path).is_dir() or Path(path).suffix.lower() not in (".tif", ".tiff", ".png", ".jpg", ".jpeg"):
            with open_raster(path, channels="all", max_pixels=reading.max_pixels) as raster:
                return raster.size[0] * raster.size[1]
        height, width = read_size(path)
    except DelineateError:
        return 0  # whoever reads it tells why
    return height * width


def places_of(path: str, reading: Reading, stem: str) -> list[tuple[str, dict[str, Any]]]:
    """The images of a file (times; slices where they are not projected): name and place of each.

    Args:
        path: the file.
        reading: which of them.
        stem: what the file's results are called.

    Raises:
        InputError: not an image, or a page that it does not have.
    """
    z, page = reading.z, reading.page
    with open_raster(path, channels="all", max_pixels=reading.max_pixels) as raster:
        times = range(raster.times)
        slices: Any = range(raster.slices) if z is None else [z]
    places = [{"time": t, "z": s or None} for t in times for s in slices]
    word = "page" if z is None else "t"
    if len(places) == 1:
        return [("", {**places[0], "stem": stem})]
    chosen = range(len(places)) if page is None else [page]
    if page is not None and page >= len(places):
        raise InputError(f"{path}: expected a page in 0..{len(places) - 1}, got {page}; count from 0")
    return [(f" {word} {k}", {**places[k], "stem": f"{stem}.{word}{k}"}) for k in chosen]


def bare_name(path: str) -> str:
    """An image's name without the endings of its format.

    Example:
        >>> bare_name("a/b.ome.tif"), bare_name("c.zarr.zip")
        ('b', 'c')
    """
    return re.sub(r"(\.ome)?(\.zarr\.zip|\.[^.]*)$", "", Path(path).name) or "image"

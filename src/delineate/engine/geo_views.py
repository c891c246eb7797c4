"""What a map shows beneath its objects, and the page that ties its rows to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.data.rasters import open_raster
from delineate.data.sniff import SUFFIXES

from .geo_map import MapResult, MapSettings
from .geo_raster import MapImage

LONGEST = 2400


def overview_of(image: Path, settings: MapSettings) -> NDArray[np.uint8] | None:
    """The whole image at no more than 2400 pixels a side, stretched as the model saw it.

    An image of more than three bands shows its first three; where labels stand for the image, or it cannot
    be shown, None.
    """
    if image.suffix.lower() not in SUFFIXES and image.suffix.lower() not in (".zarr", ".svs", ".ndpi"):
        return None
    try:
        raster = open_raster(image, channels=settings.channels)
    except InputError:
        raster = open_raster(image, channels=(0, 1, 2))
    with raster:
        seen = MapImage(raster, settings.stretch)
        return seen.stretched(raster.overview(LONGEST))[0]


def write_map_page(path: Path, result: MapResult, image: Path, settings: MapSettings) -> Path:
    """A page of the table and the image; a click on either shows the other.

    The picture is the image at its own size, so it is meant for images of up to some thousand pixels a side.
    """
    from .objects_page import write_page

    pixels = overview_of(image, settings)
    if pixels is not None and pixels.shape[:2] != result.objects.size:
        from PIL import Image

        size = result.objects.size[::-1]
        pixels = np.asarray(Image.fromarray(pixels).resize(size))
    table = result.table.rename(columns={"number": "label"}).loc[:, lambda t: ~t.columns.duplicated()]
    table.attrs = dict(result.table.attrs)
    write_page(path, pixels, result.objects, table, title=image.name)
    return path

"""What a map shows beneath its objects, and the page that ties its rows to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.data.rasters import Raster, open_raster

from .geo_map import MapResult, MapSettings
from .geo_raster import MapImage
from .geo_table import doubtful

LONGEST = 2400


def overview_of(image: Path, settings: MapSettings) -> NDArray[np.uint8]:
    """The whole image at no more than 2400 pixels a side, stretched as the model saw it.

    An image of more than three bands shows its first three, one of two its first.
    """
    with _shown(image, settings) as raster:
        seen = MapImage(raster, settings.stretch)
        return seen.stretched(raster.overview(LONGEST))[0]


def _shown(image: Path, settings: MapSettings) -> Raster:
    for channels in (settings.channels, (0, 1, 2)):
        try:
            return open_raster(image, channels=channels)
        except InputError:
            continue
    return open_raster(image, channels=0)


def write_map_page(path: Path, result: MapResult, image: Path, settings: MapSettings) -> Path:
    """A page of the table and the image; a click on either shows the other."""
    from .objects_page import write_page

    table = result.table.rename(columns={"number": "label"}).loc[:, lambda t: ~t.columns.duplicated()]
    told = {name: np.where(table[name], "yes", "no") for name in ("squared", "at_edge")}
    table = table.assign(**told, doubtful=doubtful(table))  # a truth value is a mark there
    units, sources = (dict(result.table.attrs[key]) for key in ("units", "sources"))
    sources |= {"label": sources["number"], "doubtful": "mark: poor fit or tiny"}
    table.attrs = {"units": units, "sources": sources}
    write_page(path, overview_of(image, settings), result.objects, table, title=image.name)
    return path

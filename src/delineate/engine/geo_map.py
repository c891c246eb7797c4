"""From a map image to a layer of objects with areas in square metres: `dl.map_image`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from delineate.apply.geo import Footprints, footprints
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.data.georeference import Georeference
from delineate.data.rasters import Raster, open_raster
from delineate.data.vectors.layer import Layer, with_points

from .geo_heights import heights
from .geo_objects import Predictor, found_by_model, found_in_labels
from .geo_plane import Plane, plane_of
from .geo_raster import MapImage, Stretch
from .geo_table import map_table

log = logging.getLogger("delineate")
PIXELS = 2.0
"""The tolerance of simplifying, in pixels, where none is given and walls shall stand at right angles."""


@dataclass(frozen=True)
class MapSettings:
    """How objects become a map.

    Attributes:
        stretch: percentiles of the whole image that become black and white for the model; None: 8-bit
            images as they are, others 2 to 98.
        confidence: of a model, keep scores above it, 0..1; None is its default.
        regularise: right angles, for buildings.
        simplify: tolerance in metres (pixels without a place on the earth); None: two pixels with
            ``regularise``, else 0, outlines along pixel edges.
        min_area: objects under so many square metres (pixels) are left out.
        channels: bands for the model, from 0, one or three; None takes a grey or RGB image as it is.
        name: of the layer.
    """

    stretch: Stretch | None = None
    confidence: float | None = None
    regularise: bool = False
    simplify: float | None = None
    min_area: float = 0.0
    channels: tuple[int, ...] | None = None
    name: str = "objects"


DEFAULTS = MapSettings()


@dataclass(frozen=True, eq=False)
class MapResult:
    """A map of objects.

    Attributes:
        layer: their outlines in the image's reference system, and the table.
        objects: the same objects as masks, in the order of the table.
        footprints: the outlines on the plane.
        plane: how that plane lies to pixels and map.
        notes: what a reader must know, a sentence each.
    """

    layer: Layer
    objects: Instances
    footprints: Footprints
    plane: Plane
    notes: tuple[str, ...] = ()

    @property
    def table(self) -> pd.DataFrame:
        """One row for each object; ``attrs`` have units and sources."""
        return self.layer.table

    def save(self, path: str | Path) -> list[Path]:
        """Writes .gpkg, .geojson, .parquet or .shp; returns the files.

        Raises:
            InputError: another ending, or it cannot be written there.
        """
        from delineate.data.vectors import write_layer

        return write_layer(Path(path), self.layer)


def map_image(
    image: str | Path | None = None,
    *,
    model: Predictor | None = None,
    labels: str | Path | None = None,
    settings: MapSettings = DEFAULTS,
    surface: str | Path | None = None,
    terrain: str | Path | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> MapResult:
    """A map of the objects in a GeoTIFF, COG or any image: found by a model, or given as labels.

    Args:
        image: the image; may be left out where ``labels`` is a label image.
        model: finds the objects, window by window.
        labels: instead: a label image, or labels or results in any format that is read.
        settings: how outlines are drawn.
        surface: heights in metres (DSM) with a place on the map, for the objects' heights.
        terrain: heights of the bare ground (DTM); without it the ground around each object counts.
        progress: called with (windows done, windows in all).

    Raises:
        InputError: neither or both of model and labels, or a file that cannot be used.
        MissingDependencyError: shapely or pyproj is not installed.

    Example:
        >>> import tempfile, tifffile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tifffile.imwrite(f"{folder}/labels.tif", np.kron([[0, 1]], np.ones((4, 5), np.uint8)))
        ...     map_image(labels=f"{folder}/labels.tif").table["area_px"].tolist()
        [20.0]
    """
    if (model is None) == (labels is None):
        raise InputError("map: expected a model or labels, got both or none; give one of them")
    if image is None and labels is None:
        raise InputError("map: expected an image for the model, got none; give one")
    raster = None if image is None else open_raster(image, channels=settings.channels or _bands(model))
    try:
        if model is not None:
            assert raster is not None
            found = found_by_model(model, MapImage(raster, settings.stretch), settings.confidence, progress)
            own = None
        else:
            assert labels is not None
            found, own = found_in_labels(Path(labels), raster)
            if raster is not None:  # a file that was cut off is told, though only its place is needed
                raster.window(0, raster.size[0] - 1, raster.size[1], raster.size[0])
        return _mapped(found, _place(raster, own), settings, surface, terrain)
    finally:
        if raster is not None:
            raster.close()


def _bands(model: Predictor | None) -> Any:
    """Labels need the image's place alone, whatever its bands."""
    return None if model is not None else 0


def _place(raster: Raster | None, labels: Raster | None) -> Georeference | None:
    """Where the image lies, by itself or by its labels."""
    own = raster.georeference if raster is not None else None
    if own is None and labels is not None:
        own = labels.georeference
    if own is None:
        log.warning("the image has no place on the map: all is told in pixels")
    elif own.epsg is None:
        log.warning("the image names no reference system by an EPSG number: measures are told in pixels")
    return own


def _mapped(
    found: Instances,
    place: Georeference | None,
    settings: MapSettings,
    surface: str | Path | None,
    terrain: str | Path | None,
) -> MapResult:
    plane = plane_of(place, found.size)
    simplify = settings.simplify
    if simplify is None:
        simplify = PIXELS * plane.pixel if settings.regularise else 0.0
    drawn = footprints(
        found,
        plane.from_pixels,
        simplify=simplify,
        regularise=settings.regularise,
        min_area=settings.min_area,
    )
    rings = [ring for parts in drawn.shapes for part in parts for ring in part.rings]
    shapes = with_points(drawn.shapes, plane.to_map(np.concatenate(rings))) if rings else drawn.shapes
    numbered = found.ids if found.ids is not None else None
    table = map_table(drawn, found, plane, shapes, numbered)
    epsg = None if place is None else place.epsg
    notes = _notes(drawn, settings)
    if surface is not None:
        table = _with_heights(table, shapes, epsg, Path(surface), None if terrain is None else Path(terrain))
    elif terrain is not None:
        raise InputError("map, terrain: expected a surface model with it, got none; give the DSM too")
    layer = Layer(shapes, table, epsg, settings.name)
    kept = found[drawn.kept].replace(masks=drawn.masks, boxes=drawn.masks.boxes, ids=None, areas=None)
    return MapResult(layer, kept, drawn, plane, notes)


def _with_heights(
    table: pd.DataFrame, shapes: Any, epsg: int | None, surface: Path, terrain: Path | None
) -> pd.DataFrame:
    with open_raster(surface, channels=0) as model:
        if terrain is None:
            added = heights(shapes, epsg, model)
        else:
            with open_raster(terrain, channels=0) as ground:
                added = heights(shapes, epsg, model, ground)
    wide = pd.concat([table, added], axis=1)
    wide.attrs = {key: {**table.attrs[key], **added.attrs[key]} for key in ("units", "sources")}
    if len(added) and added["height_m"].isna().all():
        log.warning("%s: no object lies where it has heights; check that it covers the image", surface)
    return wide


def _notes(drawn: Footprints, settings: MapSettings) -> tuple[str, ...]:
    told = []
    if drawn.contested:
        told.append(f"pixels that several objects claimed, which the surest has: {drawn.contested}")
    if drawn.empty:
        told.append(f"objects without a pixel of their own, left out: {drawn.empty}")
    if drawn.small:
        told.append(f"objects under the least area, left out: {drawn.small}")
    kept = int(np.count_nonzero(~drawn.squared))
    if settings.regularise and kept:
        told.append(f"outlines that right angles did not fit, left as they were: {kept} of {len(drawn)}")
    return tuple(told)

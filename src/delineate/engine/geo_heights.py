"""Heights of objects from a surface model, above the ground around them or above a terrain model."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon
from delineate.data.rasters import Raster
from delineate.data.vectors.layer import Parts, reprojected

Floats = NDArray[np.float64]
RING = 10.0
"""Metres around an object in which the ground is looked for."""
GAP = 1.0
"""Metres next to an object that are left out: walls and eaves."""
GROUND = 25.0
"""Percentile of the heights in the ring that counts as ground; half of it may be trees and other roofs."""
TOP = 95.0

SOURCES = {
    "height_m": "median of the surface model inside, minus ground_m",
    "top_m": f"{TOP:g}th percentile of the surface model inside, minus ground_m",
    "ground_m": "",
    "surface_share": "share of the object where the surface model has values, 0 to 1",
}
UNITS = {"height_m": "m", "top_m": "m", "ground_m": "m above the model's zero"}


def heights(
    shapes: Sequence[Parts], epsg: int | None, surface: Raster, terrain: Raster | None = None
) -> pd.DataFrame:
    """``height_m``, ``top_m``, ``ground_m`` and ``surface_share`` of each object; NaN where nothing is known.

    The ground is the terrain model's median inside the object; without one, a low percentile of the surface
    model in a ring around it, other objects left out.

    Args:
        shapes: N objects in map coordinates.
        epsg: of these.
        surface: heights in metres with a place on the map (DSM).
        terrain: heights of the bare ground likewise (DTM).

    Raises:
        InputError: a model without a place on the map, or with several bands.
    """
    _check(surface, epsg)
    inside, ring = _values(shapes, epsg, surface, with_ring=terrain is None)
    if terrain is not None:
        _check(terrain, epsg)
        ring, _ = _values(shapes, epsg, terrain, with_ring=False)
    percentile = GROUND if terrain is None else 50.0
    rows = []
    for own, around in zip(inside, ring, strict=True):
        known, base = own[np.isfinite(own)], around[np.isfinite(around)]
        ground = float(np.percentile(base, percentile)) if len(base) else np.nan
        middle, top = np.percentile(known, (50, TOP)).tolist() if len(known) else (np.nan, np.nan)
        rows.append((middle - ground, top - ground, ground, len(known) / len(own) if len(own) else 0.0))
    table = pd.DataFrame(rows, columns=["height_m", "top_m", "ground_m", "surface_share"], dtype=np.float64)
    where = (
        "median of the terrain model inside"
        if terrain is not None
        else f"{GROUND:g}th percentile of the surface model {GAP:g} to {RING:g} m around, no other objects"
    )
    table.attrs = {"units": dict(UNITS), "sources": {**SOURCES, "ground_m": where}}
    return table


def _check(model: Raster, epsg: int | None) -> None:
    if model.georeference is None or model.channels != 1:
        raise InputError(
            f"{model.path}: expected heights as a GeoTIFF of one band with its place on the map, got "
            f"{model.channels} bands{'' if model.georeference else ' without a place'}; export it again"
        )
    if epsg is None and model.georeference.epsg is not None:
        raise InputError(
            f"{model.path}: expected an image with a reference system as the heights have, got none; save "
            "the image with it"
        )


def _values(
    shapes: Sequence[Parts], epsg: int | None, model: Raster, with_ring: bool
) -> tuple[list[Floats], list[Floats]]:
    """The model's values inside each object, and in the ring around it; NaN for nodata."""
    place = model.georeference
    assert place is not None
    there = tuple(shapes)
    if epsg is not None and place.epsg is not None:
        there = reprojected(there, epsg, place.epsg)
    pixels = [
        [Polygon(place.to_pixel(p.exterior), tuple(map(place.to_pixel, p.holes))) for p in s] for s in there
    ]
    metres = _pixel_metres(model)
    reach = int(np.ceil(RING / metres)) + 1 if with_ring else 0
    every = Masks.from_polygons([s for s in pixels if s], model.size).union() if any(pixels) else None
    inside, around = [], []
    for parts in pixels:
        own, ring = _one(parts, model, every, reach, metres)
        inside.append(own)
        around.append(ring)
    return inside, around


def _one(
    parts: Sequence[Polygon], model: Raster, every: Masks | None, reach: int, metres: float
) -> tuple[Floats, Floats]:
    none = np.zeros(0)
    if not parts or every is None:
        return none, none
    bounds = np.array([p.bounds for p in parts])
    height, width = model.size
    x0, y0 = np.maximum(np.floor(bounds[:, :2].min(axis=0)).astype(int) - reach, 0).tolist()
    x1, y1 = np.minimum(np.ceil(bounds[:, 2:].max(axis=0)).astype(int) + reach, (width, height)).tolist()
    if x1 <= x0 or y1 <= y0:
        return none, none
    values = model.window(x0, y0, x1, y1).astype(np.float64)
    if model.nodata is not None:
        values[values == model.nodata] = np.nan
    moved = [Polygon(p.exterior - [x0, y0], tuple(h - [x0, y0] for h in p.holes)) for p in parts]
    own = Masks.from_polygons([moved], (y1 - y0, x1 - x0)).dense()[0]
    if not own.any():  # smaller than a pixel of the model: the pixel it lies in
        x, y = np.concatenate([p.exterior for p in moved]).mean(axis=0).astype(int).tolist()
        own[min(max(y, 0), own.shape[0] - 1), min(max(x, 0), own.shape[1] - 1)] = True
    if not reach:
        return values[own], none
    distance = cv2.distanceTransform((~own).astype(np.uint8), cv2.DIST_L2, 5) * metres
    others = every.window(x0, y0, x1, y1).dense()[0]
    others = cv2.dilate(others.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    ring = (distance > GAP) & (distance <= RING) & ~(others & ~own)
    return values[own], values[ring]


def _pixel_metres(model: Raster) -> float:
    """Side of a pixel in metres, where the model's map says what its unit is; else taken for metres."""
    from .geo_plane import plane_of

    return plane_of(model.georeference, model.size).pixel

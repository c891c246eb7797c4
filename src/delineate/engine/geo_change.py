"""What changed on a map between two dates: two layers in, one layer of findings out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from delineate.apply.change import Changes, changes
from delineate.core.convert.shapely import to_shapely
from delineate.core.errors import InputError
from delineate.data.georeference import Georeference
from delineate.data.vectors import read_layer
from delineate.data.vectors.crs import crs_of
from delineate.data.vectors.layer import Layer, Parts, with_points

from .geo_plane import Plane, plane_of
from .geo_table import ground_measures

TOLERANCE = 2.0
CLASS_KEYS = ("class", "class_name", "label", "category")

SOURCES = {
    "number": "row of this table, drawn on its object",
    "state": "same, changed, gone or new",
    "class": "of the second date's file, of the first's where it is gone",
    "before": "row in the first date's file, from 1",
    "after": "row in the second date's file, from 1",
    "iou": "of the two outlines, the common shift taken out, within the tolerance; 0 to 1",
    "moved": "distance of the two centres, the common shift taken out",
    "area_before": "polygon area in an equal-area projection on the map's ellipsoid",
    "area_after": "polygon area in an equal-area projection on the map's ellipsoid",
    "area_change": "area_after minus area_before",
}


@dataclass(frozen=True, eq=False)
class MapChanges:
    """Findings of two dates.

    Attributes:
        layer: an outline for each finding, the second date's, of what is gone the first's; in the second
            date's reference system.
        found: what became of each object.
        plane: where the two were compared; its pixels are a metre (a pixel) each.
        size: (height, width) in those pixels that hold both dates.
        shapes: the outlines on the plane.
        unit: ``m``, or ``px`` for layers without a reference system.
    """

    layer: Layer
    found: Changes
    plane: Plane
    size: tuple[int, int]
    shapes: tuple[Parts, ...]
    unit: str


def map_changes(
    before: str | Path | Layer,
    after: str | Path | Layer,
    *,
    tolerance: float = TOLERANCE,
    same: float = 0.7,
    shift: tuple[float, float] | None = None,
) -> MapChanges:
    """Compares two layers of polygons.

    Args:
        before: the first date: .gpkg, .geojson, .parquet or .shp, of any tool; or a layer.
        after: the second date likewise, in any reference system.
        tolerance: metres that one object may lie off on its own.
        same: IoU from which an object is the same; below it is changed.
        shift: metres east and north that the second date lies off; None to find it.

    Raises:
        InputError: a file that cannot be used, or one layer with and one without a reference system.
        MissingDependencyError: shapely or pyproj is not installed.
    """
    first, second = (x if isinstance(x, Layer) else read_layer(Path(x)) for x in (before, after))
    if (first.epsg is None) != (second.epsg is None):
        raise InputError(
            f"map-change: expected both layers with a reference system, got EPSG:{first.epsg} and "
            f"EPSG:{second.epsg}; save the other with its own"
        )
    if second.epsg is not None:
        first = first.to(second.epsg)
    plane, size = _common_plane((*first.shapes, *second.shapes), second.epsg)
    ours, theirs = (_on(plane, layer.shapes) for layer in (first, second))
    found = changes(
        to_shapely(ours, mend=True),
        to_shapely(theirs, mend=True),
        tolerance=tolerance,
        same=same,
        shift=shift,
    )
    picked = [b if b >= 0 else a for a, b in zip(found.before.tolist(), found.after.tolist(), strict=True)]
    from_after = [b >= 0 for b in found.after.tolist()]
    shapes = tuple((second if f else first).shapes[k] for k, f in zip(picked, from_after, strict=True))
    table = _table(first, second, found, picked, from_after)
    layer = Layer(shapes, table, second.epsg, "changes")
    drawn = tuple((theirs if f else ours)[k] for k, f in zip(picked, from_after, strict=True))
    return MapChanges(layer, found, plane, size, drawn, "px" if second.epsg is None else "m")


def _common_plane(shapes: tuple[Parts, ...], epsg: int | None) -> tuple[Plane, tuple[int, int]]:
    """A plane that holds all shapes, and its size in pixels of about a metre."""
    points = [ring for parts in shapes for part in parts for ring in part.rings]
    if not points:
        return Plane(None, (0.0, 0.0), "px", 1.0), (1, 1)
    every = np.concatenate(points)
    low, high = every.min(axis=0), every.max(axis=0)
    if epsg is None:
        return Plane(None, (0.0, 0.0), "px", 1.0), (int(high[1]) + 2, int(high[0]) + 2)
    middle = (low + high) / 2
    degrees = bool(crs_of(epsg).is_geographic)
    wide = (
        max(np.cos(np.radians(middle[1])), 0.01) if degrees else 1.0
    )  # a degree east is shorter than one north
    extent = float(max(((high - low) * [wide, 1.0]).max() * 1.1, 1e-6))
    across, up = extent / wide, extent
    place = Georeference(
        (across / 1000, 0.0, middle[0] - across / 2, 0.0, -up / 1000, middle[1] + up / 2), epsg
    )
    return plane_of(place, (1000, 1000)), (1000, 1000)


def _on(plane: Plane, shapes: tuple[Parts, ...]) -> tuple[Parts, ...]:
    rings = [ring for parts in shapes for part in parts for ring in part.rings]
    if not rings or plane.georeference is None:
        return shapes
    return with_points(shapes, plane.from_pixels(plane.georeference.to_pixel(np.concatenate(rings))))


def _table(
    first: Layer, second: Layer, found: Changes, picked: list[int], from_after: list[bool]
) -> pd.DataFrame:
    unit = "px" if second.epsg is None else "m"
    areas = []
    for layer, index in ((first, found.before), (second, found.after)):
        own = (
            ground_measures(layer.shapes, second.epsg)[0]
            if second.epsg is not None
            else np.array([sum(part.area for part in parts) for parts in layer.shapes])
        )
        areas.append(np.array([own[k] if k >= 0 else np.nan for k in index.tolist()]))
    classes = (_classes(first), _classes(second))
    square = "px" if unit == "px" else "m2"
    table = pd.DataFrame(
        {
            "number": np.arange(1, len(picked) + 1),
            "state": list(found.state),
            "class": [classes[f][k] for k, f in zip(picked, from_after, strict=True)],
            "before": _rows(found.before),
            "after": _rows(found.after),
            "iou": found.iou,
            f"moved_{unit}": found.moved,
            f"area_before_{square}": areas[0],
            f"area_after_{square}": areas[1],
            f"area_change_{square}": areas[1] - areas[0],
        }
    )
    squared = "px²" if unit == "px" else "m²"
    units = {n: squared for n in table.columns if n.startswith("area_")} | {f"moved_{unit}": unit}
    table.attrs = {
        "units": units,
        "sources": {n: SOURCES[n if n in SOURCES else n.rsplit("_", 1)[0]] for n in table.columns},
    }
    return table


def _rows(index: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pd.Series:
    """Rows from 1, missing where there is no partner."""
    return pd.Series(index + 1, dtype="Int64").mask(pd.Series(index < 0))


def _classes(layer: Layer) -> list[str]:
    for key in CLASS_KEYS:
        if key in layer.table and layer.table[key].dtype.kind not in "iuf":
            return [str(v) for v in layer.table[key]]
    return ["object"] * len(layer)

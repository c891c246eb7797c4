"""The table of a map's objects: areas on the ellipsoid, lengths, places; each column with unit and source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delineate.apply.geo import Footprints
from delineate.core.convert.shapely import shapely_package, to_shapely
from delineate.core.instances import Instances
from delineate.data.georeference import WGS84, reproject
from delineate.data.vectors.crs import crs_of, pyproj
from delineate.data.vectors.layer import Parts, with_points

from .geo_plane import Plane, equal_area

Floats = NDArray[np.float64]
POOR_FIT = 0.8
FEW_PIXELS = 9

SOURCES = {
    "number": "row of this table, drawn on its object",
    "label": "number in the label image",
    "class": "model or labels",
    "score": "model or labels, 0 to 1",
    "area_m2": "polygon area in Lambert's azimuthal equal-area projection on the map's ellipsoid",
    "perimeter_m": "geodesic length of all rings on that ellipsoid (Karney 2013)",
    "length_m": "longer side of the smallest rectangle around it, on the plane it was drawn on",
    "width_m": "shorter side of that rectangle",
    "area_px": "polygon area in pixels; the image has no known place on the earth",
    "perimeter_px": "length of all rings in pixels",
    "length_px": "longer side of the smallest rectangle around it, in pixels",
    "width_px": "shorter side of that rectangle",
    "x": "a point inside, in the image's reference system",
    "y": "a point inside, in the image's reference system",
    "longitude": "the same point on WGS 84",
    "latitude": "the same point on WGS 84",
    "parts": "polygons that it consists of",
    "holes": "holes in them",
    "points": "corners of all rings",
    "fit": "IoU of the outline with the exact outline of its mask, 0 to 1",
    "squared": "whether its walls were set at right angles",
    "direction": "of its walls, counter-clockwise from the x axis of the plane it was drawn on",
    "at_edge": "whether the image's edge cuts it, so that its area is not all of it",
    "mark": f"poor fit: under {POOR_FIT}; tiny: under {FEW_PIXELS} pixels; cut: at the image's edge",
}
UNITS = {
    "area_m2": "m²", "perimeter_m": "m", "length_m": "m", "width_m": "m",
    "area_px": "px²", "perimeter_px": "px", "length_px": "px", "width_px": "px",
    "longitude": "degree", "latitude": "degree", "direction": "degree",
}  # fmt: skip


def map_table(
    found: Footprints,
    objects: Instances,
    plane: Plane,
    shapes: Sequence[Parts],
    ids: NDArray[np.int64] | None,
) -> pd.DataFrame:
    """One row for each footprint, in order; ``attrs`` have units and sources.

    Args:
        found: on the plane.
        objects: from which they were made.
        plane: where they were drawn.
        shapes: the same footprints in map coordinates.
        ids: numbers of the objects in their label image, or None.
    """
    package = shapely_package()
    drawn = to_shapely(found.shapes)
    place = plane.georeference
    sides = _sides(package, drawn)
    inside = package.get_coordinates(package.point_on_surface(drawn)).reshape(-1, 2)
    point = plane.to_map(inside) if len(inside) else inside
    unit = "m" if place is not None and place.epsg is not None else "px"
    if unit == "m":
        assert place is not None and place.epsg is not None
        area, perimeter = ground_measures(shapes, place.epsg)
        degrees = reproject(point, place.epsg, WGS84) if len(point) else point
    else:
        scale = plane.pixel  # of an unknown map unit to pixels
        area = package.area(drawn) / scale**2 if len(drawn) else np.zeros(0)
        perimeter = package.length(drawn) / scale if len(drawn) else np.zeros(0)
        sides = sides / scale
    kept = found.kept
    every = objects.names
    names = [every[k] for k in kept.tolist()]
    columns: dict[str, Any] = {"number": np.arange(1, len(kept) + 1)}
    if ids is not None:
        columns["label"] = ids[kept]
    columns |= {"class": names, "score": objects.scores[kept].astype(np.float64).round(6)}
    square = "m2" if unit == "m" else "px"
    columns |= {f"area_{square}": area, f"perimeter_{unit}": perimeter}
    columns |= {f"length_{unit}": sides[:, 1], f"width_{unit}": sides[:, 0]}
    columns |= {"x": point[:, 0], "y": point[:, 1]}
    if unit == "m":
        columns |= {"longitude": degrees[:, 0], "latitude": degrees[:, 1]}
    columns["parts"] = [len(parts) for parts in shapes]
    columns["holes"] = [sum(len(p.holes) for p in parts) for parts in shapes]
    columns["points"] = [sum(len(r) for p in parts for r in p.rings) for parts in shapes]
    columns |= {"fit": found.fit, "squared": found.squared, "direction": found.direction}
    columns |= {"at_edge": found.at_edge, "mark": _marks(found)}
    table = pd.DataFrame(columns)
    units = dict(UNITS)
    if place is not None and place.epsg is not None:
        own = crs_of(place.epsg).axis_info[0].unit_name
        units |= {"x": own, "y": own}
    elif place is None:
        units |= {"x": "px", "y": "px"}
    table.attrs = {
        "units": {n: units[n] for n in table.columns if n in units},
        "sources": {n: SOURCES[n] for n in table.columns},
    }
    return table


def _marks(found: Footprints) -> list[str]:
    area = np.asarray(found.masks.area)
    told = (("poor fit", found.fit < POOR_FIT), ("tiny", area < FEW_PIXELS), ("cut", found.at_edge))
    return [", ".join(name for name, where in told if where[k]) for k in range(len(found))]


def doubtful(table: pd.DataFrame) -> NDArray[np.bool_]:
    """(N,) rows whose outline fits poorly or is tiny: their number is red in picture and page."""
    return np.array(["poor" in mark or "tiny" in mark for mark in table["mark"]], np.bool_)


def _sides(package: Any, shapes: NDArray[np.object_]) -> Floats:
    """(N, 2) shorter and longer side of the smallest rectangle around each."""
    result = np.zeros((len(shapes), 2))
    for k, box in enumerate(package.oriented_envelope(shapes)):
        corners = package.get_coordinates(box)
        if len(corners) > 3:
            result[k] = sorted(np.hypot(*np.diff(corners[:3], axis=0).T).tolist())
    return result


def ground_measures(shapes: Sequence[Parts], epsg: int) -> tuple[Floats, Floats]:
    """Area in m² and perimeter in m of polygons in map coordinates.

    The area is that of the polygon in an equal-area projection which touches the earth in the middle of all
    shapes, so straight lines of that projection join the corners; the perimeter is the geodesics' length.

    Args:
        shapes: N objects, each its parts with holes.
        epsg: of their coordinates.
    """
    rings = [ring for parts in shapes for part in parts for ring in part.rings]
    if not rings:
        return np.zeros(len(shapes)), np.zeros(len(shapes))
    points = np.concatenate(rings)
    low, high = points.min(axis=0), points.max(axis=0)
    (x, y) = ((low + high) / 2).tolist()
    flat = np.stack(equal_area(epsg, (x, y)).transform(points[:, 0], points[:, 1]), axis=1)
    area = np.array([sum(part.area for part in parts) for parts in with_points(tuple(shapes), flat)])
    package = pyproj()
    crs = crs_of(epsg)
    base = crs.geodetic_crs
    degrees = package.Transformer.from_crs(crs, base, always_xy=True).transform(points[:, 0], points[:, 1])
    earth = base.get_geod()
    after = _following([len(ring) for ring in rings])
    lon, lat = degrees
    _, _, steps = earth.inv(lon, lat, lon[after], lat[after])
    owner = np.repeat(
        np.arange(len(shapes)), [sum(len(r) for p in parts for r in p.rings) for parts in shapes]
    )
    return area, np.bincount(owner, steps, len(shapes)).astype(np.float64)


def _following(lengths: Sequence[int]) -> NDArray[np.int64]:
    """The next point of each point on its ring."""
    ends = np.cumsum(lengths)
    after = np.arange(1, int(ends[-1]) + 1)
    after[ends - 1] = ends - np.asarray(lengths)
    return after


def described(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each column of a table: its name, unit and source."""
    units, sources = table.attrs.get("units", {}), table.attrs.get("sources", {})
    rows = [(name, units.get(name, ""), sources.get(name, "")) for name in table.columns]
    return pd.DataFrame(rows, columns=["column", "unit", "source"])

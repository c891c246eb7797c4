"""A layer as GeoJSON (RFC 7946): longitude and latitude on WGS 84, exteriors counter-clockwise, and what
crosses the antimeridian cut there (section 3.1.9)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delineate.core.convert.geojson import geometry
from delineate.core.errors import DatasetError
from delineate.core.polygons import Polygon

from ..formats.coco_check import Bad
from ..formats.drawing import text_file
from ..formats.feature_file import load, save
from ..formats.geojson import epsg_named
from ..formats.geojson_geometry import polygons
from ..georeference import WGS84
from .layer import Layer, Parts

DIGITS = 9
"""Decimals of a degree: a tenth of a millimetre, so that right angles and shared borders stay."""
_LARGEST = 1e12
_HALF_TURN = 180.0


def write_geojson(path: Path, layer: Layer) -> None:
    """Writes WGS 84; pixel coordinates as they are where the layer has no reference system.

    Raises:
        MissingDependencyError: pyproj, for a layer in another reference system.
    """
    placed = layer if layer.epsg is None else layer.to(WGS84)

    def features() -> Iterator[dict[str, Any]]:
        columns = [str(name) for name in layer.table.columns]
        for parts, row in zip(placed.shapes, layer.table.itertuples(index=False), strict=True):
            shape = cut_at_antimeridian(parts) if layer.epsg is not None else parts
            properties = {n: _plain(v) for n, v in zip(columns, row, strict=True)}
            yield {"geometry": _rounded(shape), "properties": properties}

    told = {str(n): layer.about(n) for n in layer.table.columns if layer.about(n)}
    members: dict[str, Any] = {"name": layer.name}
    if told:
        members["columns"] = told
    with text_file(path) as file:
        save(file, members, features())


def _rounded(parts: Parts) -> dict[str, Any] | None:
    if not parts:
        return None
    small = [Polygon(p.exterior.round(DIGITS), tuple(h.round(DIGITS) for h in p.holes)) for p in parts]
    return geometry(small)


def _plain(value: Any) -> Any:
    """A value that JSON has."""
    if hasattr(value, "item"):
        value = value.item()
    if value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, (str, bool, int, float)) else str(value)


def cut_at_antimeridian(parts: Parts) -> Parts:
    """Parts in degrees, those that reach over longitude 180 cut in two there.

    A part whose neighbouring points lie more than half a turn apart is taken to cross.

    Example:
        >>> box = Polygon([[179, 0], [-179, 0], [-179, 1], [179, 1]])
        >>> [p.bounds for p in cut_at_antimeridian((box,))]
        [(179.0, 0.0, 180.0, 1.0), (-180.0, 0.0, -179.0, 1.0)]
    """
    found: list[Polygon] = []
    for part in parts:
        ring = part.exterior
        if np.abs(np.diff(ring[:, 0], append=ring[:1, 0])).max() <= _HALF_TURN:
            found.append(part)
            continue
        around = [
            np.stack((np.where(r[:, 0] < 0, r[:, 0] + 360, r[:, 0]), r[:, 1]), axis=1) for r in part.rings
        ]
        west, east = ([_half(r, sign) for r in around] for sign in (1.0, -1.0))
        for rings, turn in ((west, 0.0), (east, 360.0)):
            if len(rings[0]) > 2:
                moved = [r - [turn, 0.0] for r in rings if len(r) > 2]
                found.append(Polygon(moved[0], tuple(moved[1:])))
    return tuple(found)


def _half(ring: NDArray[np.float64], sign: float) -> NDArray[np.float64]:
    """What lies west (sign 1) or east (-1) of longitude 180 (Sutherland and Hodgman 1974)."""
    inside = sign * (_HALF_TURN - ring[:, 0]) >= 0
    after, after_inside = np.roll(ring, -1, axis=0), np.roll(inside, -1)
    kept = []
    for p, q, a, b in zip(ring, after, inside, after_inside, strict=True):
        if a:
            kept.append(p)
        if a != b:
            share = (_HALF_TURN - p[0]) / (q[0] - p[0])
            kept.append(np.array([_HALF_TURN, p[1] + share * (q[1] - p[1])]))
    return np.array(kept).reshape(-1, 2)


def read_geojson(path: Path) -> Layer:
    """Reads features; WGS 84 unless the file has the older member ``crs``.

    Raises:
        DatasetError: not GeoJSON, or a geometry that is not well formed.
    """
    members, features = load(path)
    crs = members.get("crs")
    shapes, rows = [], []
    for index, feature in enumerate(features):
        where = f"features[{index}]"
        try:
            if not isinstance(feature, dict):
                raise Bad(f"{where}: expected a feature, got something else")
            parts = polygons(feature.get("geometry"), f"{where}.geometry", _LARGEST)
        except Bad as bad:
            raise DatasetError(f"{path}: {bad}; mend the file") from None
        properties = feature.get("properties")
        if parts:  # points and lines have no area
            shapes.append(tuple(parts))
            rows.append(properties if isinstance(properties, dict) else {})
    points = [part.bounds for parts in shapes for part in parts]
    degrees = not points or bool((np.abs(points) <= [180, 90, 180, 90]).all())
    epsg = epsg_named(crs, path) if crs is not None else WGS84 if degrees else None
    return Layer(tuple(shapes), pd.DataFrame(rows, index=range(len(shapes))), epsg, path.stem)

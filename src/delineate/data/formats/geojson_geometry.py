"""Geometries of GeoJSON (RFC 7946, section 3.1) as polygons."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.polygons import Polygon

from .coco_check import Bad, finite
from .drawn import LARGEST
from .json_file import show

NO_AREA = ("Point", "MultiPoint", "LineString", "MultiLineString")
DEEPEST = 4


def polygons(geometry: object, where: str, largest: float = LARGEST, depth: int = 0) -> list[Polygon]:
    """The parts of a geometry, each with its holes; none where it has no area (points and lines).

    Args:
        geometry: a Polygon, MultiPolygon or GeometryCollection; a third coordinate is left aside.
        where: its place in the file, for messages.
        largest: coordinates beyond are refused.
        depth: collections around it.

    Raises:
        Bad: not a geometry, or a ring that is not well formed.
    """
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if geometry is None or kind in NO_AREA:
        return []
    if not isinstance(geometry, dict) or not isinstance(kind, str):
        raise Bad(f"{where}: expected a GeoJSON geometry, got {show(geometry)}")
    if kind == "GeometryCollection" and depth < DEEPEST:
        inner = _list(geometry.get("geometries"), f"{where}.geometries")
        return [
            p
            for i, g in enumerate(inner)
            for p in polygons(g, f"{where}.geometries[{i}]", largest, depth + 1)
        ]
    coordinates = _list(geometry.get("coordinates"), f"{where}.coordinates")
    if kind == "Polygon":
        return [_polygon(coordinates, f"{where}.coordinates", largest)] if coordinates else []
    if kind == "MultiPolygon":
        return [
            _polygon(_list(rings, where), f"{where}.coordinates[{i}]", largest)
            for i, rings in enumerate(coordinates)
            if rings
        ]
    raise Bad(f"{where}.type: expected Polygon or MultiPolygon, got {show(kind)}")


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise Bad(f"{where}: expected a list, got {show(value)}")
    return value


def _polygon(rings: list[Any], where: str, largest: float) -> Polygon:
    exterior, *holes = [_ring(ring, f"{where}[{i}]", largest) for i, ring in enumerate(rings)]
    return Polygon(exterior, tuple(holes))


def _ring(points: object, where: str, largest: float) -> NDArray[np.float64]:
    points = _list(points, where)
    try:
        ring = np.array(points)
    except (ValueError, OverflowError):  # positions of different lengths, or numbers too long
        ring = np.empty(0, dtype=np.object_)
    if ring.ndim != 2 or ring.shape[1] < 2 or ring.dtype.kind not in "if" or not np.isfinite(ring).all():
        if not all(isinstance(p, list) and len(p) >= 2 and finite(p[0]) and finite(p[1]) for p in points):
            raise Bad(f"{where}: expected positions of two finite numbers, got others")
        ring = np.array([p[:2] for p in points], dtype=np.float64).reshape(-1, 2)
    ring = ring[:, :2].astype(np.float64)
    if len(ring) > 1 and (ring[0] == ring[-1]).all():
        ring = ring[:-1]  # closed, as the standard has it
    if len(ring) < 3:
        raise Bad(f"{where}: expected a ring of at least 3 different positions, got {len(ring)}")
    if np.abs(ring).max() > largest:
        raise Bad(f"{where}: expected coordinates up to {largest:g}, got larger ones")
    return ring

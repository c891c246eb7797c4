"""Shapes on a map with a row of a table each: what GeoPackage, GeoJSON, GeoParquet and Shapefile share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.polygons import Polygon

from ..georeference import reproject

Parts = tuple[Polygon, ...]


@dataclass(frozen=True, eq=False)
class Layer:
    """N shapes and what is known of each.

    Attributes:
        shapes: N objects, each its parts with holes, in map coordinates x y (longitude, latitude); pixels,
            x right and y down, where there is no reference system.
        table: N rows; ``attrs["units"]`` and ``attrs["sources"]`` say of columns what they are.
        epsg: number of the coordinate reference system, or None where it is not known.
        name: of the layer.

    Raises:
        InputError: not as many rows as shapes.
    """

    shapes: tuple[Parts, ...]
    table: pd.DataFrame
    epsg: int | None = None
    name: str = "objects"

    def __post_init__(self) -> None:
        if len(self.shapes) != len(self.table):
            raise InputError(
                f"layer {self.name}: expected a row for each of {len(self.shapes)} shapes, got "
                f"{len(self.table)} rows; give both in one order"
            )

    def __len__(self) -> int:
        return len(self.shapes)

    @property
    def units(self) -> Mapping[str, str]:
        """Unit of each column that has one."""
        found: Mapping[str, str] = self.table.attrs.get("units", {})
        return found

    @property
    def sources(self) -> Mapping[str, str]:
        """Where the numbers of each column come from."""
        found: Mapping[str, str] = self.table.attrs.get("sources", {})
        return found

    def about(self, column: str) -> str:
        """One line on a column: its unit and its source; empty where nothing is told."""
        said = (self.units.get(column, ""), self.sources.get(column, ""))
        return "; ".join(text for text in said if text)

    def to(self, epsg: int) -> Layer:
        """The same shapes in another reference system.

        Raises:
            InputError: the layer's own is not known.
            MissingDependencyError: pyproj is not installed.
        """
        if self.epsg == epsg:
            return self
        if self.epsg is None:
            raise InputError(
                f"layer {self.name}: expected a coordinate reference system, got none; give its EPSG number"
            )
        return Layer(reprojected(self.shapes, self.epsg, epsg), self.table, epsg, self.name)


def reprojected(shapes: tuple[Parts, ...], source: int, target: int) -> tuple[Parts, ...]:
    """All shapes in another reference system, in one call for all their points."""
    rings = [ring for parts in shapes for part in parts for ring in part.rings]
    if not rings or source == target:
        return shapes
    moved = reproject(np.concatenate(rings), source, target)
    if not np.isfinite(moved).all():
        raise InputError(
            f"EPSG:{source} to EPSG:{target}: expected shapes where both reference systems are defined, got "
            "some outside; check the file's reference system"
        )
    return with_points(shapes, moved)


def with_points(shapes: tuple[Parts, ...], points: NDArray[np.float64]) -> tuple[Parts, ...]:
    """The same rings with other points: (P, 2), in the order of parts, exteriors before their holes."""
    at = 0
    found = []
    for parts in shapes:
        made = []
        for part in parts:
            rings = []
            for ring in part.rings:
                rings.append(points[at : at + len(ring)])
                at += len(ring)
            made.append(Polygon(rings[0], tuple(rings[1:])))
        found.append(tuple(made))
    return tuple(found)


def turned(part: Polygon, counter_clockwise: bool = True) -> tuple[NDArray[np.float64], ...]:
    """The rings, closed, the exterior running so in (x, y) and the holes the other way.

    Example:
        >>> turned(Polygon([[0, 0], [0, 1], [1, 0]]))[0].tolist()
        [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
    """
    found = []
    for k, ring in enumerate(part.rings):
        x, y = ring[:, 0] - ring[0, 0], ring[:, 1] - ring[0, 1]  # map coordinates are large, objects small
        area = float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())
        right = (area > 0) == (counter_clockwise == (k == 0))
        ring = ring if right else ring[::-1]
        found.append(np.concatenate((ring, ring[:1])))
    return tuple(found)


def envelope(parts: Parts) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2 of all parts."""
    every = np.array([part.bounds for part in parts])
    (x1, y1), (x2, y2) = every[:, :2].min(axis=0).tolist(), every[:, 2:].max(axis=0).tolist()
    return x1, y1, x2, y2

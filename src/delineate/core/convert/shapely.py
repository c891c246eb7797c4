"""Polygons as shapely geometries and back. Only this module imports shapely."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingDependencyError
from ..polygons import Polygon

Geometries = NDArray[np.object_]


def shapely_package() -> Any:
    """The package.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import shapely as package
    except ImportError:
        raise MissingDependencyError(
            "outlines on the map: expected the package shapely, got none; pip install 'delineate[geo]'"
        ) from None
    return package


def to_shapely(shapes: Iterable[Sequence[Polygon]], mend: bool = False) -> Geometries:
    """One geometry per object: a polygon, of several parts a multipolygon, of none an empty one.

    Args:
        shapes: N objects, each a list of parts.
        mend: make valid what crosses itself (``shapely.make_valid``), and keep of it what has an area.

    Raises:
        MissingDependencyError: shapely is not installed.

    Example:
        >>> to_shapely([[Polygon([[0, 0], [2, 0], [2, 2]])], []]).tolist()
        [<POLYGON ((0 0, 2 0, 2 2, 0 0))>, <MULTIPOLYGON EMPTY>]
    """
    package = shapely_package()

    def one(parts: Sequence[Polygon]) -> Any:
        made = [package.Polygon(part.exterior, part.holes) for part in parts]
        return made[0] if len(made) == 1 else package.MultiPolygon(made)

    found = np.array([None, *map(one, shapes)], dtype=np.object_)[1:]
    if mend and len(found):
        bad = ~package.is_valid(found)
        found[bad] = [_with_area(package, g) for g in package.make_valid(found[bad])]
    return found


def _with_area(package: Any, geometry: Any) -> Any:
    """The polygons of a geometry, without the points and lines that mending may leave."""
    parts = [g for g in package.get_parts(geometry) if g.geom_type in ("Polygon", "MultiPolygon")]
    return package.MultiPolygon([p for g in parts for p in package.get_parts(g)])


def from_shapely(geometry: Any) -> list[Polygon]:
    """The parts of a polygon or multipolygon; what has no area (points, lines, nothing) gives none.

    Example:
        >>> [p.area for p in from_shapely(to_shapely([[Polygon([[0, 0], [2, 0], [2, 2]])]])[0])]
        [2.0]
    """
    package = shapely_package()
    found = []
    for part in package.get_parts(geometry).tolist():
        if part.geom_type == "Polygon" and not part.is_empty:
            exterior, *holes = (
                package.get_coordinates(ring)[:-1] for ring in (part.exterior, *part.interiors)
            )
            found.append(Polygon(exterior, tuple(holes)))
        elif part.geom_type in ("MultiPolygon", "GeometryCollection"):
            found += from_shapely(part)
    return found

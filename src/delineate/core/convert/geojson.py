"""Polygons as geometries of GeoJSON (RFC 7946, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..polygons import Polygon


def geometry(parts: Sequence[Polygon]) -> dict[str, Any]:
    """A Polygon, or of several parts a MultiPolygon; exteriors counter-clockwise in (x, y), rings closed.

    Whole coordinates are written without a fraction.

    Example:
        >>> geometry([Polygon([[0, 0], [0, 2.5], [4, 2.5]])])["coordinates"]
        [[[4, 2.5], [0, 2.5], [0, 0], [4, 2.5]]]
    """
    rings = [[_closed(part.exterior, True), *(_closed(hole, False) for hole in part.holes)] for part in parts]
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings[0]}
    return {"type": "MultiPolygon", "coordinates": rings}


def _closed(ring: NDArray[np.float64], counter_clockwise: bool) -> list[list[float]]:
    x, y = ring[:, 0] - ring[0, 0], ring[:, 1] - ring[0, 1]  # map coordinates are large, objects small
    area = float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())
    turned = ring if (area > 0) == counter_clockwise else ring[::-1]
    points = np.concatenate([turned, turned[:1]]).tolist()
    return [[int(v) if v == int(v) else v for v in point] for point in points]

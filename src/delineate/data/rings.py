"""Objects with holes and parts as one ring each, for formats whose outline is a single list of points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from delineate.core.masks import Masks
from delineate.core.polygons import Polygon

Ring = NDArray[np.float64]


def single_ring(parts: Sequence[Polygon]) -> Ring:
    """All rings of an object, joined to one by bridges that are walked there and back.

    A bridge has no width and runs along the axes, so that under the even-odd rule the ring covers exactly the
    pixels of its parts without their holes. Each ring is joined at the corner nearest to what is joined so
    far.

    Args:
        parts: of one object, not overlapping.

    Returns:
        (K, 2) float64 xy; the last point joins the first.

    Example:
        >>> square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]])
        >>> len(single_ring([Polygon(square, (square / 4 + 1,))]))
        12
    """
    rings = sorted((ring for part in parts for ring in part.rings), key=len, reverse=True)
    joined = rings[0]
    for ring in rings[1:]:
        joined = _join(joined, ring)
    return joined


def _join(joined: Ring, ring: Ring) -> Ring:
    """``ring`` walked as a detour from the nearest corner of ``joined``."""
    at, begin = _nearest(joined, ring)
    start, landing = joined[at], ring[begin]
    corner = np.array([start[0], landing[1]])
    detour = np.concatenate((ring[begin:], ring[:begin]))
    bent = [corner] if (corner != start).any() and (corner != landing).any() else []
    middle = [*bent, *detour, landing, *bent, start]
    return np.concatenate((joined[: at + 1], np.array(middle), joined[at + 1 :]))


def _nearest(a: Ring, b: Ring) -> tuple[int, int]:
    """The corners of ``a`` and of ``b`` that are nearest to each other."""
    from scipy.spatial import cKDTree

    distances, found = cKDTree(a).query(b)
    k = int(np.argmin(distances))
    return int(np.asarray(found)[k]), k


def apart(parts: Sequence[Polygon], size: tuple[int, int]) -> bool:
    """Whether no two parts cover the same pixel, so that :func:`single_ring` covers what they cover."""
    if len(parts) < 2:
        return True
    each = Masks.from_polygons([[part] for part in parts], size)
    return int(each.area.sum()) == int(each.union().area[0])

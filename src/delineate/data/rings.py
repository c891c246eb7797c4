"""Objects with holes and parts as one ring each, for formats whose outline is a single list of points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from delineate.core.masks import Masks
from delineate.core.polygons import Polygon

Ring = NDArray[np.float64]
NEAR = 2048
"""A bridge begins at most so many corners away from where the last one did."""
SMALL = 1 << 16
"""So many pairs of corners are all looked at."""


def single_ring(parts: Sequence[Polygon]) -> Ring:
    """All rings of an object, joined to one by bridges that are walked there and back.

    A bridge has no width and runs along the axes, so that under the even-odd rule the ring covers exactly the
    pixels of its parts without their holes. Each ring, from left to right, is joined where it is near
    to what is joined so far.

    Args:
        parts: of one object, not overlapping.

    Returns:
        (K, 2) float64 xy; the last point joins the first.

    Example:
        >>> square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]])
        >>> len(single_ring([Polygon(square, (square / 4 + 1,))]))
        12
    """
    rings = sorted((ring for part in parts for ring in part.rings), key=lambda ring: tuple(ring.min(axis=0)))
    joined, at = rings[0], 0
    for ring in rings[1:]:
        joined, at = _join(joined, at, ring)
    return joined


def _join(joined: Ring, around: int, ring: Ring) -> tuple[Ring, int]:
    """``ring`` walked as a detour from the nearest corner of ``joined``, and where it begins there."""
    first = max(0, around - NEAR)
    at, begin = _nearest(joined[first : around + NEAR], ring)
    at += first
    start, landing = joined[at], ring[begin]
    corner = np.array([start[0], landing[1]])
    detour = np.concatenate((ring[begin:], ring[:begin]))
    bent = [corner] if (corner != start).any() and (corner != landing).any() else []
    middle = [*bent, *detour, landing, *bent, start]
    return np.concatenate((joined[: at + 1], np.array(middle), joined[at + 1 :])), at + len(middle)


def _nearest(a: Ring, b: Ring) -> tuple[int, int]:
    """The corners of ``a`` and of ``b`` that are nearest to each other."""
    if len(a) * len(b) <= SMALL:
        apart = np.abs(a[:, None] - b[None]).sum(-1)
        k = int(apart.argmin())
        return k // len(b), k % len(b)
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

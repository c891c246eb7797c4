"""Well-known binary (OGC 06-103r4, section 8.2): polygons, multipolygons and collections of them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from delineate.core.polygons import Polygon

from .coco_check import Bad

_POLYGON, _MULTIPOLYGON, _COLLECTION = 3, 6, 7
_NO_AREA = (1, 2, 4, 5)  # points and lines
DEEPEST = 8
LARGEST = 1e15


def polygons(data: bytes, where: str) -> list[Polygon]:
    """The parts of a geometry; none where it has no area. Further coordinates than x, y are left aside.

    Raises:
        Bad: cut off, or a kind of geometry without polygons.
    """
    try:
        return _Reader(data, where).geometry()
    except (struct.error, ValueError) as error:
        raise Bad(
            f"{where}: expected a whole geometry, got a damaged one: {str(error).split(';')[0]}"
        ) from None


class _Reader:
    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.where, self.at = data, where, 0

    def _take(self, form: str) -> int:
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return int(value)

    def geometry(self, depth: int = 0) -> list[Polygon]:
        order = "<" if self._take("B") else ">"
        kind = self._take(order + "I")
        if kind & 0x20000000:  # PostGIS: a reference system stands here too
            self._take(order + "I")
        sides = 2 + bool(kind & 0x80000000) + bool(kind & 0x40000000)
        kind &= 0x0FFFFFFF
        sides += {0: 0, 1: 1, 2: 1, 3: 2}.get(kind // 1000, 0)
        kind %= 1000
        if kind == _POLYGON:
            return self._polygon(order, sides)
        if kind in (_MULTIPOLYGON, _COLLECTION) and depth < DEEPEST:
            return [part for _ in range(self._take(order + "I")) for part in self.geometry(depth + 1)]
        if kind in _NO_AREA:
            if depth:
                raise Bad(f"{self.where}: expected polygons alone in a collection, got points or lines too")
            return []
        raise Bad(f"{self.where}: expected polygons, got a geometry of kind {kind}; convert curves to lines")

    def _polygon(self, order: str, sides: int) -> list[Polygon]:
        rings = []
        for _ in range(self._take(order + "I")):
            count = self._take(order + "I")
            points = np.frombuffer(self.data, order + "f8", count * sides, self.at).reshape(-1, sides)
            self.at += 8 * count * sides
            ring = points[:, :2].astype(np.float64)
            if len(ring) > 1 and (ring[0] == ring[-1]).all():
                ring = ring[:-1]
            if not (np.abs(ring) <= LARGEST).all():
                raise Bad(f"{self.where}: expected finite coordinates, got others")
            rings.append(ring)
        return [Polygon(rings[0], tuple(rings[1:]))] if rings else []


def write(parts: Sequence[Polygon]) -> bytes:
    """A multipolygon, little-endian, rings closed."""
    each = [
        struct.pack("<BII", 1, _POLYGON, len(part.rings)) + b"".join(_ring(ring) for ring in part.rings)
        for part in parts
    ]
    return struct.pack("<BII", 1, _MULTIPOLYGON, len(each)) + b"".join(each)


def _ring(ring: NDArray[np.float64]) -> bytes:
    closed = np.concatenate([ring, ring[:1]]).astype("<f8")
    return struct.pack("<I", len(closed)) + closed.tobytes()

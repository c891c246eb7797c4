"""Polygons in pixel-corner coordinates: pixel (0, 0) covers [0, 1] x [0, 1]. From masks and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import hotcoco.mask
import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import rle
from .errors import MaskError
from .outlines import outlines
from .runs import Ints, Runs, from_counts, pack, pieces, ranges, union

Ring = NDArray[np.float64]
LIMIT = 2.0**40
"""Largest coordinate of a polygon."""


@dataclass(frozen=True, eq=False)
class Polygon:
    """One part of an object: an exterior ring and the holes in it.

    Attributes:
        exterior: (K, 2) float64 xy, K >= 3, in pixels; the last point joins the first.
        holes: rings of the same kind.

    Raises:
        MaskError: a ring of fewer than three points, of another shape, or with a coordinate not finite.

    Example:
        >>> Polygon([[0, 0], [2, 0], [2, 2], [0, 2]]).area
        4.0
    """

    exterior: Ring
    holes: tuple[Ring, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "exterior", validate(self.exterior, "Polygon, exterior"))
        object.__setattr__(self, "holes", tuple(validate(h, "Polygon, hole") for h in self.holes))

    @property
    def rings(self) -> tuple[Ring, ...]:
        """The exterior and the holes."""
        return (self.exterior, *self.holes)

    @property
    def area(self) -> float:
        """Area of the exterior less that of the holes, in square pixels."""
        outer, *inner = (abs(_area(r)) for r in self.rings)
        return outer - sum(inner)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2 of the exterior."""
        (x1, y1), (x2, y2) = self.exterior.min(axis=0).tolist(), self.exterior.max(axis=0).tolist()
        return x1, y1, x2, y2

    def to_coco(self) -> list[float]:
        """The exterior as COCO's flat x, y list. Holes cannot be written so; use RLE where there are any."""
        return self.exterior.ravel().tolist()


def validate(ring: ArrayLike, where: str = "polygon") -> Ring:
    """A ring as (K, 2) float64.

    Raises:
        MaskError: fewer than three points, another shape, or a coordinate not finite or beyond 2**40.
    """
    try:
        points = np.array(ring, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        raise MaskError(f"{where}: expected (K, 2) numbers, got something else; give x, y rows") from None
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
        raise MaskError(
            f"{where}: expected at least 3 points (K, 2), got shape {points.shape}; drop or complete it"
        )
    if not (np.abs(points) <= LIMIT).all():  # also false for NaN
        raise MaskError(f"{where}: expected finite coordinates up to 2**40, got others; correct the points")
    points.flags.writeable = False
    return points


def _validate_flat(values: Any, where: str) -> Ring:
    """COCO's flat x, y list as (K, 2)."""
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if not isinstance(values, list | tuple):
        raise MaskError(
            f"{where}: expected a list of numbers x1, y1, x2, y2, .., got {type(values).__name__}"
        )
    kinds = set(map(type, values))
    if not all(issubclass(k, int | float | np.number) and k is not bool for k in kinds):
        raise MaskError(
            f"{where}: expected a flat list x1, y1, x2, y2, .. of numbers, got other things; flatten it"
        )
    if len(values) % 2 or len(values) < 6:
        raise MaskError(
            f"{where}: expected an even number of at least 6 coordinates, got {len(values)}; complete it"
        )
    try:
        points = np.array(values, dtype=np.float64)
    except OverflowError:
        raise MaskError(f"{where}: expected finite coordinates, got one too large; correct it") from None
    return validate(points.reshape(-1, 2), where)


def trace(runs: Runs, tolerance: float = 0.0) -> list[list[Polygon]]:
    """The outlines of every object: per object its parts, with holes.

    Args:
        runs: the objects.
        tolerance: 0 gives the exact outline along pixel edges; above 0 each ring is simplified by
            Douglas-Peucker (OpenCV's ``approxPolyDP``), which keeps a subset of its points. Rings that would
            keep fewer than three points stay exact. Simplified rings of one part may touch or cross.

    Raises:
        MaskError: a tolerance below zero or not finite.
    """
    if not (0 <= tolerance < np.inf):
        raise MaskError(
            f"to_polygons: expected a tolerance >= 0 pixels, got {tolerance}; 0 gives exact outlines"
        )
    found = (parts for piece in pieces(runs) for parts in outlines(piece))
    if tolerance > 0:
        return [
            [_trusted(_simplify(e, tolerance), [_simplify(h, tolerance) for h in hs]) for e, hs in o]
            for o in found
        ]
    return [[_trusted(exterior, holes) for exterior, holes in parts] for parts in found]


def _trusted(exterior: Ring, holes: Sequence[Ring]) -> Polygon:
    """A polygon of rings that need no check."""
    polygon = object.__new__(Polygon)
    for ring in (exterior, *holes):
        ring.flags.writeable = False
    object.__setattr__(polygon, "exterior", exterior)
    object.__setattr__(polygon, "holes", tuple(holes))
    return polygon


def _simplify(ring: Ring, tolerance: float) -> Ring:
    origin = ring[0]
    fewer = cv2.approxPolyDP((ring - origin).astype(np.float32), tolerance, closed=True)[:, 0]
    return fewer.astype(np.float64) + origin if len(fewer) >= 3 else ring


def rasterize(
    objects: Sequence[Sequence[Any]], size: tuple[int, int], names: Sequence[str] | None = None
) -> Runs:
    """Runs of N objects, each a list of parts that are joined.

    A :class:`Polygon` covers the pixels whose centres lie inside by the even-odd rule over its exterior and
    holes, so that a traced mask comes back exactly. A COCO flat list x1, y1, x2, y2, .. covers the pixels
    that pycocotools gives it (a slightly different rule, without holes). What lies outside the image is cut
    off; self-intersections are allowed.

    Args:
        objects: N lists of parts.
        size: (height, width).
        names: N names for errors; default ``object 0`` and so on.

    Raises:
        MaskError: a part that is not well formed.
    """
    rings: list[Ring] = []
    ring_part: list[int] = []
    part_owner: list[int] = []
    flat: list[Ring] = []
    flat_owner: list[int] = []
    for i, parts in enumerate(objects):
        name = f"object {i}" if names is None else names[i]
        if not isinstance(parts, list | tuple) or not parts:
            raise MaskError(
                f"{name}: expected a list of polygons, got {type(parts).__name__} without any; add one"
            )
        for k, part in enumerate(parts):
            if isinstance(part, Polygon):
                rings.extend(part.rings)
                ring_part.extend([len(part_owner)] * len(part.rings))
                part_owner.append(i)
            else:
                flat.append(_validate_flat(part, f"{name}, polygon {k}"))
                flat_owner.append(i)
    whole = _even_odd(rings, np.array(ring_part, dtype=np.int64), len(part_owner), size)
    coco = _coco_rule(flat, size)
    owner = np.concatenate(
        (np.array(part_owner, dtype=np.int64)[whole.owner], np.array(flat_owner, dtype=np.int64)[coco.owner])
    )
    x, y, length = (np.concatenate((getattr(whole, n), getattr(coco, n))) for n in ("x", "y", "length"))
    return union(owner, x, y, length, len(objects), size)


def _coco_rule(polygons: list[Ring], size: tuple[int, int]) -> Runs:
    """Runs of each polygon alone, by COCO's own rasteriser."""
    height, width = size
    if not polygons:
        return pack(*(np.zeros(0, dtype=np.int64),) * 4, count=0)
    margin = float(max(size)) + 16.0
    away = [-1.0, -1.0] * 3  # covers no pixel
    flat: list[list[float]] = []
    for ring in polygons:
        far = ring.min() < -margin or ring.max() > min(size) + margin
        near = _clip(ring, margin, size) if far else ring
        flat.append(near.ravel().tolist() if len(near) else away)
    counts, offsets, _ = rle.read(hotcoco.mask.frPyObjects(flat, height, width), size)
    return from_counts(counts, offsets, size)


def _clip(ring: Ring, margin: float, size: tuple[int, int]) -> Ring:
    """The ring cut to the image and a margin around it (Sutherland and Hodgman 1974); (0, 2) when outside.

    The rasteriser's time and memory grow with edge lengths, so far-away points must go before it runs.
    """
    height, width = size
    for axis, sign, bound in (
        (0, 1, -margin),
        (0, -1, -(width + margin)),
        (1, 1, -margin),
        (1, -1, -(height + margin)),
    ):
        away = sign * ring[:, axis] - bound
        if (away >= 0).all():
            continue
        after, away_after = np.roll(ring, -1, axis=0), np.roll(away, -1)
        kept: list[Ring] = []
        for p, q, a, b in zip(ring, after, away, away_after, strict=True):
            if a >= 0:
                kept.append(p)
            if (a >= 0) != (b >= 0):
                cross = p + (q - p) * (a / (a - b))
                cross[axis] = sign * bound
                kept.append(cross)
        ring = np.array(kept).reshape(-1, 2)
        if len(ring) < 3:
            return np.zeros((0, 2))
    return ring


def _even_odd(rings: list[Ring], ring_part: Ints, parts: int, size: tuple[int, int]) -> Runs:
    """Runs of each part alone: per column from each odd crossing of its rings to the next."""
    height, width = size
    empty = np.zeros(0, dtype=np.int64)
    if not rings:
        return pack(empty, empty, empty, empty, count=parts)
    lengths = np.array([len(r) for r in rings])
    points = np.concatenate(rings)
    ends = np.cumsum(lengths)
    after = np.arange(1, len(points) + 1)
    after[ends - 1] = ends - lengths
    part = np.repeat(ring_part, lengths)
    x1, y1, x2, y2 = points[:, 0], points[:, 1], points[after, 0], points[after, 1]
    # columns whose centre c + 0.5 lies in [low, high)
    first = np.clip(np.ceil(np.minimum(x1, x2) - 0.5), 0, width).astype(np.int64)
    last = np.clip(np.ceil(np.maximum(x1, x2) - 0.5), 0, width).astype(np.int64)
    number = last - first
    edge = np.repeat(np.arange(len(points)), number)
    column = ranges(first, number)
    share = (column + 0.5 - x1[edge]) / (x2 - x1)[edge]
    crossing = y1[edge] + share * (y2 - y1)[edge]
    row = np.clip(np.ceil(crossing - 0.5), 0, height).astype(np.int64)
    order = np.argsort((part[edge] * width + column) * (height + 1) + row)
    owner, column, row = part[edge][order], column[order], row[order]
    return union(owner[::2], column[::2], row[::2], row[1::2] - row[::2], parts, size)


def _area(ring: Ring) -> float:
    after = np.roll(ring, -1, axis=0)
    return float((ring[:, 0] * after[:, 1] - after[:, 0] * ring[:, 1]).sum()) / 2

"""Fruit and other produce: how large each one is on the plane of the scale, and how sure that is.

Lengths and areas of flat things are those of the outline after the homography of the scale, so a tilted
photograph is measured as if it were taken from straight above. Round ones, which stand above that plane, are
measured across their line of sight; see :mod:`delineate.apply.round_fruit`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances

from .plane_scale import PlaneScale
from .round_fruit import Lens, balls, outer_rings

Floats = NDArray[np.float64]
KINDS = ("equal_area", "feret", "feret_min", "ellipse")
"""What a diameter can be: of the disk of the same area; the largest or the smallest distance of two parallel
lines that hold the outline; the mean of the axes of the ellipse of the same second moments."""
EDGE = 0.5
"""Pixels by which an outline may lie too far out or in, all around, unless something else is known."""


@dataclass(frozen=True, eq=False)
class Sizes:
    """What N objects measure; in pixels, or in millimetres where there is a scale. NaN without pixels.

    Attributes:
        x: (N,) column of the centroid in the image, pixels.
        y: (N,) its row.
        area: (N,) of the mask.
        equivalent_diameter_area: (N,) of the disk of this area.
        feret_diameter_max: (N,) largest distance across the outline.
        feret_diameter_min: (N,) smallest width of the outline.
        axis_major_length: (N,) of the ellipse of the same second moments.
        axis_minor_length: (N,) likewise.
        volume: (N,) of the spheroid that turns around that ellipse's long axis: pi / 6 long short^2. An
            estimate: what lies behind is not seen.
        unit_per_pixel: (N,) side of a pixel at the centroid; 1 without a scale.
        scale_error: (N,) one standard deviation of the scale there, as a part of it.
        edge_error: (N,) of a diameter by the outline's uncertainty.
        feet: (N, 2) pixels x, y of the places on the plane: centroids, or where round ones touch it.
    """

    x: Floats
    y: Floats
    area: Floats
    equivalent_diameter_area: Floats
    feret_diameter_max: Floats
    feret_diameter_min: Floats
    axis_major_length: Floats
    axis_minor_length: Floats
    volume: Floats
    unit_per_pixel: Floats
    scale_error: Floats
    edge_error: Floats
    feet: Floats

    def diameter(self, kind: str = "equal_area") -> Floats:
        """(N,) one of :data:`KINDS`.

        Raises:
            InputError: another kind.
        """
        check_kind(kind)
        return {
            "equal_area": self.equivalent_diameter_area,
            "feret": self.feret_diameter_max,
            "feret_min": self.feret_diameter_min,
            "ellipse": (self.axis_major_length + self.axis_minor_length) / 2,
        }[kind]

    def diameter_error(self, kind: str = "equal_area") -> Floats:
        """(N,) one standard deviation of that diameter: scale and outline together."""
        return np.hypot(self.diameter(kind) * self.scale_error, self.edge_error)


def check_kind(kind: str) -> None:
    """Refuse a diameter that is none of :data:`KINDS`.

    Raises:
        InputError: it is not.
    """
    if kind not in KINDS:
        raise InputError(f"diameter: expected one of {', '.join(KINDS)}, got {kind!r}; choose one")


def sizes(
    instances: Instances, scale: PlaneScale | None = None, edge: float = EDGE, lens: Lens | None = None
) -> Sizes:
    """Measures objects on a plane.

    Without a scale, areas and centroids are those of scikit-image's ``regionprops``. Axes are those of the
    pixels as squares: the squares of scikit-image's, of the pixels' middles, are less by 4/3.

    Args:
        instances: N objects with masks.
        scale: of their image; None measures in pixels.
        edge: pixels by which outlines may be wrong, all around; see :data:`EDGE`.
        lens: of the camera: objects are then as high as they are wide, and rest on the plane of the scale;
            None: they are flat.

    Raises:
        InputError: boxes alone.

    Example:
        >>> from delineate.core.masks import Masks
        >>> disk = np.hypot(*np.mgrid[-20:21, -20:21]) <= 20.2
        >>> one = Instances(disk.shape, masks=Masks.from_dense(disk[None]))
        >>> round(float(sizes(one, PlaneScale.of_pixel(0.5)).diameter()[0]), 1)
        20.2
    """
    if instances.masks is None:
        raise InputError("sizes: expected masks, got boxes only; use a model that predicts masks")
    polygons = instances.masks.to_polygons()
    there = [k for k, parts in enumerate(polygons) if any(len(part.rings) for part in parts)]
    planes: list[PlaneScale | None] = [scale] * len(polygons)
    error = np.full(len(polygons), np.nan)
    round_ones = None
    if scale is not None and lens is not None and there:
        round_ones = balls(outer_rings([polygons[k] for k in there]), instances.size, scale, lens)
        error[there] = round_ones.error
        for k, matrix in zip(there, round_ones.homographies, strict=True):
            planes[k] = PlaneScale(matrix, scale.source)
    rows = [_measured(parts, plane) for parts, plane in zip(polygons, planes, strict=True)]
    table = np.array(rows, np.float64).reshape(-1, 7)
    area = np.where(table[:, 2] > 0, table[:, 2], np.nan)
    feet = table[:, :2].copy()
    places = np.nan_to_num(feet)
    if round_ones is not None:
        feet[there] = round_ones.feet
    else:
        error = np.zeros(len(table)) if scale is None else scale.error_at(places)
    per_pixel = np.array([
        1.0 if plane is None else plane.mm_per_pixel(place)[0]
        for plane, place in zip(planes, places, strict=True)
    ], np.float64)  # fmt: skip
    longer, shorter = table[:, 5], table[:, 6]
    return Sizes(
        table[:, 0], table[:, 1], area, np.sqrt(4 * area / np.pi), table[:, 3], table[:, 4],
        longer, shorter, np.pi / 6 * longer * shorter**2, per_pixel, error, 2 * edge * per_pixel, feet,
    )  # fmt: skip


def _measured(parts: list[Any], scale: PlaneScale | None) -> list[float]:
    """x, y, area, largest and smallest Feret, ellipse's axes of one object's polygons."""
    rings = [(np.asarray(ring, np.float64), k > 0) for part in parts for k, ring in enumerate(part.rings)]
    if not rings:
        return [np.nan] * 7
    x, y = _moments(rings)[1:3]
    points = np.concatenate([_edge_middles(ring) for ring, hole in rings if not hole])
    if scale is not None:
        rings = [(scale.to_mm(ring), hole) for ring, hole in rings]
        points = scale.to_mm(points)
    area, _, _, xx, yy, xy = _moments(rings)
    spread = np.hypot((xx - yy) / 2, xy)
    middle = (xx + yy) / 2
    axes = [4 * np.sqrt(max(middle + sign * spread, 0.0)) for sign in (1, -1)]
    return [x, y, area, *feret(points), *axes]


def _edge_middles(ring: Floats) -> Floats:
    """The middle of every pixel's edge on a ring through pixels' corners; sides are upright or level."""
    ahead = np.roll(ring, -1, axis=0) - ring
    count = np.maximum(np.rint(np.abs(ahead).sum(axis=1)).astype(int), 1)
    which = np.repeat(np.arange(len(ring)), count)
    rank = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    return np.asarray(ring[which] + ahead[which] * ((rank + 0.5) / count[which])[:, None])


def _moments(rings: list[tuple[Floats, bool]]) -> tuple[float, float, float, float, float, float]:
    """Area, centroid x, y and central second moments xx, yy, xy (over the area) of rings and holes.

    Green's theorem: sums over the sides, exact for polygons (Steger, "On the calculation of arbitrary moments
    of polygons", 1996).
    """
    origin = rings[0][0].mean(axis=0)
    total = np.zeros(6)
    for ring, hole in rings:
        x0, y0 = (ring - origin).T
        x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
        cross = x0 * y1 - x1 * y0
        terms = np.array([
            cross.sum() / 2,
            (cross * (x0 + x1)).sum() / 6,
            (cross * (y0 + y1)).sum() / 6,
            (cross * (x0**2 + x0 * x1 + x1**2)).sum() / 12,
            (cross * (y0**2 + y0 * y1 + y1**2)).sum() / 12,
            (cross * (2 * x0 * y0 + x0 * y1 + x1 * y0 + 2 * x1 * y1)).sum() / 24,
        ])  # fmt: skip
        total += terms * np.sign(terms[0]) * (-1 if hole else 1)
    area = total[0]
    if area <= 0:
        return 0.0, float("nan"), float("nan"), 0.0, 0.0, 0.0
    x, y, xx, yy, xy = total[1:] / area
    return (
        float(area), float(x + origin[0]), float(y + origin[1]),
        float(xx - x * x), float(yy - y * y), float(xy - x * y),
    )  # fmt: skip


def feret(points: Floats) -> tuple[float, float]:
    """Largest distance of two of the points (N, 2), and the smallest width of their hull.

    The smallest width lies across one of the hull's sides (Freeman and Shapira 1975).

    Example:
        >>> feret(np.array([[0.0, 0], [4, 0], [4, 3], [0, 3]]))
        (5.0, 3.0)
    """
    hull = cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)
    largest = float(np.sqrt(((hull[:, None] - hull[None]) ** 2).sum(axis=2).max()))
    side = np.roll(hull, -1, axis=0) - hull
    length = np.hypot(*side.T)
    side, starts = side[length > 0], hull[length > 0]
    if not len(side):
        return largest, 0.0
    normal = np.stack([-side[:, 1], side[:, 0]], axis=1) / length[length > 0][:, None]
    reach = np.abs(((hull[None] - starts[:, None]) * normal[:, None]).sum(axis=2)).max(axis=1)
    return largest, float(reach.min())


NAMES = tuple(one.name for one in fields(Sizes))
__all__ = ["EDGE", "KINDS", "NAMES", "Sizes", "check_kind", "feret", "sizes"]

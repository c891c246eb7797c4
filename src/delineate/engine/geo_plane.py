"""From an image's pixels to metres on a plane and on to its map: the frame in which outlines are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.data.georeference import Georeference
from delineate.data.vectors.crs import crs_of, pyproj

Points = NDArray[np.float64]
_CORNER = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
LARGEST_DISTORTION = 0.01
"""A map whose areas are off by more at the image (Web Mercator, say) is not drawn on as it is."""


@dataclass(frozen=True, eq=False)
class Plane:
    """Where outlines are drawn, and how they come to the map.

    Attributes:
        georeference: of the image; None: the plane is that of its pixels.
        origin: map coordinates that the plane's 0, 0 stands for.
        unit: of the plane's lengths: ``m``, or ``px`` without a georeference or without a known unit.
        pixel: side of a pixel in that unit (the root of its area).
        projection: pyproj's transformer from the map to the plane, where the map's own unit is not metres.
    """

    georeference: Georeference | None
    origin: tuple[float, float]
    unit: str
    pixel: float
    projection: Any = None

    def from_pixels(self, points: Points) -> Points:
        """Plane coordinates (P, 2) of pixel corners (P, 2); equal points give equal bits, whatever P is."""
        points = np.asarray(points, np.float64).reshape(-1, 2)
        if self.georeference is None:
            return points
        a, b, c, d, e, f = self.georeference.transform
        u, v = points[:, 0], points[:, 1]
        if self.projection is None:
            return np.stack(
                (a * u + b * v + (c - self.origin[0]), d * u + e * v + (f - self.origin[1])), axis=1
            )
        x, y = self.projection.transform(a * u + b * v + c, d * u + e * v + f)
        return np.stack((x, y), axis=1)

    def to_map(self, points: Points) -> Points:
        """Map coordinates (P, 2) of plane coordinates (P, 2); pixels without a georeference."""
        if self.georeference is None:
            return points
        if self.projection is None:
            moved: Points = points + np.array(self.origin)
            return moved
        x, y = self.projection.transform(points[:, 0], points[:, 1], direction="INVERSE")
        return np.stack((x, y), axis=1)

    def to_pixels(self, points: Points) -> Points:
        """Pixel coordinates (P, 2) of plane coordinates (P, 2)."""
        return points if self.georeference is None else self.georeference.to_pixel(self.to_map(points))


def plane_of(place: Georeference | None, size: tuple[int, int]) -> Plane:
    """The plane for an image: its own map where that is in metres, else one that touches the earth there.

    Args:
        place: where the image lies.
        size: (height, width) in pixels.

    Raises:
        DatasetError: an unknown reference system.
        InputError: the image does not lie where its reference system is defined.
        MissingDependencyError: pyproj is not installed.
    """
    if place is None:
        return Plane(None, (0.0, 0.0), "px", 1.0)
    height, width = size
    ((x, y),) = place.to_map([[width / 2, height / 2]]).tolist()
    a, b, _, d, e, _ = place.transform
    if place.epsg is None:
        return Plane(place, (x, y), "px", float(np.sqrt(abs(a * e - b * d))))
    crs = crs_of(place.epsg)
    if _metric(crs, (x, y)):
        return Plane(place, (x, y), "m", float(np.sqrt(abs(a * e - b * d))))
    projection = equal_area(place.epsg, (x, y))
    plane = Plane(place, (0.0, 0.0), "m", 1.0, projection)
    corners = plane.from_pixels(_CORNER + np.array([width // 2, height // 2]))
    if not np.isfinite(corners).all():
        raise InputError(
            f"EPSG:{place.epsg}: expected an image where this reference system is defined, got one around "
            f"{x:g}, {y:g}; check its georeference"
        )
    side = float(np.sqrt(abs(np.linalg.det(corners[1:] - corners[0]))))
    return Plane(place, (0.0, 0.0), "m", side, projection)


def _metric(crs: Any, around: tuple[float, float]) -> bool:
    """Whether map units are metres on the ground, near enough, at this place."""
    if not crs.is_projected or any(axis.unit_conversion_factor != 1 for axis in crs.axis_info[:2]):
        return False
    package = pyproj()
    try:
        degrees = package.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform(*around)
        factors = package.Proj(crs).get_factors(*degrees)
    except package.exceptions.ProjError:
        return False
    return bool(abs(factors.areal_scale - 1) <= LARGEST_DISTORTION and factors.angular_distortion < 0.2)


def equal_area(epsg: int, around: tuple[float, float]) -> Any:
    """A transformer to Lambert's azimuthal equal-area projection that touches the earth at ``around``.

    Areas in it are those on the ellipsoid (Snyder, "Map Projections: A Working Manual", USGS 1395, 1987,
    chapter 24), whatever the distance from its centre.

    Args:
        epsg: of the coordinates.
        around: the centre, in them.

    Raises:
        InputError: the centre lies where the reference system is not defined.
    """
    package = pyproj()
    crs = crs_of(epsg)
    base = crs.geodetic_crs
    longitude, latitude = package.Transformer.from_crs(crs, base, always_xy=True).transform(*around)
    if not (np.isfinite(longitude) and np.isfinite(latitude)):
        raise InputError(
            f"EPSG:{epsg}: expected coordinates where it is defined, got {around}; check the reference system"
        )
    ellipsoid = base.ellipsoid
    shape = f"+a={ellipsoid.semi_major_metre!r} +b={ellipsoid.semi_minor_metre!r}"
    local = package.CRS.from_proj4(f"+proj=laea +lat_0={latitude!r} +lon_0={longitude!r} {shape} +units=m")
    # through the map's own degrees, not WGS 84's: no shift of datum may come between
    degrees = package.Transformer.from_crs(crs, base, always_xy=True)
    plane = package.Transformer.from_crs(local.geodetic_crs, local, always_xy=True)
    return _Chain(degrees, plane)


class _Chain:
    """Two transformers, one after the other."""

    def __init__(self, first: Any, second: Any) -> None:
        self.first, self.second = first, second

    def transform(self, x: Any, y: Any, direction: str = "FORWARD") -> tuple[Any, Any]:
        steps = (self.first, self.second) if direction == "FORWARD" else (self.second, self.first)
        for step in steps:
            x, y = step.transform(x, y, direction=direction)
        return x, y

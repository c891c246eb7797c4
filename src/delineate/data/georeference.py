"""Where an image lies on the map: the affine transform from pixels, and the coordinate reference system.

GeoTIFF (OGC 19-008r4, sections 7.1 and 7.5): the tags ModelPixelScale and ModelTiepoint, or
ModelTransformation, and the keys of the reference system; else a world file of six lines beside the image
(``.tfw``, ``.pgw``, ``.jgw``, ``.wld``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from delineate.core.errors import DatasetError, MissingDependencyError

from .tiff_file import opened_tiff

Points = NDArray[np.float64]
WGS84 = 4326
_WORLD_FILES = {
    ".tif": (".tfw", ".tifw"), ".tiff": (".tfw", ".tiffw"), ".png": (".pgw", ".pngw"),
    ".jpg": (".jgw", ".jpgw"), ".jpeg": (".jgw", ".jpegw"),
}  # fmt: skip
_DIGITS = 6
"""Pixel coordinates are rounded to so many digits, so that there and back gives the same numbers."""


@dataclass(frozen=True)
class Georeference:
    """From pixels to the map: x = a u + b v + c, y = d u + e v + f, with (0, 0) the image's top left corner.

    Attributes:
        transform: a, b, c, d, e, f.
        epsg: number of the coordinate reference system, or None where it is not told.

    Example:
        >>> place = Georeference((0.5, 0, 733601, 0, -0.5, 3725139), 32616)
        >>> place.to_map([[0, 0], [900, 900]]).tolist()
        [[733601.0, 3725139.0], [734051.0, 3724689.0]]
        >>> place.to_pixel([[733601.25, 3725139]]).tolist()
        [[0.5, 0.0]]
    """

    transform: tuple[float, float, float, float, float, float]
    epsg: int | None = None

    def __post_init__(self) -> None:
        a, b, _, d, e, _ = self.transform
        if not np.isfinite(self.transform).all() or a * e == b * d:
            raise DatasetError(
                f"georeference: expected a transform that can be inverted, got {self.transform}; save the "
                "image's georeference again"
            )

    def to_map(self, points: ArrayLike) -> Points:
        """Map coordinates, (N, 2) x y, of pixel coordinates (N, 2)."""
        a, b, c, d, e, f = self.transform
        return np.asarray(points, np.float64).reshape(-1, 2) @ np.array([[a, d], [b, e]]) + np.array([c, f])

    def to_pixel(self, points: ArrayLike) -> Points:
        """Pixel coordinates, (N, 2), of map coordinates (N, 2) x y."""
        a, b, c, d, e, f = self.transform
        inverse = np.linalg.inv(np.array([[a, d], [b, e]]))
        return np.round((np.asarray(points, np.float64).reshape(-1, 2) - np.array([c, f])) @ inverse, _DIGITS)

    def bounds(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2 on the map of an image of ``size`` (height, width)."""
        height, width = size
        corners = self.to_map([[0, 0], [width, 0], [width, height], [0, height]])
        (x1, y1), (x2, y2) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        return x1, y1, x2, y2


def read_georeference(path: Path) -> Georeference | None:
    """Where an image lies on the map; None where it does not say so.

    Raises:
        DatasetError: a transform or a world file that makes no sense.
    """
    if path.suffix.lower() in (".tif", ".tiff", ".btf"):
        found = _geotiff(path)
        if found is not None:
            return found
    world = world_file(path)
    return None if world is None else _read_world(world)


def world_file(path: Path) -> Path | None:
    """The world file beside an image, or None."""
    suffixes = (*_WORLD_FILES.get(path.suffix.lower(), ()), ".wld")
    return next((w for w in map(path.with_suffix, suffixes) if w.is_file()), None)


def _geotiff(path: Path) -> Georeference | None:
    try:
        with opened_tiff(path) as file:
            page: Any = file.pages[0]
            tags: Mapping[str, Any] = page.geotiff_tags or {}
    except Exception:  # damaged files raise whatever they like; reading the image tells what is wrong
        return None
    try:
        return _placed(tags)
    except (ValueError, TypeError, IndexError):  # other numbers than the standard asks for: no place
        return None


def _placed(tags: Mapping[str, Any]) -> Georeference | None:
    transform = _transform(tags)
    if transform is None:
        return None
    a, b, c, d, e, f = transform
    if int(tags.get("GTRasterTypeGeoKey", 1)) == 2:  # the coordinates are those of pixel centres
        c, f = c - (a + b) / 2, f - (d + e) / 2
    number = tags.get("ProjectedCSTypeGeoKey", tags.get("GeographicTypeGeoKey"))
    known = number is not None and 1024 <= int(number) < 32767
    return Georeference((a, b, c, d, e, f), int(number) if known else None)


def _transform(tags: Mapping[str, Any]) -> tuple[float, float, float, float, float, float] | None:
    if "ModelTransformation" in tags:
        m = np.asarray(tags["ModelTransformation"], np.float64).reshape(4, 4)
        return (*m[0, [0, 1, 3]].tolist(), *m[1, [0, 1, 3]].tolist())
    scale, tie = tags.get("ModelPixelScale"), tags.get("ModelTiepoint")
    if scale is None or tie is None:
        return None
    u, v, _, x, y, _ = np.asarray(tie, np.float64).reshape(-1)[:6].tolist()
    return scale[0], 0.0, x - u * scale[0], 0.0, -scale[1], y + v * scale[1]


def _read_world(path: Path) -> Georeference:
    try:
        a, d, b, e, c, f = (float(line) for line in path.read_text(encoding="ascii").split())
    except (OSError, ValueError, UnicodeDecodeError):
        raise DatasetError(
            f"{path}: expected a world file of six numbers, got others; write it again"
        ) from None
    return Georeference((a, b, c - (a + b) / 2, d, e, f - (d + e) / 2))


def reproject(points: Points, source: int, target: int) -> Points:
    """Coordinates x y (longitude, latitude) of one reference system in another.

    Args:
        points: (N, 2).
        source: EPSG number of theirs.
        target: EPSG number of the one wanted.

    Raises:
        MissingDependencyError: pyproj is not installed.
        DatasetError: an unknown reference system.
    """
    if source == target:
        return points
    try:
        import pyproj
    except ImportError:
        raise MissingDependencyError(
            f"EPSG:{source} to EPSG:{target}: expected pyproj for another reference system than the image's, "
            "got none; pip install 'delineate[geo]'"
        ) from None
    try:
        change = pyproj.Transformer.from_crs(source, target, always_xy=True)
    except pyproj.exceptions.ProjError as error:
        raise DatasetError(
            f"EPSG:{source} to EPSG:{target}: expected reference systems that are known, got {error}; "
            "correct the number"
        ) from None
    x, y = change.transform(points[:, 0], points[:, 1])
    return np.stack((x, y), axis=1)

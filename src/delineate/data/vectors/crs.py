"""Coordinate reference systems in the forms that files carry them: PROJJSON, well-known text, a number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from delineate.core.errors import DatasetError, MissingDependencyError

from ..georeference import WGS84

_WGS84_WKT = (
    'GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],'
    'PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]]'
)


def pyproj() -> Any:
    """The package.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import pyproj as package
    except ImportError:
        raise MissingDependencyError(
            "coordinate reference systems: expected the package pyproj, got none; "
            "pip install 'delineate[geo]'"
        ) from None
    return package


def crs_of(epsg: int) -> Any:
    """pyproj's description of a reference system.

    Raises:
        DatasetError: an unknown number.
        MissingDependencyError: pyproj is not installed.
    """
    package = pyproj()
    try:
        return package.CRS.from_epsg(epsg)
    except package.exceptions.ProjError:
        raise DatasetError(
            f"EPSG:{epsg}: expected a reference system that is known, got another; correct the number"
        ) from None


def projjson(epsg: int) -> dict[str, Any]:
    """The reference system as GeoParquet has it.

    Raises:
        DatasetError: an unknown number.
        MissingDependencyError: pyproj is not installed.
    """
    found: dict[str, Any] = crs_of(epsg).to_json_dict()
    return found


def esri_text(epsg: int) -> str:
    """The reference system in the words of a Shapefile's ``.prj``.

    Raises:
        DatasetError: an unknown number.
        MissingDependencyError: pyproj is not installed, and it is another than WGS 84.
    """
    return _WGS84_WKT if epsg == WGS84 else str(crs_of(epsg).to_wkt("WKT1_ESRI"))


def epsg_of(text: str, where: Path) -> int:
    """The EPSG number of a reference system in words (any form that pyproj reads).

    Raises:
        DatasetError: it has no such number, or cannot be read.
        MissingDependencyError: pyproj is not installed.
    """
    package = pyproj()
    try:
        found = package.CRS.from_user_input(text)
    except package.exceptions.ProjError:
        raise DatasetError(
            f"{where}: expected a reference system in known words, got others; export it again"
        ) from None
    number = found.to_epsg(min_confidence=25)
    if number is None and found.is_geographic and "WGS" in found.name.upper():
        number = WGS84  # OGC:CRS84, which differs in the order of its axes alone
    if number is None:
        raise DatasetError(
            f"{where}: expected a reference system with an EPSG number, got {found.name}; reproject the "
            "layer to one"
        )
    return int(number)

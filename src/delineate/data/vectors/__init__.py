"""Vector files of maps, read and written by their ending: GeoPackage, GeoJSON, GeoParquet, Shapefile.

A :class:`Layer` has shapes in map coordinates and a table with a row for each.
"""

from __future__ import annotations

from pathlib import Path

from delineate.core.errors import DatasetError, InputError

from .layer import Layer as Layer

ENDINGS = (".gpkg", ".geojson", ".parquet", ".shp")
_ALSO = {".json": ".geojson", ".geoparquet": ".parquet", ".gz": ".geojson"}


def check_ending(path: Path) -> str:
    """The file's kind, one of :data:`ENDINGS`.

    Raises:
        InputError: another ending.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS and ending not in _ALSO:
        raise InputError(
            f"{path}: expected a file ending in {', '.join(ENDINGS)}, got {ending or 'none'!r}; choose "
            "one of these"
        )
    return _ALSO.get(ending, ending)


def write_layer(path: Path, layer: Layer) -> list[Path]:
    """Writes a layer; whole or not at all.

    Returns:
        What was written: of a Shapefile all its files.

    Raises:
        InputError: another ending, or it cannot be written there.
        MissingDependencyError: pyarrow for Parquet, pyproj for another reference system than WGS 84.
    """
    kind = check_ending(path)
    if kind == ".shp":
        from .shapefile import write_shapefile

        write_shapefile(path, layer)
        beside = (".shp", ".shx", ".dbf", ".cpg", ".prj")
        return [path.with_suffix(e) for e in beside if e != ".prj" or layer.epsg is not None]
    if kind == ".parquet":
        from .geoparquet import write_geoparquet

        write_geoparquet(path, layer)
    elif kind == ".gpkg":
        from .geopackage import write_geopackage

        write_geopackage(path, layer)
    else:
        from .geojson import write_geojson

        write_geojson(path, layer)
    return [path]


def read_layer(path: Path) -> Layer:
    """Reads a layer of polygons.

    Raises:
        DatasetError: no such file, damaged, or without polygons.
        InputError: another ending.
    """
    kind = check_ending(path)
    if not path.is_file():
        raise DatasetError(f"{path}: expected a file, got none there; check the spelling")
    if kind == ".shp":
        from .shapefile import read_shapefile

        return read_shapefile(path)
    if kind == ".parquet":
        from .geoparquet import read_geoparquet

        return read_geoparquet(path)
    if kind == ".gpkg":
        from .geopackage import read_geopackage

        return read_geopackage(path)
    from .geojson import read_geojson

    return read_geojson(path)

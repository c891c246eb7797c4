"""GeoParquet 1.1: a Parquet table with a column of well-known binary and a note on what it means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from delineate.core.errors import DatasetError
from delineate.core.polygons import Polygon

from ..formats import wkb
from ..formats.coco_check import Bad
from ..formats.parquet_file import batches, needed
from ..georeference import WGS84
from ..write import atomic
from .crs import epsg_of, projjson
from .layer import Layer, Parts, envelope, turned

GEOMETRY = "geometry"
ROWS = 1024
"""So many are read at once."""


def write_geoparquet(path: Path, layer: Layer) -> None:
    """Writes shapes and table; units and sources stand in each field's metadata.

    Raises:
        MissingDependencyError: pyarrow (or, for a reference system other than WGS 84, pyproj) is missing.
    """
    pa, _ = needed()
    plain = layer.table.copy(deep=False)
    plain.attrs = {}
    arrow = pa.Table.from_pandas(plain, preserve_index=False)
    told = [{"unit": layer.units.get(n, ""), "source": layer.sources.get(n, "")} for n in arrow.column_names]
    fields = [
        field.with_metadata({k: v for k, v in said.items() if v})
        for field, said in zip(arrow.schema, told, strict=True)
    ]
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": ["MultiPolygon"] if len(layer) else [],
        "crs": None if layer.epsg is None else projjson(layer.epsg),
        "orientation": "counterclockwise",
        "edges": "planar",
    }
    boxes = [envelope(parts) for parts in layer.shapes if parts]
    if boxes:
        low, high = ([f(b[k] for b in boxes) for k in ks] for f, ks in ((min, (0, 1)), (max, (2, 3))))
        column["bbox"] = [*low, *high]
    geo = {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}
    record = {"units": dict(layer.units), "sources": dict(layer.sources)}
    metadata = {b"geo": json.dumps(geo).encode(), b"delineate": json.dumps(record).encode()}
    blobs = pa.array([_binary(parts) for parts in layer.shapes], pa.binary())
    schema = pa.schema([*fields, pa.field(GEOMETRY, pa.binary())], metadata=metadata)
    table = pa.Table.from_arrays([*arrow.columns, blobs], schema=schema)
    with atomic(path) as temporary:
        pa.parquet.write_table(table, temporary, compression="zstd")


def _binary(parts: Parts) -> bytes | None:
    if not parts:
        return None
    rings = [turned(part) for part in parts]
    return wkb.write([Polygon(r[0][:-1], tuple(h[:-1] for h in r[1:])) for r in rings])


def read_geoparquet(path: Path) -> Layer:
    """Reads the primary geometry column of a GeoParquet file, encoded as well-known binary.

    Raises:
        DatasetError: not a GeoParquet file, or its geometry is encoded otherwise.
    """
    pa, parquet = needed()
    try:
        table = pa.Table.from_batches(batches(path, ROWS), parquet.read_schema(path))
        geo = json.loads((table.schema.metadata or {})[b"geo"])
        name = geo["primary_column"]
        column = geo["columns"][name]
        blobs = table.column(name).to_pylist()
        if not isinstance(column, dict) or not all(isinstance(b, bytes | None) for b in blobs):
            raise TypeError("geometry that is not of bytes")
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DatasetError(f"{path}: expected a GeoParquet file, got {reason}; export it again") from None
    if column.get("encoding") != "WKB":
        raise DatasetError(
            f"{path}: expected geometry as WKB, got {column.get('encoding')!r}; export it with that encoding"
        )
    shapes = []
    for row, blob in enumerate(blobs):
        try:
            shapes.append(tuple(wkb.polygons(blob, f"row {row}")) if blob else ())
        except Bad as bad:
            raise DatasetError(f"{path}: {bad}; mend it or remove it") from None
    crs = column.get("crs", WGS84)
    epsg = WGS84 if crs == WGS84 else None if crs is None else epsg_of(json.dumps(crs), path)
    rest: pd.DataFrame = table.drop_columns([name]).to_pandas()
    return Layer(tuple(shapes), rest, epsg, path.stem)

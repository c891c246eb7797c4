"""A layer as a GeoPackage (OGC 12-128r18) of one table of multipolygons, its columns described by the schema
extension (annex F.9)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from delineate.core.errors import DatasetError, InputError
from delineate.core.polygons import Polygon

from ..formats.coco_check import Findings
from ..formats.geopackage import APPLICATION, PIXELS, SCHEMA, VERSION, blob, definition, layers
from ..formats.sqlite_file import opened
from ..write import atomic
from .layer import Layer, Parts, envelope, turned

_DESCRIBED = """
CREATE TABLE gpkg_extensions (table_name TEXT, column_name TEXT, extension_name TEXT NOT NULL,
  definition TEXT NOT NULL, scope TEXT NOT NULL,
  CONSTRAINT ge_tce UNIQUE (table_name, column_name, extension_name));
CREATE TABLE gpkg_data_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL, name TEXT, title TEXT,
  description TEXT, mime_type TEXT, constraint_name TEXT,
  CONSTRAINT pk_gdc PRIMARY KEY (table_name, column_name),
  CONSTRAINT gdc_tn UNIQUE (table_name, name));
CREATE TABLE gpkg_data_column_constraints (constraint_name TEXT NOT NULL, constraint_type TEXT NOT NULL,
  value TEXT, min NUMERIC, min_is_inclusive BOOLEAN, max NUMERIC, max_is_inclusive BOOLEAN, description TEXT,
  CONSTRAINT gdcc_ntv UNIQUE (constraint_name, constraint_type, value));
INSERT INTO gpkg_extensions VALUES
  ('gpkg_data_columns', NULL, 'gpkg_schema', 'http://www.geopackage.org/spec/#extension_schema',
   'read-write'),
  ('gpkg_data_column_constraints', NULL, 'gpkg_schema', 'http://www.geopackage.org/spec/#extension_schema',
   'read-write');
"""
_TYPES = {"b": "BOOLEAN", "i": "INTEGER", "u": "INTEGER", "f": "DOUBLE"}


def write_geopackage(path: Path, layer: Layer) -> None:
    """Writes the layer under its own name.

    Raises:
        InputError: SQLite cannot write there.
    """
    epsg = PIXELS if layer.epsg is None else layer.epsg
    with atomic(path) as temporary:
        try:
            with closing(sqlite3.connect(temporary, isolation_level=None)) as database:
                database.executescript(
                    f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"
                    f"PRAGMA journal_mode = MEMORY; {SCHEMA} {_DESCRIBED} BEGIN;"
                )
                _describe(database, layer, epsg)
                _fill(database, layer, epsg)
                database.execute("COMMIT")
        except sqlite3.Error as error:
            raise InputError(f"{path}: expected to write here, got {error}; choose another place") from None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _describe(database: sqlite3.Connection, layer: Layer, epsg: int) -> None:
    columns = "".join(
        f", {_quoted(str(n))} {_TYPES.get(layer.table[n].dtype.kind, 'TEXT')}" for n in layer.table.columns
    )
    database.execute(
        f"CREATE TABLE {_quoted(layer.name)} "
        f"(fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, geom MULTIPOLYGON{columns})"
    )
    if epsg not in (PIXELS, 0):
        database.execute(
            "INSERT OR IGNORE INTO gpkg_spatial_ref_sys VALUES (?, ?, 'EPSG', ?, ?, '')",
            (f"EPSG:{epsg}", epsg, epsg, definition(epsg)),
        )
    boxes = [envelope(parts) for parts in layer.shapes if parts]
    around = (
        (*np.min(boxes, axis=0)[:2].tolist(), *np.max(boxes, axis=0)[2:].tolist()) if boxes else (None,) * 4
    )
    database.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, min_x, min_y, max_x, max_y, srs_id) "
        "VALUES (?, 'features', ?, ?, ?, ?, ?, ?)",
        (layer.name, layer.name, *around, epsg),
    )
    database.execute(
        "INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', 'MULTIPOLYGON', ?, 0, 0)", (layer.name, epsg)
    )
    told = [(layer.name, str(n), layer.units.get(n), layer.about(n)) for n in layer.table.columns]
    database.executemany(
        "INSERT INTO gpkg_data_columns (table_name, column_name, title, description) VALUES (?, ?, ?, ?)",
        [row for row in told if row[3]],
    )


def _fill(database: sqlite3.Connection, layer: Layer, epsg: int) -> None:
    marks = ", ".join("?" * (1 + len(layer.table.columns)))
    names = ", ".join(_quoted(str(n)) for n in ("geom", *layer.table.columns))
    cells = [layer.table[n].astype(object).where(layer.table[n].notna(), None) for n in layer.table.columns]
    for row, parts in enumerate(layer.shapes):
        values = [_plain(column.iloc[row]) for column in cells]
        shape = blob(_directed(parts), epsg, envelope(parts)) if parts else None
        database.execute(f"INSERT INTO {_quoted(layer.name)} ({names}) VALUES ({marks})", (shape, *values))


def _directed(parts: Parts) -> Sequence[Polygon]:
    rings = [turned(part) for part in parts]
    return [Polygon(r[0][:-1], tuple(h[:-1] for h in r[1:])) for r in rings]


def _plain(value: Any) -> Any:
    """A value that SQLite has."""
    if value is None or isinstance(value, (str, int, float, bytes)):
        return value
    return value.item() if hasattr(value, "item") else str(value)


def read_geopackage(path: Path) -> Layer:
    """Reads the layer of polygons; of several the first by name.

    Raises:
        DatasetError: damaged, or without shapes that have an area.
    """
    findings = Findings(path)
    with opened(path, "a GeoPackage") as tables:
        found = [(shapes, epsg) for shapes, epsg in layers(tables, path, findings)]
    findings.settle(False)
    shapes, epsg = found[0]
    rows = [{k: v for k, v in shape.properties.items() if k != "fid"} for shape in shapes]
    table = pd.DataFrame(rows, index=range(len(shapes)))
    if not all(len(shape.parts) for shape in shapes):
        raise DatasetError(f"{path}: expected polygons, got shapes without an area; export an area layer")
    return Layer(tuple(tuple(shape.parts) for shape in shapes), table, epsg, path.stem)

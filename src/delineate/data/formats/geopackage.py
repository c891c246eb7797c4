"""GeoPackage (OGC 12-128r18): layers of shapes in one SQLite file, beside the images they lie on.

Every layer of features is read. The class is a column such as ``class`` or ``label``, else, of several
layers, the layer's name. Written is one layer for each reference system, and a table ``classes``.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from delineate.core.errors import DatasetError, InputError
from delineate.core.labels import Labels
from delineate.core.polygons import Polygon

from ..losses import Losses
from ..place import Place, safe_name
from ..records import Dataset
from ..write import atomic
from . import wkb
from .coco_check import Bad, Findings
from .drawing import to_draw
from .drawn import dataset, some_files
from .image_search import Images
from .map_features import CLASS_KEYS, Shape, class_of, on_map, place_of, put_image, raster, rasters, records
from .sqlite_file import Tables, opened, quoted

FILE = "annotations.gpkg"
_MAGIC = b"SQLite format 3\0"
APPLICATION = 0x47504B47  # "GPKG"
VERSION = 10300
_ENVELOPE = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
PIXELS = -1  # "undefined Cartesian", as the standard calls it
SCHEMA = """
CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY,
  organization TEXT NOT NULL, organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL,
  description TEXT);
CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL,
  identifier TEXT UNIQUE, description TEXT DEFAULT '',
  last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')), min_x DOUBLE, min_y DOUBLE,
  max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
  CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL,
  geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL,
  CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name),
  CONSTRAINT uk_gc_table_name UNIQUE (table_name),
  CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name),
  CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id));
INSERT INTO gpkg_spatial_ref_sys VALUES
  ('Undefined Cartesian SRS', -1, 'NONE', -1, 'undefined', 'undefined Cartesian coordinate reference system'),
  ('Undefined geographic SRS', 0, 'NONE', 0, 'undefined', 'undefined geographic coordinate reference system'),
  ('WGS 84 geodetic', 4326, 'EPSG', 4326, 'GEOGCS["WGS 84",DATUM["WGS_1984",'
    || 'SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],'
    || 'UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4326"]]', '');
"""
_CLASSES = """
CREATE TABLE classes (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, class_id INTEGER, name TEXT);
INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('classes', 'attributes', 'classes');
"""


def recognise(path: Path) -> bool:
    """Whether it is a GeoPackage, or a folder with one among its first such files."""
    try:
        if path.is_dir():
            return any(map(_is_geopackage, some_files(path, (".gpkg",))))
        return _is_geopackage(path)
    except OSError:
        return False


def _is_geopackage(path: Path) -> bool:
    with path.open("rb") as file:
        begin = file.read(72)
    return begin.startswith(_MAGIC) and (begin[68:71] in (b"GPK", b"GP1") or path.suffix.lower() == ".gpkg")


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads a GeoPackage, or the only one of a folder, with the images that its shapes lie on.

    Args:
        path: the file or the folder.
        images: the folder of the images, or one image, where they do not lie there.
        skip_invalid: leave malformed shapes out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: no shapes or images, or something malformed; the message has layer and feature.
        MissingDependencyError: another reference system than the image's, without pyproj.
    """
    path = Path(path)
    file = path
    if path.is_dir():
        files = some_files(path, (".gpkg",))
        if len(files) != 1:
            raise DatasetError(f"{path}: expected one GeoPackage, got {len(files)}; name the one you mean")
        (file,) = files
    findings = Findings(path)
    root = file.parent if images is None or images is False else Path(images)
    with opened(file, "a GeoPackage") as tables:
        drawn = list(layers(tables, file, findings))
        classes = _classes(tables)
    paths = rasters(root, images)
    same = [p for p in paths if p.stem == file.stem]
    try:
        places = [raster(p, root if root.is_dir() else root.parent, findings) for p in same or paths]
        found = records(drawn, places, findings)
    except Bad as bad:
        raise DatasetError(f"{file}: {bad}; mend it or remove it") from None
    return dataset(found, classes, "GeoPackage", findings, skip_invalid)


def layers(tables: Tables, file: Path, findings: Findings) -> Iterator[tuple[list[Shape], int | None]]:
    """The shapes of each layer of features, and the EPSG number of their coordinates.

    Raises:
        DatasetError: no such layer.
    """
    query = (
        "SELECT c.table_name, g.column_name, s.organization, s.organization_coordsys_id "
        "FROM gpkg_contents c JOIN gpkg_geometry_columns g ON g.table_name = c.table_name "
        "LEFT JOIN gpkg_spatial_ref_sys s ON s.srs_id = g.srs_id WHERE c.data_type = 'features' "
        "ORDER BY c.table_name"
    )
    rows = list({row[0]: row for row in tables.select(query)}.values())  # a table counts once
    if not rows:
        raise DatasetError(f"{file}: expected a layer of features, got none; export the layer again")
    for table, column, organization, number in rows:
        epsg = number if str(organization).upper() == "EPSG" and type(number) is int else None
        yield list(_shapes(tables, str(table), column, len(rows) > 1, findings)), epsg


def _shapes(tables: Tables, table: str, column: str, several: bool, findings: Findings) -> Iterator[Shape]:
    names = tables.columns(table)
    query = f"SELECT {', '.join(map(quoted, names))} FROM {quoted(table)}"
    for row, values in enumerate(tables.select(query), 1):
        properties = dict(zip(names, values, strict=True))
        blob = properties.pop(column, None)
        where = f"{table}[{row}]"
        try:
            parts = wkb.polygons(_body(blob, where), where) if blob is not None else []
            if several and not any(properties.get(key) for key in CLASS_KEYS):
                properties["class"] = table
            class_of(properties, where)
        except Bad as bad:
            findings.problems.append(str(bad))
            continue
        if parts:
            yield Shape(parts, properties, where)
        else:
            findings.count("point, line or nothing, which has no area, left out", where)


def _body(blob: object, where: str) -> bytes:
    """The well-known binary behind GeoPackage's header (section 2.1.3.1)."""
    if not isinstance(blob, bytes) or len(blob) < 8 or blob[:2] != b"GP":
        raise Bad(f"{where}: expected a GeoPackage geometry, got other bytes")
    size = _ENVELOPE.get(blob[3] >> 1 & 7)
    if size is None:
        raise Bad(f"{where}: expected an envelope of kind 0 to 4, got {blob[3] >> 1 & 7}")
    return blob[8 + size :]


def _classes(tables: Tables) -> Labels | list[str]:
    """The table ``classes`` as :func:`write` makes it; empty where there is none."""
    try:
        rows = list(tables.select("SELECT class_id, name FROM classes ORDER BY id"))
    except sqlite3.Error:
        return []
    ids = [own for own, _ in rows]
    if all(type(i) is int for i in ids) and len(set(ids)) == len(ids):
        return Labels(tuple(str(name) for _, name in rows), tuple(ids))
    return [str(name) for _, name in rows]


# -- writing ---------------------------------------------------------------------------------------------


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes ``annotations.gpkg``: one layer for each reference system of the images.

    Shapes carry the name of their image; an image without a place on the map gets pixel coordinates. Masks
    keep every pixel.

    Args:
        out: the folder, which exists; or a ``.gpkg`` file.
        data: the dataset.
        losses: counts what the file cannot hold.
        place: puts the images there, with their world files.

    Raises:
        DatasetError: an image that is missing, or an annotation that cannot be read.
    """
    single = out.suffix.lower() == ".gpkg"
    with atomic(out if single else out / FILE) as temporary:
        try:
            with closing(sqlite3.connect(temporary, isolation_level=None)) as database:
                database.executescript(
                    f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"
                    f"PRAGMA journal_mode = MEMORY; {SCHEMA} {_CLASSES} BEGIN;"
                )
                rows = zip(data.classes.ids, data.classes.names, strict=True)
                database.executemany("INSERT INTO classes (class_id, name) VALUES (?, ?)", rows)
                _fill(database, data, losses, out if not single else None, place)
                database.execute("COMMIT")
        except sqlite3.Error as error:
            raise InputError(f"{out}: expected to write here, got {error}; choose another place") from None


def _fill(
    database: sqlite3.Connection, data: Dataset, losses: Losses, out: Path | None, place: Place
) -> None:
    bounds: dict[str, list[float]] = {}
    for index, record in enumerate(data.records):
        where = place_of(record)
        epsg = PIXELS if where is None else where.epsg or PIXELS
        table = f"objects_{epsg}" if epsg != PIXELS else "objects"
        if table not in bounds:
            _new_layer(database, table, epsg)
            bounds[table] = [np.inf, np.inf, -np.inf, -np.inf]
        split = record.groups.get("split", "")
        name = f"{split}/{safe_name(record.name)}" if split else safe_name(record.name)
        _, objects = to_draw(data, index, losses)
        for parts, values in on_map(objects, where, data.classes.ids):
            box = _envelope(parts)
            low, high = np.minimum(bounds[table], box), np.maximum(bounds[table], box)
            bounds[table] = [*low[:2].tolist(), *high[2:].tolist()]
            row = (blob(parts, epsg, box), name, *values.values())
            database.execute(
                f"INSERT INTO {table} (geom, image, class, class_id, object_id, score, crowd, box) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
        if out is not None:
            put_image(record, out / name, place)
    for table, around in bounds.items():
        if np.isfinite(around).all():
            database.execute(
                "UPDATE gpkg_contents SET min_x = ?, min_y = ?, max_x = ?, max_y = ? WHERE table_name = ?",
                (*around, table),
            )


def _new_layer(database: sqlite3.Connection, table: str, epsg: int) -> None:
    database.execute(
        f"CREATE TABLE {table} (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, geom MULTIPOLYGON, "
        "image TEXT, class TEXT, class_id INTEGER, object_id INTEGER, score DOUBLE, crowd BOOLEAN, "
        "box BOOLEAN)"
    )
    if epsg != PIXELS:
        database.execute(
            "INSERT OR IGNORE INTO gpkg_spatial_ref_sys VALUES (?, ?, 'EPSG', ?, ?, '')",
            (f"EPSG:{epsg}", epsg, epsg, definition(epsg)),
        )
    database.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, srs_id) VALUES (?, 'features', ?, ?)",
        (table, table, epsg),
    )
    database.execute(
        "INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', 'MULTIPOLYGON', ?, 0, 0)", (table, epsg)
    )


def definition(epsg: int) -> str:
    """The reference system in words that map tools read, where pyproj is there; they know the number too."""
    try:
        import pyproj

        return str(pyproj.CRS.from_epsg(epsg).to_wkt("WKT1_GDAL"))
    except ImportError:
        return "undefined"
    except pyproj.exceptions.ProjError:
        return "undefined"


def _envelope(parts: Sequence[Polygon]) -> list[float]:
    every = np.array([part.bounds for part in parts])
    return [*every[:, :2].min(axis=0).tolist(), *every[:, 2:].max(axis=0).tolist()]


def blob(parts: Sequence[Polygon], epsg: int, box: Sequence[float]) -> bytes:
    """GeoPackage's header with an envelope (min x, max x, min y, max y), and a multipolygon."""
    x1, y1, x2, y2 = box
    return struct.pack("<2sBBi4d", b"GP", 0, 0b11, epsg, x1, x2, y1, y2) + wkb.write(parts)

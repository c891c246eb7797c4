"""Small files built to run code, to be read for ever or to unpack to gigabytes: each is refused in one line.

Fuzzing does not find these; they are made on purpose.
"""

from __future__ import annotations

import json
import pickle
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from delineate.core.errors import DelineateError
from delineate.core.polygons import Polygon
from delineate.data.camera_file import read_camera
from delineate.data.formats import geopackage, hf_parquet, parquet_file
from delineate.data.formats.hf_rows import classes_of
from delineate.data.rasters import open_raster
from delineate.data.rasters.zarr_codecs import KNOWN, names
from delineate.data.rgbd import read_depth
from delineate.data.vectors import Layer, read_layer, write_layer
from delineate.engine.calibration_files import read_homography


def refused(call: Callable[[], object], *names: str) -> str:
    """The one line with which it is refused."""
    with pytest.raises(DelineateError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 1000
    assert all(name in text for name in names), text
    return text


# -- GeoPackages are databases -----------------------------------------------------------------------------

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
VIEWS = {
    "rows for ever": f"{ENDLESS} SELECT x AS fid, NULL AS geom FROM c",
    "one row that is never reached": f"{ENDLESS} SELECT count(*) AS fid, NULL AS geom FROM c",
    "gigabytes": "SELECT 1 AS fid, zeroblob(900000000) AS geom",
}


def _layer(path: Path) -> Path:
    box = Polygon([[10.0, 50], [10.1, 50], [10.1, 50.1], [10, 50.1]])
    write_layer(path, Layer(((box,),), pd.DataFrame({"n": [1]}), 4326, "objects"))
    return path


def _changed(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)
        database.commit()
    return path


@pytest.mark.parametrize("name", VIEWS)
def test_views_are_not_run(name: str, tmp_path: Path) -> None:
    path = _changed(_layer(tmp_path / "a.gpkg"), f"DROP TABLE objects; CREATE VIEW objects AS {VIEWS[name]}")
    refused(lambda: read_layer(path), "a.gpkg", "a view")
    refused(lambda: geopackage.read(path), "a.gpkg", "a view")


@pytest.mark.parametrize("table", ["gpkg_contents", "gpkg_geometry_columns"])
def test_nor_are_views_in_place_of_the_standards_tables(table: str, tmp_path: Path) -> None:
    script = (
        f"PRAGMA legacy_alter_table = ON; ALTER TABLE {table} RENAME TO kept;"
        f"CREATE VIEW {table} AS {ENDLESS} SELECT kept.* FROM kept, c"
    )
    refused(lambda: read_layer(_changed(_layer(tmp_path / "a.gpkg"), script)), "a.gpkg")


def test_computed_columns_are_left_out(tmp_path: Path) -> None:
    script = "ALTER TABLE objects ADD COLUMN big GENERATED ALWAYS AS (zeroblob(900000000)) VIRTUAL"
    found = read_layer(_changed(_layer(tmp_path / "a.gpkg"), script))
    assert len(found) == 1 and "big" not in found.table and found.table["n"].tolist() == [1]


def test_a_table_without_end(tmp_path: Path) -> None:
    """A page of rows that hangs in its tree hundreds of times, level upon level."""
    path = _layer(tmp_path / "a.gpkg")
    rows = "".join(f"INSERT INTO objects (n) VALUES ({k});" for k in range(4000))
    _changed(path, f"BEGIN; {rows} COMMIT;")
    with closing(sqlite3.connect(path)) as database:
        size = int(database.execute("PRAGMA page_size").fetchone()[0])
        root = int(
            database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'objects'").fetchone()[0]
        )
    data = bytearray(path.read_bytes())
    at = (root - 1) * size
    assert data[at] == 5  # an inner page: its cells name pages below, four bytes each
    count = struct.unpack_from(">H", data, at + 3)[0]
    for k in range(count):
        cell = at + struct.unpack_from(">H", data, at + 12 + 2 * k)[0]
        struct.pack_into(">I", data, cell, root)
    struct.pack_into(">I", data, at + 8, root)
    path.write_bytes(data)
    refused(lambda: read_layer(path), "a.gpkg")


# -- arrays, texts, tables ----------------------------------------------------------------------------------


def _npy(path: Path, shape: str, kind: str = "<f8", body: bytes = bytes(72)) -> Path:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (64 - (len(header) + 11) % 64) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + body)
    return path


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(2000000000,)", "(-1,)", "(100000,) * 4", "(3, 4)"])
def test_arrays_that_say_more_than_they_hold(shape: str, tmp_path: Path) -> None:
    path = _npy(tmp_path / "a.npy", shape)
    refused(lambda: read_homography(path), "a.npy")
    refused(lambda: read_depth(path), "a.npy")


def test_arrays_of_objects_and_archives_of_arrays(tmp_path: Path) -> None:
    path = _npy(tmp_path / "a.npy", "(1,)", "|O", pickle.dumps([1]))
    refused(lambda: read_depth(path), "a.npy", "objects")
    np.savez_compressed(tmp_path / "b.npz", a=np.zeros(1 << 22))
    (tmp_path / "b.npz").rename(tmp_path / "b.npy")
    refused(lambda: read_depth(tmp_path / "b.npy"), "b.npy")
    refused(lambda: read_homography(tmp_path / "b.npy"), "b.npy")


def test_yaml_that_copies_itself(tmp_path: Path) -> None:
    merged = "".join(
        f"a{k}: &a{k} {{<<: [{', '.join([f'*a{k - 1}'] * 9)}], q{k}: 1}}\n" for k in range(1, 12)
    )
    path = tmp_path / "camera.yaml"
    path.write_text(f"a0: &a0 {{x: 1}}\n{merged}fx: 1\nfy: 1\ncx: 1\ncy: 1\n")
    refused(lambda: read_camera(path), "camera.yaml", "merged")
    path.write_text(f"fx: {'[' * 5000}\n")
    refused(lambda: read_camera(path), "camera.yaml")
    path.write_text("a: &a [500, 0, 32, 0, 500, 24, 0, 0, 1]\nK: *a\n")  # as PyYAML writes what is shared
    assert read_camera(path).matrix[0].tolist() == [500, 0, 32]


@pytest.mark.parametrize("classes", ["[" * 3000 + "]" * 3000, "[{<<: {id: 1, name: a}}]", "{[a]: 1}"])
def test_heads_of_cards(classes: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"---\nclasses: {classes}\n---\nx\n")
    assert classes_of(tmp_path) == []


@pytest.mark.parametrize("column", ["geometry", "image"])
def test_parquet_of_one_value_many_times(
    column: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    told = {"primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB"}}}
    schema = pa.schema([(column, pa.binary())], metadata={"geo": json.dumps(told)})
    path = tmp_path / "a.parquet"
    read: Any = read_layer if column == "geometry" else hf_parquet.read
    parquet.write_table(pa.table({column: pa.nulls(200_000, pa.binary())}).cast(schema), path)
    refused(lambda: read(path), "a.parquet", "200000 rows")
    monkeypatch.setattr(parquet_file, "SMALL_BYTES", 1 << 20)
    rows = pa.table({column: pa.array([bytes(1 << 19)] * 40, pa.binary())}).cast(schema)
    parquet.write_table(rows.replace_schema_metadata(schema.metadata), path, compression="zstd")
    assert path.stat().st_size < 5000
    refused(lambda: read(path), "a.parquet", "times its own")


# -- Zarr names the programs that unpack it ------------------------------------------------------------------

PICKLE = {"id": "pickle", "protocol": 5}


class _Runs:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize(
    ("kind", "filters", "compressor", "fill"),
    [
        ("|O", [PICKLE], None, 0),
        ("|O", [{"id": "vlen-utf8"}, PICKLE], None, ""),
        ("|O", [{"id": "vlen-bytes"}], PICKLE, ""),
        ("|u1", None, PICKLE, 0),
        ("|u1", [PICKLE], {"id": "zlib", "level": 1}, 0),
        ("<U4", [PICKLE], None, ""),
        ("|u1", [{"id": "base64"}], None, 0),
    ],
)
def test_zarr_runs_no_pickle(kind: str, filters: Any, compressor: Any, fill: Any, tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    told = {"zarr_format": 2, "shape": [8, 8], "chunks": [8, 8], "dtype": kind, "fill_value": fill,
            "order": "C", "filters": filters, "compressor": compressor}  # fmt: skip
    store = tmp_path / "a.zarr"
    store.mkdir()
    (store / ".zarray").write_text(json.dumps(told))
    (store / "0.0").write_bytes(pickle.dumps(_Runs(tmp_path / "ran")))

    def look() -> None:
        with open_raster(store) as raster:
            raster.window(0, 0, 4, 4)

    refused(look, "a.zarr")
    assert not (tmp_path / "ran").exists()


def test_codecs_are_asked_for_by_name() -> None:
    """Whatever the package refuses by itself, the reader does too."""
    inner = {"name": "sharding_indexed", "configuration": {"codecs": [{"name": "numcodecs.pickle"}]}}
    assert list(names({"codecs": [{"name": "transpose"}, inner]})) == [
        "transpose",
        "sharding_indexed",
        "pickle",
    ]
    assert list(names({"filters": [PICKLE], "compressor": None})) == ["pickle"]
    assert not {"pickle", "json2", "msgpack2", "vlen-bytes", "categorize"} & KNOWN


@pytest.mark.parametrize("side", [40_000, 400_000_000])
def test_zarr_chunks_of_gigabytes(side: int, tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    zarr.create_array(tmp_path / "a", shape=(8, 8), chunks=(4, 4), dtype="uint8", zarr_format=2)
    told = json.loads((tmp_path / "a/.zarray").read_text())
    (tmp_path / "a/.zarray").write_text(json.dumps({**told, "shape": [side] * 2, "chunks": [side] * 2}))
    refused(lambda: open_raster(tmp_path / "a"), "chunks of")


def test_labels_whose_picture_is_missing_are_named(tmp_path: Path) -> None:
    """Where a model should look at it, it was the picture's bare name that was told."""
    from delineate.engine.measure_sources import Choice, dataset_items, dataset_of

    shape = {"label": "a", "shape_type": "polygon", "points": [[1, 1], [5, 1], [5, 5]]}
    told = {"version": "5", "imagePath": "photo.jpg", "imageData": None, "imageHeight": 8, "imageWidth": 8}
    (tmp_path / "a.json").write_text(json.dumps(told | {"shapes": [shape], "flags": {}}))
    data = dataset_of(str(tmp_path / "a.json"), Choice())
    assert data is not None
    (item,) = dataset_items(data, Choice(), predict=lambda _: data.truth(0))
    refused(item.look, "a.json", "photo.jpg")

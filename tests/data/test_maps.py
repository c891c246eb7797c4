"""Images on the map, GeoJSON and GeoPackage: real footprints, other tools' files, bad ones."""

from __future__ import annotations

import json
import shutil
import sqlite3
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import tifffile

from delineate.core.errors import DatasetError
from delineate.core.polygons import Polygon
from delineate.data import open_dataset
from delineate.data.formats import geojson, geopackage, wkb
from delineate.data.formats.coco_check import Bad
from delineate.data.georeference import Georeference, read_georeference, reproject
from delineate.data.images import write_png
from delineate.data.known_formats import FORMATS, guess
from delineate.data.losses import Losses
from delineate.data.place import Place

UTM = 32616
SQUARE = [[2.0, 3.0], [6.0, 3.0], [6.0, 9.0], [2.0, 9.0]]


def geotiff(
    path: Path, corner: tuple[float, float] = (1000, 2000), epsg: int = UTM, point: bool = False
) -> Path:
    """30 x 40 pixels of 0.5 units."""
    keys = [1, 1, 0, 2, 1025, 0, 1, 2 if point else 1, 3072 if epsg > 5000 else 2048, 0, 1, epsg]
    shift = 0.25 if point else 0
    tie = [0.0, 0, 0, corner[0] + shift, corner[1] - shift, 0]
    tags = [(33550, "d", 3, [0.5, 0.5, 0.0]), (33922, "d", 6, tie), (34735, "H", len(keys), keys)]
    tifffile.imwrite(path, np.zeros((30, 40), np.uint8), extratags=[(*tag, True) for tag in tags])
    return path


def feature(ring: list[list[float]], **properties: Any) -> dict[str, Any]:
    geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def on_map(ring: list[list[float]]) -> list[list[float]]:
    return [[1000 + x / 2, 2000 - y / 2] for x, y in ring]


def collection(path: Path, *features: Any, epsg: int | None = UTM) -> Path:
    content: dict[str, Any] = {"type": "FeatureCollection", "features": list(features)}
    if epsg is not None:
        content["crs"] = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{epsg}"}}
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("point", [False, True])
def test_the_place_of_a_geotiff(tmp_path: Path, point: bool) -> None:
    place = read_georeference(geotiff(tmp_path / "a.tif", point=point))
    assert place == Georeference((0.5, 0, 1000, 0, -0.5, 2000), UTM)
    assert place.bounds((30, 40)) == (1000, 1985, 1020, 2000)


@pytest.mark.parametrize(("image", "world"), [("a.png", "a.pgw"), ("a.jpg", "a.wld"), ("a.tif", "a.tfw")])
def test_the_place_by_a_world_file(tmp_path: Path, image: str, world: str) -> None:
    (tmp_path / image).write_bytes(b"")
    assert read_georeference(tmp_path / image) is None
    (tmp_path / world).write_text("0.5\n0.0\n0.0\n-0.5\n1000.25\n1999.75\n")
    assert read_georeference(tmp_path / image) == Georeference((0.5, 0, 1000, 0, -0.5, 2000))
    (tmp_path / world).write_text("0.5\nhello")
    with pytest.raises(DatasetError, match="a world file of six numbers"):
        read_georeference(tmp_path / image)


def test_there_and_back_on_a_turned_image() -> None:
    place = Georeference((0.3, 0.1, 733601.25, -0.1, 0.3, 3725139), UTM)
    points = np.random.default_rng(0).integers(0, 20_000, (50, 2)) / 2
    assert np.array_equal(place.to_pixel(place.to_map(points)), points)
    with pytest.raises(DatasetError, match="can be inverted"):
        Georeference((1, 1, 0, 1, 1, 0))


def test_reference_systems() -> None:
    # 16 N: the central meridian 87 W has easting 500 km
    there = reproject(np.array([[500_000.0, 0.0]]), UTM, 4326)
    assert np.allclose(there, [[-87, 0]], atol=1e-9)
    with pytest.raises(DatasetError, match="reference systems that are known"):
        reproject(there, 4326, 999_999)


def test_real_footprints(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "spacenet_geotiff" / "geotiff_labels.geojson"
    data = open_dataset(source)
    truth = data[0].truth
    assert data.format == "GeoJSON" and len(truth) == 43 and truth.masks is not None
    rows = json.loads(source.read_text())["features"]
    exact = [shapely.geometry.shape(row["geometry"]).area / 0.25 for row in rows]
    assert np.allclose(truth.masks.area, exact, rtol=0.02, atol=12)
    for name in ("geojson", "geopackage"):
        out = tmp_path / name
        out.mkdir()
        FORMATS[name].write(out, data, Losses(), Place("link", out))
        back = open_dataset(out)
        assert back.truth(0).masks == truth.masks and back.image_ids == data.image_ids


def test_degrees_are_brought_to_the_image(tmp_path: Path) -> None:
    image = geotiff(tmp_path / "a.tif", (500_000, 4_000_000))
    place = read_georeference(image)
    assert place is not None
    ring = reproject(place.to_map(SQUARE), UTM, 4326).tolist()
    for epsg in (4326, None):
        truth = open_dataset(collection(tmp_path / "a.geojson", feature(ring), epsg=epsg)).truth(0)
        assert truth.boxes.tolist() == [[2, 3, 6, 9]] and truth.area.tolist() == [24]


def test_one_file_for_several_images(tmp_path: Path) -> None:
    geotiff(tmp_path / "left.tif")
    geotiff(tmp_path / "right.tif", (1020, 2000))
    geotiff(tmp_path / "far.tif", (9000, 2000))
    across = [[35.0, 3.0], [50.0, 3.0], [50.0, 5.0], [35.0, 5.0]]
    away = [[-500.0, 3], [-400, 3], [-400, 9]]
    rows = [
        feature(on_map(ring), label=name) for ring, name in ((SQUARE, "house"), (across, "road"), (away, "x"))
    ]
    data = open_dataset(collection(tmp_path / "all.geojson", *rows))
    found = {name: (data.truth(i).names, data.truth(i).boxes.tolist()) for i, name in enumerate(data.names)}
    assert found == {
        "far.tif": ([], []),
        "left.tif": (["house", "road"], [[2, 3, 6, 9], [35, 3, 40, 5]]),
        "right.tif": (["road"], [[0, 3, 10, 5]]),
    }
    assert "1 × shape that lies on none of the images left out" in data.notes
    collection(tmp_path / "left.geojson", feature(on_map(SQUARE), **{"class": "own", "confidence": 0.5}))
    both = open_dataset(tmp_path)
    left = both.truth(both.names.index("left.tif"))
    assert left.names == ["own"] and left.scores.tolist() == [0.5]
    collection(tmp_path / "more.geojson")
    with pytest.raises(DatasetError, match=r"expected one GeoJSON file for all images"):
        open_dataset(tmp_path)


def test_an_image_without_a_place_takes_pixels(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((30, 40), np.uint8))
    data = open_dataset(collection(tmp_path / "a.geojson", feature(SQUARE), epsg=None))
    assert data.truth(0).boxes.tolist() == [[2, 3, 6, 9]]
    assert data.notes == ("1 × image without a georeference: coordinates count as pixels",)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([3], "features[0]: expected a feature"),
        ([feature(SQUARE, **{"class": [1]})], "features[0].class: expected the name of a class"),
        ([feature(SQUARE, score=7)], "features[0].score: expected a number in 0..1, got 7"),
        ([feature([[0, 0], [1, float("1e99")], [2, 2]])], "coordinates up to 1e+12"),
    ],
)
def test_bad_shapes(tmp_path: Path, rows: list[Any], told: str) -> None:
    write_png(tmp_path / "a.png", np.zeros((30, 40), np.uint8))
    with pytest.raises(DatasetError) as caught:
        geojson.read(collection(tmp_path / "a.geojson", *rows))
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_a_bad_reference_system_and_no_images(tmp_path: Path) -> None:
    path = collection(tmp_path / "b.geojson", feature(SQUARE))
    with pytest.raises(DatasetError, match="expected images that the shapes lie on"):
        geojson.read(path)
    with pytest.raises(DatasetError, match="whose place on the map is needed"):
        geojson.read(path, images=False)
    geotiff(tmp_path / "b.tif")
    path.write_text(path.read_text().replace("EPSG::32616", "EPSG::nowhere"))
    with pytest.raises(DatasetError, match="crs: expected a name such as"):
        geojson.read(path)


@pytest.mark.parametrize("flavor", ["iso", "extended"])
@pytest.mark.parametrize("byte_order", [0, 1])
@pytest.mark.parametrize(
    "text",
    [
        "POLYGON ((0 0, 9 0, 9 9, 0 0), (5 2, 6 2, 6 3, 5 2))",
        "MULTIPOLYGON (((0 0, 9 0, 9 9, 0 0)), ((20 0, 29 0, 29 9, 20 0)))",
        "POLYGON Z ((0 0 5, 9 0 5, 9 9 5, 0 0 5))",
        "GEOMETRYCOLLECTION (POLYGON ((0 0, 9 0, 9 9, 0 0)))",
        "POINT (1 2)",
        "POLYGON EMPTY",
    ],
)
def test_wkb_as_shapely_has_it(text: str, byte_order: int, flavor: str) -> None:
    shape = shapely.from_wkt(text)
    found = wkb.polygons(shapely.to_wkb(shape, byte_order=byte_order, flavor=flavor), "a")  # type: ignore[arg-type]
    assert sum(part.area for part in found) == pytest.approx(shape.area)
    if found:
        assert shapely.from_wkb(wkb.write(found)).equals(shapely.force_2d(shape))


@pytest.mark.parametrize("cut", range(0, 60, 5))
def test_cut_wkb(cut: int) -> None:
    whole = wkb.write([Polygon(np.array(SQUARE))])
    with pytest.raises(Bad, match=r"^a: expected"):
        wkb.polygons(whole[:cut], "a")
    with pytest.raises(Bad, match="of kind 10"):
        wkb.polygons(struct.pack("<BII", 1, 10, 0), "a")


def foreign(path: Path, layers: dict[str, list[tuple[str, dict[str, Any]]]]) -> Path:
    """A GeoPackage as another tool makes it: several layers, an envelope or none."""
    with sqlite3.connect(path) as database:
        database.executescript(
            "PRAGMA application_id = 1196444487; CREATE TABLE gpkg_spatial_ref_sys (srs_name, srs_id, "
            "organization, organization_coordsys_id, definition);"
            "CREATE TABLE gpkg_contents (table_name, data_type);"
            "CREATE TABLE gpkg_geometry_columns (table_name, column_name, srs_id);"
            "INSERT INTO gpkg_spatial_ref_sys VALUES ('u', 7, 'epsg', 32616, '');"
        )
        for name, rows in layers.items():
            database.execute("INSERT INTO gpkg_contents VALUES (?, 'features')", (name,))
            database.execute("INSERT INTO gpkg_geometry_columns VALUES (?, 'the geom', 7)", (name,))
            columns = sorted({key for _, properties in rows for key in properties})
            quoted = ", ".join(['"the geom"', *(f'"{c}"' for c in columns)])
            table = name.replace('"', '""')
            database.execute(f'CREATE TABLE "{table}" ({quoted})')
            for text, properties in rows:
                blob = struct.pack("<2sBBi", b"GP", 0, 1, 7) + shapely.to_wkb(shapely.from_wkt(text))
                marks = ", ".join("?" * (1 + len(columns)))
                database.execute(
                    f'INSERT INTO "{table}" VALUES ({marks})', (blob, *map(properties.get, columns))
                )
    database.close()
    return path


def test_layers_of_another_tool(tmp_path: Path) -> None:
    geotiff(tmp_path / "a.tif")
    square = "POLYGON ((1001 1998.5, 1003 1998.5, 1003 1995.5, 1001 1995.5, 1001 1998.5))"
    rows = {'ro"ad; s': [(square, {})], "houses": [(square, {"label": "hut"}), ("POINT (1 2)", {})]}
    foreign(tmp_path / "x.gpkg", rows)
    found = guess(tmp_path)
    assert found is not None and found.name == "geopackage"
    data = open_dataset(tmp_path)
    truth = data.truth(0)
    assert truth.names == ["hut", 'ro"ad; s'] and truth.boxes.tolist() == [[2, 3, 6, 9]] * 2
    assert "1 × point, line or nothing, which has no area, left out" in data.notes


def test_our_geopackage_follows_the_standard(tmp_path: Path) -> None:
    geotiff(tmp_path / "a.tif")
    data = open_dataset(collection(tmp_path / "a.geojson", feature(on_map(SQUARE), **{"class": "hut"})))
    geopackage.write(tmp_path / "out.gpkg", data, Losses(), Place("none", tmp_path))
    head = (tmp_path / "out.gpkg").read_bytes()[:72]
    assert head[68:72] == b"GPKG" and int.from_bytes(head[60:64], "big") >= 10200
    with sqlite3.connect(tmp_path / "out.gpkg") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert not database.execute("PRAGMA foreign_key_check").fetchall()
        blob, name = database.execute("SELECT geom, class FROM objects_32616").fetchone()
        bounds = database.execute("SELECT min_x, min_y, max_x, max_y FROM gpkg_contents WHERE srs_id = 32616")
        assert bounds.fetchone() == (1001, 1995.5, 1003, 1998.5)
        systems = [
            row[0] for row in database.execute("SELECT srs_id FROM gpkg_spatial_ref_sys ORDER BY srs_id")
        ]
    database.close()
    assert name == "hut" and systems == [-1, 0, 4326, UTM]
    assert struct.unpack_from("<i4d", blob, 4) == (UTM, 1001, 1003, 1995.5, 1998.5)
    assert shapely.from_wkb(blob[40:]).bounds == (1001, 1995.5, 1003, 1998.5)


def test_damaged_geopackages(tmp_path: Path) -> None:
    geotiff(tmp_path / "a.tif")
    path = foreign(tmp_path / "x.gpkg", {})
    with pytest.raises(DatasetError, match="expected a layer of features, got none"):
        geopackage.read(path)
    foreign(tmp_path / "y.gpkg", {"a": [("POINT (1 2)", {})]})
    with pytest.raises(DatasetError, match="expected one GeoPackage, got 2"):
        geopackage.read(tmp_path)
    shutil.copy(tmp_path / "y.gpkg", tmp_path / "z.gpkg")
    data = bytearray((tmp_path / "z.gpkg").read_bytes())
    data[100:4000] = b"\x07" * 3900
    (tmp_path / "z.gpkg").write_bytes(data)
    with pytest.raises(DatasetError, match="expected a GeoPackage, got"):
        geopackage.read(tmp_path / "z.gpkg")
    whole = (tmp_path / "y.gpkg").read_bytes()  # SQLite's message quotes the damaged name
    (tmp_path / "z.gpkg").write_bytes(
        whole.replace(b"CREATE TABLE gpkg_contents", b"CREATE \xd2\xd2BLE gpkg_contents")
    )
    with pytest.raises(DatasetError, match="expected a GeoPackage, got"):
        geopackage.read(tmp_path / "z.gpkg")

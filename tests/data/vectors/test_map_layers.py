"""Map layers there and back, and as geopandas (GDAL, which we did not write) reads them."""

import json
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delineate.core.convert.shapely import from_shapely, to_shapely
from delineate.core.errors import DatasetError, InputError
from delineate.core.polygons import Polygon
from delineate.data.vectors import ENDINGS, Layer, read_layer, write_layer
from delineate.data.vectors.geojson import cut_at_antimeridian

EAST, NORTH = 733601.0, 3725139.0
UTM = 32616


def box(x: float, y: float, side: float = 10.0) -> Polygon:
    x, y = EAST + x, NORTH - y
    return Polygon([[x, y], [x + side, y], [x + side, y - side], [x, y - side]])


def layer(epsg: int | None = UTM) -> Layer:
    hole = box(2, 2, 3).exterior
    shapes = ((Polygon(box(0, 0).exterior, (hole,)),), (box(20, 0), box(40, 5)))
    table = pd.DataFrame(
        {
            "class": ["Häuser", "shed"],
            "number": [1, 2],
            "perimeter_m": [52.0, np.nan],
            "squared": [True, False],
        }
    )
    table.attrs = {"units": {"perimeter_m": "m"}, "sources": {"perimeter_m": "geodesic"}}
    return Layer(shapes, table, epsg, "buildings")


def peer(path: Path) -> geopandas.GeoDataFrame:
    return geopandas.read_parquet(path) if path.suffix == ".parquet" else geopandas.read_file(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_gdal_reads_what_is_written(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{ending}"
    assert path in write_layer(path, layer())
    seen = peer(path)
    assert seen.crs.to_epsg() == (4326 if ending == ".geojson" else UTM)
    assert seen.geometry.is_valid.all()
    # exact but for the nine decimals of a degree
    assert np.allclose(seen.to_crs(UTM).area, [91.0, 200.0], atol=1e-2 if ending == ".geojson" else 1e-9)
    assert seen["class"].tolist() == ["Häuser", "shed"]
    name = "perimeter_" if ending == ".shp" else "perimeter_m"
    assert seen[name].iloc[0] == 52 and np.isnan(seen[name].iloc[1])
    assert seen["squared"].astype(bool).tolist() == [True, False]


@pytest.mark.parametrize("ending", ENDINGS)
def test_there_and_back(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{ending}"
    write_layer(path, layer())
    back = read_layer(path)
    assert back.epsg == (4326 if ending == ".geojson" else UTM)
    ours, theirs = to_shapely(layer().shapes), to_shapely(back.to(UTM).shapes)
    assert np.allclose(shapely.area(shapely.symmetric_difference(ours, theirs)), 0, atol=1e-2)
    assert [len(parts) for parts in back.shapes] == [1, 2]
    assert len(back.shapes[0][0].holes) == 1
    assert back.table["number"].tolist() == [1, 2]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("epsg", [UTM, None])
def test_an_empty_layer(ending: str, epsg: int | None, tmp_path: Path) -> None:
    path = tmp_path / f"x{ending}"
    empty = Layer((), layer().table[:0], epsg, "buildings")
    write_layer(path, empty)
    assert len(read_layer(path)) == 0
    assert len(peer(path)) == 0


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_a_tool_writes_is_read(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{ending}"
    frame = geopandas.GeoDataFrame(
        {"kind": ["a", "b"], "n": [3, 4]}, geometry=to_shapely(layer().shapes), crs=UTM
    )
    frame.to_parquet(path) if ending == ".parquet" else frame.to_file(path)
    found = read_layer(path)
    assert found.table["kind"].tolist() == ["a", "b"]
    area = shapely.area(to_shapely(found.to(UTM).shapes))
    assert np.allclose(area, [91, 200], atol=0.5 if ending == ".geojson" else 1e-9)


def test_units_and_sources_stand_in_the_files(tmp_path: Path) -> None:
    import sqlite3

    import pyarrow.parquet as pq

    for ending in (".gpkg", ".parquet", ".geojson"):
        write_layer(tmp_path / f"x{ending}", layer())
    database = sqlite3.connect(tmp_path / "x.gpkg")
    rows = database.execute("SELECT column_name, title, description FROM gpkg_data_columns").fetchall()
    database.close()
    assert rows == [("perimeter_m", "m", "m; geodesic")]
    field = pq.read_schema(tmp_path / "x.parquet").field("perimeter_m")
    assert field.metadata == {b"unit": b"m", b"source": b"geodesic"}
    assert json.loads((tmp_path / "x.geojson").read_text())["columns"] == {"perimeter_m": "m; geodesic"}


def test_geojson_is_rfc_7946(tmp_path: Path) -> None:
    write_layer(tmp_path / "x.geojson", layer())
    content = json.loads((tmp_path / "x.geojson").read_text())
    assert "crs" not in content
    for feature in content["features"]:
        shape = shapely.geometry.shape(feature["geometry"])
        for part in shapely.get_parts(shape):
            assert part.exterior.is_ccw and not any(hole.is_ccw for hole in part.interiors)
    assert content["features"][1]["properties"]["perimeter_m"] is None


def test_the_antimeridian_cuts() -> None:
    ring = [[179.0, -10], [-178.0, -10], [-178.0, 10], [179.0, 10]]
    west, east = cut_at_antimeridian((Polygon(ring, (np.array([[179.5, 0], [179.8, 0], [179.8, 1]]),)),))
    assert west.bounds == (179.0, -10.0, 180.0, 10.0) and len(west.holes) == 1
    assert east.bounds == (-180.0, -10.0, -178.0, 10.0) and not east.holes
    plain = (Polygon([[10, 0], [20, 0], [20, 5]]),)
    assert cut_at_antimeridian(plain) == plain


@pytest.mark.parametrize("ending", ENDINGS)
def test_damaged_files_are_one_clear_error(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{ending}"
    write_layer(path, layer())
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(InputError, match="expected"):
        read_layer(path)
    path.write_bytes(b"something else entirely")
    with pytest.raises(InputError, match="expected"):
        read_layer(path)


def test_wrong_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ending in"):
        write_layer(tmp_path / "x.txt", layer())
    with pytest.raises(DatasetError, match="none there"):
        read_layer(tmp_path / "missing.gpkg")
    with pytest.raises(InputError, match="a row for each"):
        Layer(layer().shapes, layer().table[:1])
    with pytest.raises(InputError, match="reference system"):
        layer(None).to(4326)


def test_a_table_of_another_length_is_refused(tmp_path: Path) -> None:
    write_layer(tmp_path / "x.shp", layer())
    write_layer(tmp_path / "y.shp", Layer((), layer().table[:0], UTM))
    (tmp_path / "x.dbf").write_bytes((tmp_path / "y.dbf").read_bytes())
    with pytest.raises(DatasetError, match="rows for 2 shapes"):
        read_layer(tmp_path / "x.shp")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(1, 9)), min_size=1, max_size=6))
def test_any_union_of_boxes_survives_a_shapefile(tmp_path: Path, boxes: list[tuple[int, int, int]]) -> None:
    ring = shapely.box(0, 0, 60, 60).difference(shapely.box(1, 1, 59, 59))  # a frame: one large hole
    whole = shapely.union_all([ring, *(shapely.box(x, y, x + s, y + s) for x, y, s in boxes)])
    shapes = (tuple(from_shapely(whole)),)
    for ending in (".shp", ".gpkg"):
        write_layer(tmp_path / f"h{ending}", Layer(shapes, pd.DataFrame({"n": [1]}), UTM))
        back = to_shapely(read_layer(tmp_path / f"h{ending}").shapes)[0]
        assert shapely.equals(back, whole)

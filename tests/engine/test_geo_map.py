"""Maps from labels and models: areas against geodesics, seams, nodata, heights, every kind of place."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import shapely
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

import delineate as dl
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.rasters import open_raster
from delineate.engine.geo_map import MapSettings, map_image
from delineate.engine.geo_objects import found_by_model
from delineate.engine.geo_raster import MapImage, cut
from delineate.engine.geo_table import ground_measures

UTM = (32616, 0.5, 733601.0, 3725139.0)
DEGREES = (4326, 5e-6, -84.48, 33.64)
MERCATOR = (3857, 0.6, -9404000.0, 3981000.0)


def geotiff(
    path: Path, pixels: np.ndarray, place: tuple[int, float, float, float] | None = UTM, **more: Any
) -> Path:
    """Writes a GeoTIFF by its tags (OGC 19-008r4)."""
    tags = []
    if place is not None:
        epsg, side, x, y = place
        projected = epsg not in (4326,)
        keys = [
            1,
            1,
            0,
            3,
            1024,
            0,
            1,
            1 if projected else 2,
            1025,
            0,
            1,
            1,
            3072 if projected else 2048,
            0,
            1,
            epsg,
        ]
        tags = [
            (33550, "d", 3, (side, side, 0.0)),
            (33922, "d", 6, (0.0, 0.0, 0.0, x, y, 0.0)),
            (34735, "H", len(keys), tuple(keys)),
        ]
    if "nodata" in more:
        tags.append((42113, "s", 0, str(more.pop("nodata"))))
    tifffile.imwrite(path, pixels, extratags=[(*t, True) for t in tags], **more)
    return path


def blobs(size: tuple[int, int] = (90, 120), count: int = 12, seed: int = 0) -> np.ndarray:
    """A label image of boxes that do not overlap."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(size, np.uint16)
    for k in range(1, count + 1):
        y, x = rng.integers(0, size[0] - 12), rng.integers(0, size[1] - 12)
        part = labels[y : y + rng.integers(5, 12), x : x + rng.integers(5, 12)]
        part[part == 0] = k
    return labels


@pytest.mark.parametrize("place", [UTM, DEGREES, MERCATOR])
def test_areas_are_those_on_the_earth(place: tuple[int, float, float, float], tmp_path: Path) -> None:
    path = geotiff(tmp_path / "l.tif", blobs(), place)
    found = map_image(labels=path)
    earth = pyproj.Geod(ellps="WGS84")
    for shape, row in zip(found.layer.to(4326).shapes, found.table.itertuples(), strict=True):
        geometry = shapely.MultiPolygon([shapely.Polygon(p.exterior, p.holes) for p in shape])
        area, perimeter = earth.geometry_area_perimeter(shapely.orient_polygons(geometry))
        assert row.area_m2 == pytest.approx(area, rel=2e-5)
        assert row.perimeter_m == pytest.approx(perimeter, rel=1e-6)
    assert found.table["number"].tolist() == list(range(1, len(found.layer) + 1))
    assert set(found.table.columns) == set(found.table.attrs["sources"])


@settings(max_examples=25, deadline=None)
@given(st.floats(-179, 178), st.floats(-84, 83))
def test_equal_area_anywhere(lon: float, lat: float) -> None:
    from delineate.core.polygons import Polygon

    ring = np.array([[lon, lat], [lon + 0.01, lat], [lon + 0.012, lat + 0.008], [lon, lat + 0.01]])
    (area,), (length,) = ground_measures([(Polygon(ring),)], 4326)
    expected, perimeter = pyproj.Geod(ellps="WGS84").geometry_area_perimeter(shapely.Polygon(ring))
    assert area == pytest.approx(expected, rel=1e-4)  # straight lines there are not quite geodesics
    assert length == pytest.approx(perimeter, rel=1e-9)


def test_labels_come_back_pixel_by_pixel(tmp_path: Path) -> None:
    labels = blobs()
    found = map_image(labels=geotiff(tmp_path / "l.tif", labels))
    ids = found.table["label"].to_numpy()
    assert np.array_equal(ids, np.setdiff1d(np.unique(labels), [0]))
    back = Masks.from_polygons(
        [
            [type(p)(found.plane.georeference.to_pixel(p.exterior)) for p in parts]
            for parts in found.layer.shapes
        ],
        labels.shape,
    )
    assert np.array_equal(back.to_label_image() > 0, labels > 0)
    assert found.table["fit"].min() == 1


def test_real_buildings(data_dir: Path) -> None:
    folder = data_dir / "spacenet_geotiff"
    found = dl.map_image(
        folder / "sample_geotiff.tif",
        labels=folder / "geotiff_labels.geojson",
        settings=MapSettings(regularise=True),
    )
    assert len(found.layer) == 43 and found.layer.epsg == 32616
    # the labels' own area, 8459.4 m² on the grid of UTM, is 8454.8 m² on the earth; pixels add 0.1 %
    assert found.table["area_m2"].sum() == pytest.approx(8454.8, rel=2e-3)
    assert found.table["squared"].mean() > 0.9


def test_windows_and_whole_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from delineate.engine import geo_objects

    rng = np.random.default_rng(0)
    pixels = rng.integers(200, 4000, (260, 300), np.uint16)
    for y in range(10, 240, 46):
        for x in range(10, 280, 46):
            pixels[y : y + 30, x : x + 22] = 12000
    path = geotiff(tmp_path / "i.tif", pixels, tile=(64, 64))

    def bright(window: np.ndarray) -> Instances:
        labels = _components(window > 200)
        return Instances(window.shape[:2], masks=Masks.from_label_image(labels))

    whole = map_image(path, model=bright)
    monkeypatch.setattr(geo_objects, "TILE", 128)
    monkeypatch.setattr(geo_objects, "OVERLAP", 48)
    tiled = map_image(path, model=bright)
    assert len(whole.layer) == len(tiled.layer) == 30
    assert np.allclose(np.sort(whole.table["area_m2"]), np.sort(tiled.table["area_m2"]))
    assert whole.objects.masks.union() == tiled.objects.masks.union()


def _components(mask: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    return ndimage.label(mask)[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_stretch_is_that_of_the_whole_image(
    dtype: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from delineate.engine import geo_raster

    monkeypatch.setattr(geo_raster, "BAND", 1000)  # several bands of rows
    rng = np.random.default_rng(0)
    pixels = np.clip(rng.gamma(2, 30, (70, 90, 3)), 1, 255).astype(dtype)
    valid = np.ones((70, 90), bool)
    pixels[:20, :30], valid[:20, :30] = 0, False
    path = geotiff(tmp_path / "i.tif", pixels, nodata=0, photometric="rgb")
    with open_raster(path) as raster:
        seen = MapImage(raster, (2, 98))
        assert np.allclose(seen.limits, np.percentile(pixels[valid], (2, 98), axis=0).T, rtol=1e-6)
        window, measured = seen.window((slice(10, 40), slice(20, 60)))
    assert np.array_equal(measured, valid[10:40, 20:60])
    assert (window[~measured] == 0).all() and window.dtype == np.uint8
    low, high = np.percentile(pixels[valid], (2, 98), axis=0)
    expected = np.clip((pixels[10:40, 20:60] - low) / (high - low), 0, 1) * 255
    assert np.abs(window[measured] - expected[measured]).max() <= 0.51


def test_objects_end_where_nothing_was_measured(tmp_path: Path) -> None:
    pixels = np.full((40, 60), 500, np.uint16)
    pixels[:, 30:] = 0
    path = geotiff(tmp_path / "i.tif", pixels, nodata=0)

    def everything(window: np.ndarray) -> Instances:
        dense = np.zeros((2, *window.shape), bool)
        dense[0, 5:15, 20:40] = dense[1, 5:15, 45:50] = True
        return Instances(window.shape[:2], masks=Masks.from_dense(dense))

    found = map_image(path, model=everything)
    assert found.table["area_m2"].round(1).tolist() == [25.0]  # 10 x 10 pixels; the other one is gone
    nothing = geotiff(tmp_path / "n.tif", np.zeros((40, 60), np.uint16), nodata=0)
    with pytest.raises(InputError, match="nodata alone"):
        map_image(nothing, model=everything)


def test_a_loaded_model_sees_the_stretched_windows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(500, 900, (96, 128), np.uint16)
    path = geotiff(tmp_path / "i.tif", pixels)
    model = dl.load("nuclei")
    with open_raster(path) as raster:
        seen = MapImage(raster)[0:96, 0:128]
    many = found_by_model(model, _Shown(seen), 0.0)  # type: ignore[arg-type]
    few = found_by_model(model, _Shown(seen), 0.99)  # type: ignore[arg-type]
    assert len(few) < max(len(many), 1)
    assert len(map_image(path, model=model, settings=MapSettings(confidence=0.99)).layer) == len(few)


class _Shown:
    """An image that is stretched already."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.shape = pixels, pixels.shape

    def window(self, place: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
        return self.pixels[place], np.ones(self.pixels[place].shape[:2], bool)


def test_what_scores_low_is_left_out_of_any_tool(tmp_path: Path) -> None:
    path = geotiff(tmp_path / "i.tif", np.arange(2400, dtype=np.uint16).reshape(40, 60))

    def two(window: np.ndarray) -> Instances:
        masks = Masks.from_label_image(np.repeat([[1], [2]], 20, axis=0) * np.ones((1, 60), int))
        return Instances((40, 60), masks=masks, scores=np.array([0.9, 0.3]))

    assert len(map_image(path, model=two).layer) == 2
    assert len(map_image(path, model=two, settings=MapSettings(confidence=0.5)).layer) == 1


def test_cut_keeps_the_order() -> None:
    dense = np.zeros((3, 6, 6), bool)
    dense[0, :2], dense[1, :, :3], dense[2, 5] = True, True, True
    valid = np.ones((6, 6), bool)
    valid[:, 0] = False
    found = cut(Instances((6, 6), masks=Masks.from_dense(dense)), valid)
    assert np.array_equal(found.masks.dense(), dense & valid)


@pytest.mark.parametrize("place", [UTM, DEGREES])
def test_heights_of_known_buildings(place: tuple[int, float, float, float], tmp_path: Path) -> None:
    labels = np.zeros((100, 100), np.uint8)
    labels[20:40, 20:50], labels[60:80, 60:80] = 1, 2
    epsg, side, x, y = place
    rows = np.arange(50)[:, None] * np.ones(50)  # ground that rises to the south, 0.1 m a cell
    surface = (100 + 0.1 * rows).astype(np.float32)
    terrain = surface.copy()
    surface[10:20, 10:25] += 6
    surface[30:40, 30:40] += 11.5
    surface[0, 0] = -9999
    coarse = (epsg, 2 * side, x, y)
    dsm = geotiff(tmp_path / "dsm.tif", surface, coarse, nodata=-9999)
    dtm = geotiff(tmp_path / "dtm.tif", terrain, coarse)
    image = geotiff(tmp_path / "l.tif", labels, place)
    around = map_image(labels=image, surface=dsm).table
    above = map_image(labels=image, surface=dsm, terrain=dtm).table
    assert np.allclose(above["height_m"], [6, 11.5], atol=0.01)
    assert np.allclose(around["height_m"], [6, 11.5], atol=1.0)  # the low side of a slope counts as ground
    assert around.attrs["units"]["height_m"] == "m"
    assert "terrain model" in above.attrs["sources"]["ground_m"]
    assert np.allclose(above["surface_share"], 1)


def test_heights_elsewhere_are_not_known(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = geotiff(tmp_path / "l.tif", blobs())
    far = (UTM[0], UTM[1], UTM[2] + 9000, UTM[3])
    dsm = geotiff(tmp_path / "dsm.tif", np.ones((20, 20), np.float32), far)
    with caplog.at_level(logging.WARNING, "delineate"):
        table = map_image(labels=image, surface=dsm).table
    assert table["height_m"].isna().all() and "no object lies where it has heights" in caplog.text
    plain = geotiff(tmp_path / "plain.tif", np.ones((20, 20), np.float32), None)
    with pytest.raises(InputError, match="without a place"):
        map_image(labels=image, surface=plain)
    with pytest.raises(InputError, match="give the DSM"):
        map_image(labels=image, terrain=dsm)


def test_without_a_place_all_is_in_pixels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = np.zeros((20, 30), np.uint8)
    labels[2:6, 3:8] = 1
    path = geotiff(tmp_path / "l.tif", labels, None)
    with caplog.at_level(logging.WARNING, "delineate"):
        found = map_image(labels=path)
    assert found.table[["area_px", "perimeter_px", "length_px", "width_px"]].iloc[0].tolist() == [
        20,
        18,
        5,
        4,
    ]
    assert found.layer.epsg is None and "no place on the map" in caplog.text


def test_a_world_file_without_a_reference_system(tmp_path: Path) -> None:
    labels = np.zeros((20, 30), np.uint8)
    labels[2:6, 3:8] = 1
    path = geotiff(tmp_path / "l.tif", labels, None)
    path.with_suffix(".tfw").write_text("0.5\n0\n0\n-0.5\n100.25\n199.75\n")
    table = map_image(labels=path).table
    assert table[["area_px", "length_px"]].iloc[0].tolist() == [20, 5]
    assert 101.5 < table["x"].iloc[0] < 104


@pytest.mark.parametrize("ending", [".gpkg", ".geojson", ".parquet", ".shp"])
def test_no_objects_at_all(ending: str, tmp_path: Path) -> None:
    path = geotiff(tmp_path / "l.tif", np.zeros((20, 30), np.uint8))
    found = map_image(labels=path, settings=MapSettings(regularise=True))
    assert len(found.layer) == 0 and found.table["area_m2"].sum() == 0
    found.save(tmp_path / f"x{ending}")


def test_marks_and_notes(tmp_path: Path) -> None:
    labels = np.zeros((60, 60), np.uint8)
    labels[0:20, 10:30], labels[40:42, 40:42], labels[30:50, 5:25] = 1, 2, 3
    labels[44, 50] = 4
    path = geotiff(tmp_path / "l.tif", labels)
    found = map_image(labels=path, settings=MapSettings(min_area=0.5))
    assert found.table["mark"].tolist() == ["cut", "tiny", ""]
    assert found.notes == ("objects under the least area, left out: 1",)


def test_large_label_images_are_read_in_bands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from delineate.engine import geo_objects

    labels = blobs()
    path = geotiff(tmp_path / "l.tif", labels, rowsperstrip=8)
    whole = map_image(labels=path)
    monkeypatch.setattr(geo_objects, "ROWS", 700)
    banded = map_image(labels=path)
    assert banded.objects.masks == whole.objects.masks
    assert banded.table["label"].tolist() == whole.table["label"].tolist()


def test_wrong_use(tmp_path: Path) -> None:
    path = geotiff(tmp_path / "l.tif", blobs())
    small = geotiff(tmp_path / "s.tif", np.zeros((5, 5), np.uint8))
    with pytest.raises(InputError, match="model or labels"):
        map_image(path)
    with pytest.raises(InputError, match="as the image"):
        map_image(small, labels=path)
    with pytest.raises(InputError, match="percentiles"):
        map_image(path, model=lambda x: Instances.empty(x.shape[:2]), settings=MapSettings(stretch=(98, 2)))
    with pytest.raises(InputError, match="simplify"):
        map_image(labels=path, settings=MapSettings(simplify=-1))
    with pytest.raises(InputError, match="expected the image that the labels lie on"):
        map_image(labels=tmp_path / "x.geojson")

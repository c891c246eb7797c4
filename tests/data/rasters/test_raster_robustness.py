"""Rasters under load and under damage: threads, projections window by window, GDAL's files, mangled bytes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.data.projection import PROJECTIONS, project
from delineate.data.rasters import OmeTiffWriter, OmeZarrWriter, open_raster

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 60000, (400, 500), dtype=np.uint16)


def boxes(count: int) -> list[tuple[int, int, int, int]]:
    corners = RNG.integers(0, (300, 250), (count, 2)).tolist()
    return [
        (x, y, x + int(w), y + int(h))
        for (x, y), (w, h) in zip(corners, RNG.integers(1, 150, (count, 2)), strict=True)
    ]


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_threads_share_a_raster(kind: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.ome.tif" if kind == "tiff" else "a.zarr")
    writer: Any = (OmeTiffWriter if kind == "tiff" else OmeZarrWriter)(
        path, GREY.shape, dtype=np.uint16, tile=64
    )
    with writer, ThreadPoolExecutor(4) as pool:
        rows = range(0, 400, 50)
        list(pool.map(lambda y: writer.write(0, y, GREY[y : y + 50]), rows))
    with open_raster(path) as raster, ThreadPoolExecutor(8) as pool:
        asked = boxes(200)
        for (x0, y0, x1, y1), part in zip(asked, pool.map(lambda b: raster.window(*b), asked), strict=True):
            assert np.array_equal(part, GREY[y0:y1, x0:x1])


@pytest.mark.parametrize("how", PROJECTIONS)
def test_windows_of_a_projection_are_those_of_the_whole(how: str, tmp_path: Path) -> None:
    stack = RNG.integers(0, 4000, (4, 120, 150), dtype=np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif", stack, tile=(32, 32), photometric="minisblack", metadata={"axes": "ZYX"}
    )
    whole, raster = project(stack, how), open_raster(tmp_path / "a.tif", z=how)
    for x0, y0, x1, y1 in ((0, 0, 150, 120), (0, 0, 20, 20), (60, 50, 90, 70), (140, 110, 150, 120)):
        assert np.array_equal(raster.window(x0, y0, x1, y1), whole[y0:y1, x0:x1])


@pytest.mark.parametrize("options", [{"tile": (32, 48)}, {"rowsperstrip": 16}, {}])
@pytest.mark.parametrize("multiple", [1, 7, 1000])
def test_blocks_cover_everything_once(
    options: dict[str, Any], multiple: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("delineate.data.rasters.raster.BLOCK_BYTES", 30_000)
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="minisblack", **options)
    raster, seen = open_raster(tmp_path / "a.tif"), np.zeros(GREY.shape, int)
    for x0, y0, x1, y1 in raster.blocks(0, multiple):
        seen[y0:y1, x0:x1] += 1
        assert x0 % multiple == y0 % multiple == 0
        assert (x1 - x0) * (y1 - y0) * 2 <= 30_000 or multiple == 1000
    assert (seen == 1).all()
    want = GREY.reshape(40, 10, 50, 10).mean(axis=(1, 3))
    assert np.abs(raster.overview(50) - want).max() <= 0.5


@pytest.mark.parametrize(("bands", "kind"), [(1, "uint16"), (3, "uint8"), (4, "uint16"), (1, "float32")])
def test_gdal_reads_the_same(bands: int, kind: str, tmp_path: Path) -> None:
    """A Cloud Optimized GeoTIFF: every level, nodata and place as rasterio tells them."""
    rasterio = pytest.importorskip("rasterio")
    pixels = (RNG.random((bands, 500, 700)) * 1000).astype(kind)
    profile = {"driver": "COG", "height": 500, "width": 700, "count": bands, "dtype": kind, "blocksize": 128}
    place = rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", crs="EPSG:32616", transform=place, nodata=7, compress="deflate", predictor="YES", **profile
    ) as out:
        out.write(pixels)
    raster = open_raster(path, channels="all")
    assert raster.nodata == 7 and raster.georeference is not None and raster.channels == bands
    assert raster.georeference.epsg == 32616 and raster.georeference.transform == tuple(place)[:6]
    with rasterio.open(path) as file:
        assert len(raster.levels) == 1 + len(file.overviews(1)) > 2
    for level, (height, width) in enumerate(raster.levels):
        with rasterio.open(path, **({"overview_level": level - 1} if level else {})) as file:
            want = file.read()
        found = raster.window(0, 0, width, height, level).reshape(height, width, bands)
        assert np.array_equal(np.moveaxis(found, 2, 0), want)


@pytest.mark.parametrize("how", ["mask", "alpha"])
def test_where_gdal_says_there_is_nothing(how: str, tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    pixels = RNG.integers(1, 255, (3 if how == "mask" else 4, 300, 400), np.uint8)
    known = np.full((300, 400), 255, np.uint8)
    known[50:120, 200:333] = 0
    profile = {"driver": "GTiff", "height": 300, "width": 400, "count": len(pixels), "dtype": "uint8"}
    place = rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64, "photometric": "rgb"}
    path = tmp_path / "a.tif"
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", crs="EPSG:32616", transform=place, **tiles, **profile) as out,
    ):
        if how == "mask":
            out.write(pixels)
            out.write_mask(known)
        else:
            pixels[3] = known
            out.write(pixels)
    raster = open_raster(path)
    assert raster.channels == 3 and np.array_equal(raster.valid(0, 0, 400, 300), known > 0)
    assert np.array_equal(raster.valid(190, 40, 260, 90), known[40:90, 190:260] > 0)


def test_bad_files_are_told_or_equal_the_whole(bad_inputs: Path) -> None:
    from delineate.data.images import read

    for path in sorted((bad_inputs / "images").iterdir()):
        try:
            raster = open_raster(path)
            found = raster.window(0, 0, raster.size[1], raster.size[0])
        except InputError as error:
            assert str(path) in str(error)
            continue
        whole = read(path).pixels
        assert np.array_equal(found, whole) and raster.overview(50).shape[:2] <= (50, 50)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("mangled") / "a.tif"
    with OmeTiffWriter(path, (60, 70), tile=32, levels=2) as out:
        out.write(0, 0, (GREY[:60, :70] >> 8).astype(np.uint8))
    return path.read_bytes()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mangled_bytes_are_told(data: st.DataObject, plain: bytes, tmp_path: Path) -> None:
    mangled = bytearray(plain)
    for _ in range(data.draw(st.integers(1, 4))):
        mangled[data.draw(st.integers(0, len(plain) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "a.tif"
    path.write_bytes(mangled[: data.draw(st.integers(4, len(plain)))])
    try:
        raster = open_raster(path, max_pixels=1_000_000)
        if max(raster.size) < 2000:
            for level, (height, width) in enumerate(raster.levels):
                raster.window(0, 0, width, height, level)
    except InputError:
        pass

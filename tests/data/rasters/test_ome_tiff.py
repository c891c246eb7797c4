"""OME-TIFF written by windows, against what was written, tifffile's reading and the OME schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from defusedxml import ElementTree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.data.images import read
from delineate.data.rasters import open_raster
from delineate.data.rasters.write_ome_tiff import OmeTiffWriter

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 255, (150, 210, 3), np.uint8)
GREY = RNG.integers(0, 60000, (150, 210), dtype=np.uint16)
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "colour": (COLOUR, {}),
    "three of uint8 that are no colours": (COLOUR, {"colour": False}),
    "colour of uint16": (np.dstack([GREY] * 3), {"colour": True}),
    "grey": (GREY, {}),
    "float": (GREY.astype(np.float32) / 7, {}),
    "five channels": (np.dstack([GREY + k for k in range(5)]), {"channel_names": list("abcde")}),
    "labels": (GREY.astype(np.uint32) * 70000, {"labels": True}),
    "few labels": (GREY, {"labels": True}),
}


def written(path: Path, pixels: Any, order: Any = None, **settings: Any) -> Path:
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    corners = [(x, y) for y in range(0, pixels.shape[0], 50) for x in range(0, pixels.shape[1], 50)]
    with OmeTiffWriter(
        path, pixels.shape[:2], channels=channels, dtype=pixels.dtype, **{"tile": 32} | settings
    ) as out:
        out.write_all((x, y, pixels[y : y + 50, x : x + 50]) for x, y in (order or list)(corners))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_every_level_is_what_was_written(kind: str, tmp_path: Path) -> None:
    pixels, settings = KINDS[kind]
    path = written(tmp_path / "a.ome.tif", pixels, pixel_size=0.25, **settings)
    assert [p.name for p in tmp_path.iterdir()] == ["a.ome.tif"]
    with tifffile.TiffFile(path) as file:
        (series,) = file.series
        stored = series.asarray()
        assert file.is_ome and series.levels[0].shape == stored.shape
        reduced = series.levels[1].asarray()
        assert series.keyframe.is_tiled and series.keyframe.resolution == (40000, 40000)
    apart = pixels.ndim == 3 and series.axes == "CYX"
    assert np.array_equal(np.moveaxis(stored, 0, 2) if apart else stored, pixels)
    if settings.get("labels"):
        assert np.array_equal(reduced, pixels[1::2, 1::2])
    else:
        reduced = np.moveaxis(reduced, 0, 2) if apart else reduced
        mean = pixels.reshape(75, 2, 105, 2, -1).mean(axis=(1, 3)).reshape(reduced.shape)
        assert np.abs(reduced - mean).max() <= 0.5001
    raster = open_raster(path, labels=bool(settings.get("labels")), channels="all")
    assert raster.levels == ((150, 210), (75, 105), (38, 53), (19, 27)) and raster.pixel_size == 0.25
    assert raster.dtype == pixels.dtype and raster.colour == (series.axes == "YXS")
    assert np.array_equal(raster.window(7, 8, 200, 149), pixels[8:149, 7:200])


def test_the_description_follows_the_schema(tmp_path: Path) -> None:
    """OME-XML 2016-06: what Pixels must have, and a Channel for each channel with its name."""
    path = written(
        tmp_path / "a.ome.tif", KINDS["five channels"][0], channel_names=list("abcde"), pixel_size=0.5
    )
    with tifffile.TiffFile(path) as file:
        root = ElementTree.fromstring(file.ome_metadata)
    space = {"o": "http://www.openmicroscopy.org/Schemas/OME/2016-06"}
    pixels = root.find("o:Image/o:Pixels", space)
    want = {"SizeX": "210", "SizeY": "150", "SizeC": "5", "SizeZ": "1", "SizeT": "1"}
    want |= {"Type": "uint16", "PhysicalSizeX": "0.5", "PhysicalSizeXUnit": "µm"}
    assert {key: pixels.get(key) for key in want} == want
    assert [c.get("Name") for c in pixels.findall("o:Channel", space)] == list("abcde")


def test_the_same_pixels_give_the_same_bytes(tmp_path: Path) -> None:
    one = written(tmp_path / "a.ome.tif", COLOUR).read_bytes()
    other = written(tmp_path / "b.ome.tif", COLOUR, order=reversed).read_bytes()
    assert one.replace(b"a.ome.tif", b"") == other.replace(b"b.ome.tif", b"")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_overlapping_windows_in_any_order(data: st.DataObject, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("delineate.data.rasters.write_ome_tiff._KEPT_BYTES", 4000)  # most tiles leave memory
    height, width = data.draw(st.integers(1, 90)), data.draw(st.integers(1, 90))
    want = np.zeros((height, width), np.uint16)
    path = tmp_path / "a.ome.tif"
    with OmeTiffWriter(
        path, want.shape, dtype=np.uint16, tile=16, levels=data.draw(st.integers(1, 3))
    ) as out:
        for value in range(1, data.draw(st.integers(1, 8))):
            x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
            x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
            want[y0:y1, x0:x1] = value
            out.write(x0, y0, want[y0:y1, x0:x1])
    assert np.array_equal(tifffile.imread(path), want) and np.array_equal(read(path).pixels, want)


def test_what_is_never_written_is_background(tmp_path: Path) -> None:
    with OmeTiffWriter(tmp_path / "a.tif", (500, 300), dtype=np.uint32, labels=True):
        pass
    assert not tifffile.imread(tmp_path / "a.tif").any()


def test_large_files_are_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delineate.data.rasters.write_ome_tiff._CLASSIC_BYTES", 10_000)
    with tifffile.TiffFile(written(tmp_path / "a.tif", GREY)) as file:
        assert file.is_bigtiff and np.array_equal(file.asarray(), GREY)


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", GREY)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="stop"), OmeTiffWriter(path, (9, 9)) as out:
        out.write(0, 0, COLOUR[:9, :9, 0])
        raise ValueError("stop")
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "settings",
    [{"tile": 20}, {"levels": 0}, {"colour": True}, {"dtype": np.int32}, {"channels": 0}, {"size": (0, 5)}],
)
def test_settings_that_do_not_fit(settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected"):
        OmeTiffWriter(tmp_path / "a.tif", **{"size": (9, 9)} | settings)
    with pytest.raises(InputError, match="expected to write here"):
        OmeTiffWriter(tmp_path / "none" / "a.tif", (9, 9))
    assert list(tmp_path.iterdir()) == []

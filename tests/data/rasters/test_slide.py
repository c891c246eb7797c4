"""Slides: an Aperio-like TIFF read by us and by OpenSlide."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from delineate.core.errors import InputError, MissingDependencyError
from delineate.data.images import read
from delineate.data.rasters import open_raster
from delineate.data.rasters.slide import SlideRaster
from delineate.data.rasters.tiff import TiffRaster

SIZE = (700, 1000)


@pytest.fixture(scope="module")
def tissue() -> Any:
    """A smooth picture, so that two JPEG decoders must agree."""
    noise = np.random.default_rng(0).random((18, 26, 3), np.float32) * 255
    return cv2.resize(noise, SIZE[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def slide(tissue: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SVS as Aperio's scanners write it: full resolution, thumbnail, a level, label, macro."""
    path = tmp_path_factory.mktemp("slides") / "a.svs"
    about = "Aperio Image Library v11.2.1\r\n1000x700 [0,0 1000x700] (240x240) JPEG/RGB Q=90"
    tiles: dict[str, Any] = {"photometric": "rgb", "compression": "jpeg", "metadata": None}
    tiles |= {"tile": (240, 240), "compressionargs": {"level": 90}}
    strips = {"photometric": "rgb", "metadata": None, "rowsperstrip": 16}
    small = cv2.resize(tissue, (250, 175), interpolation=cv2.INTER_AREA)
    with tifffile.TiffWriter(path) as out:
        out.write(tissue, description=f"{about}|AppMag = 20|MPP = 0.4990", **tiles)
        out.write(small, description=f"{about} - thumbnail", **strips)
        out.write(small, description=f"{about} -> 250x175 |AppMag = 20|MPP = 0.4990", **tiles)
        out.write(small[:60, :60], description=f"{about}\r\nlabel 60x60", subfiletype=1, **strips)
        out.write(small[:60, :90], description=f"{about}\r\nmacro 90x60", subfiletype=9, **strips)
    return path


def test_our_reading_is_openslides(slide: Path, tissue: Any) -> None:
    pytest.importorskip("openslide")
    ours, theirs = open_raster(slide), SlideRaster(slide)
    assert isinstance(ours, TiffRaster)
    for raster in (ours, theirs):
        assert (raster.size, raster.channels, raster.colour, raster.pixel_size) == (SIZE, 3, True, 0.499)
        assert raster.levels == (SIZE, (175, 250))
    for level, box in (
        (0, (0, 0, 1000, 700)),
        (0, (230, 200, 510, 490)),
        (1, (0, 0, 250, 175)),
        (1, (9, 8, 99, 90)),
    ):
        one, other = (raster.window(*box, level=level).astype(int) for raster in (ours, theirs))
        assert np.abs(one - other).max() <= 2  # rounding of colours differs between decoders
    assert np.abs(ours.window(0, 0, 1000, 700).astype(int) - tissue).mean() < 2


def test_jpeg_2000_in_ycbcr(tissue: Any, tmp_path: Path) -> None:
    """Compression 33003 holds luma and chroma, whatever the photometric tag says."""
    pytest.importorskip("openslide")
    path = tmp_path / "a.svs"
    stored = cv2.cvtColor(tissue, cv2.COLOR_RGB2YCrCb)[:, :, [0, 2, 1]]
    about = "Aperio Image Library v11.2.1\r\n1000x700 (240x240) J2K/YUV16 Q=70|AppMag = 20|MPP = 0.5"
    with tifffile.TiffWriter(path) as out:
        out.write(
            stored, photometric="rgb", compression=33003, tile=(240, 240), description=about, metadata=None
        )
    ours, theirs = (kind(path).window(0, 0, 1000, 700).astype(int) for kind in (open_raster, SlideRaster))
    assert np.abs(ours - tissue).max() <= 3 and np.abs(ours - theirs).max() <= 3
    assert np.array_equal(ours, read(path).pixels)


def test_a_slide_is_an_image(slide: Path) -> None:
    whole = read(slide)
    assert whole.pixel_size == 0.499 and whole.size == SIZE
    assert np.array_equal(whole.pixels, open_raster(slide).window(0, 0, 1000, 700))
    assert open_raster(slide, series=1).size == (175, 250)  # the thumbnail


def test_openslide_by_the_name(slide: Path, tmp_path: Path) -> None:
    pytest.importorskip("openslide")
    path = tmp_path / "a.ndpi"
    path.write_bytes(slide.read_bytes())
    with open_raster(path, channels=(2, 0)) as raster:
        assert isinstance(raster, SlideRaster) and raster.channels == 2 and not raster.colour
        want = open_raster(slide).window(5, 6, 99, 88)[:, :, [2, 0]]
        assert np.abs(raster.window(5, 6, 99, 88).astype(int) - want).max() <= 2
        again = pickle.loads(pickle.dumps(raster))
    assert again.window(0, 0, 9, 9).shape == (9, 9, 2)
    (tmp_path / "b.mrxs").write_bytes(b"no slide")
    with pytest.raises(InputError, match="expected a slide that OpenSlide reads"):
        open_raster(tmp_path / "b.mrxs")


def test_without_openslide(slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openslide", None)
    assert open_raster(slide).size == SIZE
    (tmp_path / "b.mrxs").write_bytes(b"no slide")
    with pytest.raises(MissingDependencyError, match=r"delineate\[slides\]"):
        open_raster(tmp_path / "b.mrxs")

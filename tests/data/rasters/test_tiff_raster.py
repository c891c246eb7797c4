"""Parts of TIFFs against the same files read whole."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.data.images import read, read_labels
from delineate.data.rasters import open_raster
from delineate.data.rasters.tiff import TiffRaster
from delineate.data.rasters.whole import WholeRaster

RNG = np.random.default_rng(0)
GREY, COLOUR = (
    RNG.integers(0, 60000, (150, 210), dtype=np.uint16),
    RNG.integers(0, 255, (150, 210, 3), np.uint8),
)
ALPHA = np.dstack([COLOUR, COLOUR[:, :, :1]])
BOXES = ((0, 0, 210, 150), (1, 2, 3, 4), (60, 30, 200, 149), (209, 149, 210, 150))

KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "grey, strips": (GREY, {"rowsperstrip": 16}),
    "grey, one strip": (GREY, {}),
    "grey, tiles": (GREY, {"tile": (32, 64)}),
    "deflate and predictor": (GREY, {"tile": (32, 32), "compression": "zlib", "predictor": True}),
    "lzw strips": (COLOUR, {"rowsperstrip": 7, "compression": "lzw"}),
    "RGB, one block": (COLOUR, {"photometric": "rgb"}),
    "RGB, tiles": (COLOUR, {"tile": (64, 48), "photometric": "rgb"}),
    "RGB, planes apart": (
        COLOUR.transpose(2, 0, 1),
        {"tile": (32, 32), "photometric": "rgb", "planarconfig": "separate"},
    ),
    "RGB, planes apart in strips": (
        COLOUR.transpose(2, 0, 1),
        {"rowsperstrip": 20, "photometric": "rgb", "planarconfig": "separate"},
    ),
    "RGB, planes apart in one block": (
        COLOUR.transpose(2, 0, 1),
        {"photometric": "rgb", "planarconfig": "separate"},
    ),
    "JPEG": (COLOUR, {"tile": (64, 64), "compression": "jpeg", "photometric": "ycbcr"}),
    "JPEG 2000": (COLOUR, {"tile": (64, 64), "compression": "jpeg2000", "photometric": "rgb"}),
    "float": (GREY.astype(np.float32) / 7, {"tile": (32, 32)}),
    "half floats": (GREY.astype(np.float16) / 7, {"tile": (32, 32)}),
    "BigTIFF": (GREY, {"tile": (32, 32), "bigtiff": True}),
    "big endian": (GREY, {"rowsperstrip": 40, "byteorder": ">"}),
    "big endian, one block": (GREY, {"byteorder": ">"}),
    "white is zero": (GREY, {"photometric": "miniswhite", "tile": (32, 32)}),
    "bits": (GREY % 2 == 1, {}),
    "palette": (
        COLOUR[:, :, 0],
        {"photometric": "palette", "colormap": RNG.integers(0, 65535, (3, 256)).astype(np.uint16)},
    ),
    "CMYK": (ALPHA, {"photometric": "separated", "tile": (32, 32)}),
    "times": (
        np.stack([GREY + k for k in range(4)]),
        {"rowsperstrip": 32, "photometric": "minisblack", "metadata": {"axes": "TYX"}},
    ),
    "ImageJ, one block": (
        np.stack([GREY + k for k in range(4)]),
        {"imagej": True, "metadata": {"axes": "ZYX"}},
    ),
    "pages": (
        np.stack([GREY + k for k in range(4)]),
        {"rowsperstrip": 32, "photometric": "minisblack", "metadata": {"axes": "ZYX"}},
    ),
    "three channels": (
        np.stack([GREY + k for k in range(3)]),
        {"tile": (32, 32), "photometric": "minisblack", "metadata": {"axes": "CYX"}},
    ),
    "RGB and alpha": (
        ALPHA,
        {"tile": (32, 32), "photometric": "rgb", "extrasamples": ["unassalpha"]},
    ),
}
FIVE = (np.stack([GREY + k for k in range(5)]), {"tile": (32, 32), "metadata": {"axes": "CYX"}})


def written(path: Path, pixels: Any, **options: Any) -> Path:
    tifffile.imwrite(path, pixels, **({"ome": False} if "imagej" not in options else {}) | options)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_those_of_the_whole(kind: str, tmp_path: Path) -> None:
    pixels, options = KINDS[kind]
    path = written(tmp_path / "image.tif", pixels, **options)
    whole = read(path).pixels
    with open_raster(path) as raster:
        assert isinstance(raster, TiffRaster)
        assert (raster.size, raster.dtype) == (whole.shape[:2], whole.dtype)
        assert raster.channels == (1 if whole.ndim == 2 else whole.shape[2])
        for x0, y0, x1, y1 in BOXES:
            assert np.array_equal(raster.window(x0, y0, x1, y1), whole[y0:y1, x0:x1])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_windows_are_upright(orientation: int, tmp_path: Path) -> None:
    path = written(
        tmp_path / "image.tif",
        COLOUR,
        tile=(32, 48),
        photometric="rgb",
        extratags=[(274, 3, 1, orientation, True)],
    )
    whole, raster = read(path).pixels, open_raster(path)
    assert raster.size == whole.shape[:2]
    for x0, y0, x1, y1 in ((0, 0, raster.size[1], raster.size[0]), (3, 5, 100, 90), (140, 120, 150, 150)):
        assert np.array_equal(raster.window(x0, y0, x1, y1), whole[y0:y1, x0:x1])


def test_chosen_channels_come_in_their_order(tmp_path: Path) -> None:
    pixels, options = FIVE
    path = written(tmp_path / "image.tif", pixels, **options)
    for chosen in (4, (3, 1), (0, 4, 2)):
        want = read(path, channels=chosen).pixels
        assert np.array_equal(
            open_raster(path, channels=chosen).window(10, 20, 130, 140), want[20:140, 10:130]
        )
    assert open_raster(path, channels="all").window(0, 0, 5, 5).shape == (5, 5, 5)
    with pytest.raises(InputError, match=r"channels in 0\.\.4"):
        open_raster(path, channels=(5,))
    with pytest.raises(InputError, match="choose some with"):
        open_raster(path)


def test_any_page_of_any_order(tmp_path: Path) -> None:
    stack = RNG.integers(0, 255, (2, 3, 2, 40, 50), np.uint8)  # T Z C Y X
    path = tmp_path / "image.ome.tif"
    tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "TZCYX"}, ome=True)
    for time in range(2):
        for z in range(3):
            raster = open_raster(path, time=time, z=z, channels="all")
            assert (raster.times, raster.slices) == (2, 3)
            assert np.array_equal(
                raster.window(4, 5, 30, 31), stack[time, z, :, 5:31, 4:30].transpose(1, 2, 0)
            )
    most, mean = (
        open_raster(path, time=1, z=how, channels=1).window(0, 0, 50, 40) for how in ("max", "mean")
    )
    assert np.array_equal(most, stack[1, :, 1].max(axis=0))
    assert np.array_equal(mean, np.rint(stack[1, :, 1].mean(axis=0)))
    for wrong in ({"time": 2}, {"z": 3}, {"z": "least"}, {"series": 1}):
        with pytest.raises(InputError, match="expected a"):
            open_raster(path, channels=0, **wrong)  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_part(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    if not path.exists():
        written(path, COLOUR, tile=(48, 32), compression="zlib")
    x0, y0 = data.draw(st.integers(0, 209)), data.draw(st.integers(0, 149))
    x1, y1 = data.draw(st.integers(x0 + 1, 210)), data.draw(st.integers(y0 + 1, 150))
    assert np.array_equal(open_raster(path).window(x0, y0, x1, y1), COLOUR[y0:y1, x0:x1])


def pyramid(path: Path, pixels: Any, **options: Any) -> Path:
    with tifffile.TiffWriter(path) as writer:
        writer.write(pixels, subifds=2, tile=(32, 32), **options)
        for k in (2, 4):
            writer.write(pixels[::k, ::k], subfiletype=1, tile=(32, 32), **options)
    return path


def test_stored_levels(tmp_path: Path) -> None:
    path = pyramid(tmp_path / "image.tif", COLOUR, photometric="rgb")
    raster = open_raster(path)
    assert raster.levels == ((150, 210), (75, 105), (38, 53))
    for level, k in enumerate((1, 2, 4)):
        height, width = raster.levels[level]
        assert np.array_equal(raster.window(0, 0, width, height, level), COLOUR[::k, ::k])
    for wrong in ((0, 0, 106, 75, 1), (0, 0, 0, 5, 0), (-1, 0, 5, 5, 0), (0, 0, 5, 5, 3)):
        with pytest.raises(InputError, match="expected a"):
            raster.window(*wrong)


def test_overview_comes_from_the_level_that_suffices(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(150), np.arange(210)).astype(np.uint16) * 100
    raster = open_raster(pyramid(tmp_path / "image.tif", smooth, photometric="minisblack"))
    assert np.array_equal(raster.overview(53), smooth[::4, ::4])
    small = raster.overview(30)
    assert small.shape == (21, 30) and small.dtype == np.uint16
    assert abs(int(small[10, 15]) - int(smooth[75, 108])) < 600
    assert np.array_equal(raster.overview(4000), smooth)


def test_labels_come_as_stored(tmp_path: Path) -> None:
    ids = RNG.integers(0, 2**32, (90, 100), dtype=np.uint32)
    path = written(tmp_path / "ids.tif", ids, tile=(32, 32), photometric="miniswhite")
    raster = open_raster(path, labels=True)
    assert raster.dtype == np.uint32 and np.array_equal(raster.window(5, 6, 70, 80), ids[6:80, 5:70])
    assert np.array_equal(read_labels(path), ids) and set(np.unique(raster.overview(20))) <= set(ids.flat)
    with pytest.raises(InputError, match="whole number"):
        open_raster(written(tmp_path / "rgb.tif", COLOUR, photometric="rgb"), labels=True)


def test_gaps_in_measurements(tmp_path: Path) -> None:
    heights = RNG.random((60, 70), np.float32)
    heights[3, 4], heights[5, 6], heights[7, 8] = np.nan, np.inf, -9999
    path = written(
        tmp_path / "heights.tif", heights, tile=(32, 32), extratags=[(42113, "s", 0, "-9999", True)]
    )
    whole, raster = read(path).pixels, open_raster(path)
    assert raster.nodata == -9999
    assert np.array_equal(raster.window(0, 0, 70, 60), whole)
    gaps = ~raster.valid(0, 0, 10, 10)
    assert [tuple(at) for at in np.argwhere(gaps).tolist()] == [(3, 4), (5, 6), (7, 8)]


def test_a_closed_raster(tmp_path: Path) -> None:
    with open_raster(written(tmp_path / "a.tif", GREY, tile=(32, 32))) as raster:
        raster.window(0, 0, 9, 9)
    with pytest.raises(ValueError, match="closed"):
        raster.window(0, 0, 9, 9)


def test_other_processes_open_it_themselves(tmp_path: Path) -> None:
    path = written(tmp_path / "image.tif", FIVE[0], **FIVE[1])
    again = pickle.loads(pickle.dumps(open_raster(path, channels=(2, 0))))
    assert np.array_equal(again.window(0, 0, 9, 9), FIVE[0][[2, 0], :9, :9].transpose(1, 2, 0))


def test_what_has_to_be_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delineate.data.rasters.tiff_plane.SEGMENT_BYTES", 1000)
    path = written(tmp_path / "image.tif", GREY, compression="zlib", rowsperstrip=150)
    raster = open_raster(path)
    assert isinstance(raster, WholeRaster) and np.array_equal(raster.window(3, 4, 9, 9), GREY[4:9, 3:9])
    with pytest.raises(InputError, match="megapixels"):
        open_raster(path, max_pixels=1000)
    (tmp_path / "text.tif").write_text("no picture")
    for name in ("text.tif", "missing.tif", "."):
        with pytest.raises(InputError, match="expected"):
            open_raster(tmp_path / name)


@pytest.mark.parametrize("options", [{"tile": (32, 32)}, {}])
def test_a_file_that_is_cut_off_is_told(options: dict[str, Any], tmp_path: Path) -> None:
    path = written(tmp_path / "image.tif", GREY, **options)
    data = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        end = page.dataoffsets[-1] + page.databytecounts[-1]  # type: ignore[union-attr]
    path.write_bytes(data[: end - 1000])
    raster = open_raster(path)
    assert np.array_equal(raster.window(0, 0, 20, 20), GREY[:20, :20])  # what is there can be read
    with pytest.raises(InputError, match="cut off"):
        raster.window(0, 0, 210, 150)


def test_slices_that_the_file_calls_colours(tmp_path: Path) -> None:
    """What tifffile makes of (3, H, W) when nobody says what planes are: colours, but labels are slices."""
    path = tmp_path / "stack.tif"
    stack = RNG.integers(0, 60000, (3, 50, 60), dtype=np.uint16)
    tifffile.imwrite(path, stack, photometric="rgb", planarconfig="separate")
    assert np.array_equal(read(path).pixels, stack.transpose(1, 2, 0)) and open_raster(path).colour
    for z in range(3):
        raster = open_raster(path, labels=True, z=z)
        assert raster.slices == 3 and np.array_equal(raster.window(0, 0, 60, 50), stack[z])
    with pytest.raises(InputError, match="one page a slice"):
        read_labels(path)

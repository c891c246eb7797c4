"""Parts of TIFFs against the same files read whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError
from delineate.data.images import read
from delineate.server.pyramid import channel_count, read_all
from delineate.server.tiff_windows import TiffWindows

RNG = np.random.default_rng(0)
GREY, COLOUR = (
    RNG.integers(0, 60000, (150, 210), dtype=np.uint16),
    RNG.integers(0, 255, (150, 210, 3), np.uint8),
)

KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "grey, strips": (GREY, {"rowsperstrip": 16}),
    "grey, one strip": (GREY, {}),
    "grey, tiles": (GREY, {"tile": (32, 64)}),
    "deflate and predictor": (GREY, {"tile": (32, 32), "compression": "zlib", "predictor": True}),
    "lzw strips": (COLOUR, {"rowsperstrip": 7, "compression": "lzw"}),
    "RGB, tiles": (COLOUR, {"tile": (64, 48), "photometric": "rgb"}),
    "RGB, planes apart": (
        COLOUR.transpose(2, 0, 1),
        {"tile": (32, 32), "photometric": "rgb", "planarconfig": "separate"},
    ),
    "RGB, planes apart in strips": (
        COLOUR.transpose(2, 0, 1),
        {"rowsperstrip": 20, "photometric": "rgb", "planarconfig": "separate"},
    ),
    "JPEG": (COLOUR, {"tile": (64, 64), "compression": "jpeg", "photometric": "ycbcr"}),
    "float": (GREY.astype(np.float32) / 7, {"tile": (32, 32)}),
    "BigTIFF": (GREY, {"tile": (32, 32), "bigtiff": True}),
    "big endian": (GREY, {"rowsperstrip": 40, "byteorder": ">"}),
    "five channels": (
        np.stack([GREY + k for k in range(5)]),
        {"tile": (32, 32), "metadata": {"axes": "CYX"}},
    ),
    "pages": (
        np.stack([GREY + k for k in range(4)]),
        {"rowsperstrip": 32, "photometric": "minisblack", "metadata": {"axes": "ZYX"}},
    ),
    "RGB and alpha": (
        np.dstack([COLOUR, COLOUR[:, :, :1]]),
        {"tile": (32, 32), "photometric": "rgb", "extrasamples": ["unassalpha"]},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_those_of_the_whole(kind: str, tmp_path: Path) -> None:
    pixels, options = KINDS[kind]
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, pixels, **{"ome": False} | options)
    whole, windows = read_all(path, None), TiffWindows(path)
    assert (windows.size, windows.channels, windows.dtype) == (whole.shape[:2], whole.shape[2], whole.dtype)
    assert windows.channels == channel_count(path) and windows.colour == (whole.shape[2] == 3)
    for x0, y0, x1, y1 in ((0, 0, 210, 150), (1, 2, 3, 4), (60, 30, 200, 149), (209, 149, 210, 150)):
        assert np.array_equal(windows.window(x0, y0, x1, y1), whole[y0:y1, x0:x1])


def test_chosen_channels_come_in_their_order(tmp_path: Path) -> None:
    pixels, options = KINDS["five channels"]
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, pixels, **options)
    for chosen in ((4,), (3, 1), (0, 4, 2)):
        want = read(path, channels=chosen).pixels.reshape(150, 210, -1)
        assert np.array_equal(TiffWindows(path, chosen).window(10, 20, 130, 140), want[20:140, 10:130])
    with pytest.raises(InputError, match=r"channels in 0\.\.4"):
        TiffWindows(path, (5,))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_part(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    if not path.exists():
        tifffile.imwrite(path, COLOUR, tile=(48, 32), compression="zlib")
    x0, y0 = data.draw(st.integers(0, 209)), data.draw(st.integers(0, 149))
    x1, y1 = data.draw(st.integers(x0 + 1, 210)), data.draw(st.integers(y0 + 1, 150))
    assert np.array_equal(TiffWindows(path).window(x0, y0, x1, y1), COLOUR[y0:y1, x0:x1])


def test_what_has_to_be_read_whole_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "inverted.tif", GREY, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "wide.tif", GREY.astype(np.int32))
    (tmp_path / "text.tif").write_text("no picture")
    for name in ("inverted", "wide", "text"):
        with pytest.raises(InputError, match="expected a TIFF"):
            TiffWindows(tmp_path / f"{name}.tif")


def test_a_file_that_is_cut_off_is_told(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, GREY, tile=(32, 32))
    data = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        offsets = file.pages[0].dataoffsets  # type: ignore[union-attr]
    path.write_bytes(data[: offsets[-1] + 10])
    with pytest.raises(InputError, match="cut off"):
        TiffWindows(path).window(0, 0, 210, 150)

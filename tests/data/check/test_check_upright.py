"""The EXIF rotation of a JPEG is taken out and nothing else changes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from delineate.data.check.pictures import orientation
from delineate.data.check.upright import without_orientation


def jpeg(turn: int | None) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 10, 3), np.uint8)
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    if turn is not None:
        exif[0x0112] = turn
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("turn", [3, 6, 8])
def test_only_the_orientation_changes(tmp_path: Path, turn: int) -> None:
    before = jpeg(turn)
    after = without_orientation(before)
    assert after is not None
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
    one, other = (Image.open(io.BytesIO(data)) for data in (before, after))
    assert np.array_equal(np.asarray(one), np.asarray(other))  # Pillow does not turn by itself
    assert other.getexif()[0x010F] == "a maker"
    path = tmp_path / "a.jpg"
    path.write_bytes(after)
    assert orientation(path) == 1


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe1\0\x04Ex", b"\x89PNG\r\n\x1a\n", jpeg(None), jpeg(6)[:20]]
)
def test_what_has_none_is_left(data: bytes) -> None:
    assert without_orientation(data) is None


def test_the_malformed_samples(bad_inputs: Path) -> None:
    for turn in (3, 6, 8):
        path = bad_inputs / "images" / f"exif_orientation_{turn}.jpg"
        assert orientation(path) == turn
        assert without_orientation(path.read_bytes()) is not None

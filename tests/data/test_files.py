"""Finding files, writing them whole, and label images as numbers."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from delineate.core.errors import InputError
from delineate.data.images import find, read, read_labels, write_label_tiff, write_png

RNG = np.random.default_rng(0)


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype)


def test_find(tmp_path: Path) -> None:
    for name in ["t10.png", "t2.PNG", "t1.tif", "notes.txt", ".hidden.png"]:
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.webp").touch()
    (tmp_path / "empty").mkdir()
    assert [p.name for p in find([tmp_path])] == ["t1.tif", "t2.PNG", "t10.png"]
    assert [p.name for p in find([f"{tmp_path}/**/*.webp"])] == ["a.webp"]
    assert [p.name for p in find([str(tmp_path / "notes.txt"), str(tmp_path / "t*")])][:2] == [
        "notes.txt",
        "t1.tif",
    ]
    assert len(find([tmp_path, tmp_path])) == 3
    for given_, match in [("empty", "none in it"), ("*.gif", "no match"), ("t3.png", "nothing there")]:
        with pytest.raises(InputError, match=match):
            find([str(tmp_path / given_)])
    with pytest.raises(InputError, match="at least one"):
        find([])


def test_write_png(tmp_path: Path) -> None:
    for array in (noise(4, 5), noise(4, 5, 3), noise(4, 5, dtype=np.uint16), noise(4, 5, 3, dtype=np.uint16)):
        write_png(tmp_path / "a.png", array)
        assert np.array_equal(read(tmp_path / "a.png").pixels, array)
    with pytest.raises(InputError, match="expected"):
        write_png(tmp_path / "a.png", noise(4, 5).astype(float))
    with pytest.raises(InputError, match="No such file"):
        write_png(tmp_path / "none" / "a.png", noise(4, 5))
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("top", "dtype"), [(0, np.uint16), (65535, np.uint16), (65536, np.uint32), (2**32 - 1, np.uint32)]
)
def test_write_label_tiff(tmp_path: Path, top: int, dtype: type) -> None:
    labels = np.array([[0, top], [1, 1]], np.int64)
    path = write_label_tiff(tmp_path / "l.tif", labels, pixel_size=0.25)
    assert tifffile.imread(path).dtype == dtype
    assert np.array_equal(tifffile.imread(path), labels)
    assert np.array_equal(read_labels(path), labels)
    assert read(path).pixel_size == pytest.approx(0.25)


def test_write_label_tiff_refuses(tmp_path: Path) -> None:
    for labels in (np.zeros((2, 2)), np.array([[-1]]), np.zeros((1, 2, 3), int), np.zeros((0, 3), int)):
        with pytest.raises(InputError, match="expected"):
            write_label_tiff(tmp_path / "l.tif", labels)
    with pytest.raises(InputError, match="pixel size"):
        write_label_tiff(tmp_path / "l.tif", np.ones((2, 2), int), pixel_size=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_labels_are_numbers_not_colours(tmp_path: Path, bits: int) -> None:
    ids = RNG.integers(0, 2**bits, (6, 7), dtype=np.uint8)
    palette = Image.fromarray(ids, "L").convert("L")
    palette.putpalette(noise(768).tolist())
    Image.Image.save(palette, tmp_path / "p.png", bits=bits)
    assert np.array_equal(read_labels(tmp_path / "p.png"), ids)
    packed = np.packbits(np.unpackbits(ids[:, :, None], axis=2)[:, :, 8 - bits :].reshape(6, -1), axis=1)
    raw = b"".join(b"\0" + row.tobytes() for row in packed)
    (tmp_path / "g.png").write_bytes(grey_png(7, 6, bits, raw))
    assert np.array_equal(read_labels(tmp_path / "g.png"), ids)


def grey_png(width: int, height: int, bits: int, rows: bytes) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")

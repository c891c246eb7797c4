"""Images against Pillow and tifffile; conversions, pages, channels, pixel sizes."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from delineate.core.errors import InputError
from delineate.data.images import pages, read, read_labels, read_size, upright

RNG = np.random.default_rng(0)


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(array: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "1", "P", "LA", "RGBA", "I;16"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WebP", "BMP", "GIF"])
def test_same_pixels_as_pillow(mode: str, kind: str) -> None:
    image = (
        Image.fromarray(noise(13, 17, dtype=np.uint16))
        if mode == "I;16"
        else Image.fromarray(noise(13, 17, 3)).convert(mode)
    )
    if (mode == "I;16" and kind not in ("PNG", "TIFF")) or (mode == "LA" and kind == "BMP"):
        pytest.skip("the format has no such mode")
    options = {"lossless": True, "exact": True} if kind == "WebP" else {}
    data = encoded(image, kind, **options)
    again = Image.open(io.BytesIO(data))
    got = read(data)
    plain = {"L": "L", "1": "L", "LA": "L", "I;16": "I;16"}.get(again.mode, "RGB")
    if again.mode == "LA":
        again = again.getchannel(0)
    again.info.pop("transparency", None)
    expected = np.asarray(
        again.convert("RGBA").convert("RGB") if again.mode == "RGBA" else again.convert(plain)
    )
    assert got.format == kind
    assert got.pixels.dtype == expected.dtype
    np.testing.assert_array_equal(got.pixels, expected)
    assert ("alpha dropped" in got.notes) == (
        (mode in ("LA", "RGBA") and kind in ("PNG", "TIFF")) or again.mode == "RGBA"
    )


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 2, "quality": 30}]
)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_as_pillow(mode: str, options: dict[str, object]) -> None:
    smooth = Image.fromarray(noise(5, 6, 3)).resize((61, 47), Image.Resampling.BICUBIC).convert(mode)
    data = encoded(smooth, "JPEG", **options)
    np.testing.assert_array_equal(read(data).pixels, np.asarray(Image.open(io.BytesIO(data))))


def test_cmyk_jpeg_is_not_inverted() -> None:
    image = Image.fromarray(noise(5, 6, 3)).resize((40, 30), Image.Resampling.BICUBIC).convert("CMYK")
    data = encoded(image, "JPEG", quality=95)
    got = read(data)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(got.pixels.astype(int) - expected).max() <= 1
    assert got.notes == ("CMYK converted to RGB",)


def test_16_bit_colour_png_keeps_its_depth() -> None:
    array = noise(5, 7, 3, dtype=np.uint16)
    np.testing.assert_array_equal(read(imagecodecs.png_encode(array)).pixels, array)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "TIFF"])
def test_exif_orientation(kind: str, orientation: int) -> None:
    from PIL import ImageOps

    image = Image.fromarray(noise(2, 3, 3)).resize((24, 16), Image.Resampling.NEAREST)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WebP" else {"quality": 100} if kind == "JPEG" else {}
    if kind == "TIFF":
        data = tiff(np.asarray(image), extratags=[(274, 3, 1, orientation, True)], photometric="rgb")
        expected = upright(np.asarray(image), orientation)
    else:
        data = encoded(image, kind, exif=exif, **options)
        expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    np.testing.assert_array_equal(read(data).pixels, expected)
    assert read_size(data) == expected.shape[:2]


@given(st.integers(1, 8), st.integers(1, 5), st.integers(1, 5))
def test_upright_loses_no_pixel(orientation: int, height: int, width: int) -> None:
    image = np.arange(height * width).reshape(height, width)
    assert sorted(upright(image, orientation).ravel()) == sorted(image.ravel())


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.uint8, np.uint8),
        (np.uint16, np.uint16),
        (np.int8, np.uint16),
        (np.int16, np.uint16),
        (np.uint32, np.uint16),
        (np.int64, np.uint16),
        (np.float16, np.float32),
        (np.float32, np.float32),
        (np.float64, np.float32),
    ],
)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_tiff_types(dtype: type, expected: type, byteorder: str) -> None:
    array = noise(6, 9).astype(np.uint8) % 100
    got = read(tiff(array.astype(dtype), byteorder=byteorder))
    assert got.pixels.dtype == expected
    np.testing.assert_array_equal(got.pixels, array)
    assert bool(got.notes) == (dtype is not expected)


@pytest.mark.parametrize("value", [-5, 70000])
def test_integers_that_do_not_fit_16_bits_become_float(value: int) -> None:
    got = read(tiff(np.array([[1, value]], np.int32)))
    assert got.pixels.dtype == np.float32
    assert got.pixels.tolist() == [[1, value]]
    assert got.notes == ("int32 converted to float32",)


def test_not_finite_pixels_are_replaced_and_noted() -> None:
    got = read(tiff(np.array([[np.nan, np.inf, -np.inf, 2, 5]], np.float32)))
    assert got.pixels.tolist() == [[2, 5, 2, 2, 5]]
    assert got.notes == ("3 pixels NaN or infinite, replaced by the nearest extreme",)
    with pytest.raises(InputError, match="only NaN"):
        read(tiff(np.full((2, 2), np.nan, np.float32)))


def test_bilevel_and_white_is_zero() -> None:
    mask = RNG.random((9, 20)) > 0.5
    assert np.array_equal(read(encoded(Image.fromarray(mask), "TIFF")).pixels, mask * np.uint8(255))
    assert np.array_equal(read(tiff(mask, photometric="minisblack")).pixels, mask * np.uint8(255))
    grey = noise(4, 5)
    inverted = read(tiff(grey, photometric="miniswhite"))
    assert np.array_equal(inverted.pixels, 255 - grey)
    assert inverted.notes == ("white-is-zero grey inverted",)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib"},
        {"compression": "lzw", "predictor": True},
        {"tile": (16, 16)},
        {"bigtiff": True},
        {"planarconfig": "separate"},
        {"compression": "zstd", "rowsperstrip": 3},
        {"compression": "packbits"},
    ],
)
def test_tiff_layouts(options: dict[str, object]) -> None:
    array = noise(37, 45, 3)
    stored = np.moveaxis(array, 2, 0) if "planarconfig" in options else array
    got = read(tiff(stored, photometric="rgb", **options))
    np.testing.assert_array_equal(got.pixels, array)
    assert got.notes == ()


def test_lab_and_palette_tiff() -> None:
    image = Image.fromarray(noise(2, 3, 3)).resize((30, 20), Image.Resampling.BICUBIC)
    palette = image.convert("P")
    got = read(encoded(palette, "TIFF"))
    np.testing.assert_array_equal(got.pixels, np.asarray(palette.convert("RGB")))
    grey = np.full((4, 4, 3), (128, 0, 0), np.uint8)  # L 50, a 0, b 0
    lab = read(tiff(grey, photometric="cielab"))
    assert lab.notes == ("CIELAB converted to RGB",)
    assert np.ptp(lab.pixels) <= 1
    assert abs(int(lab.pixels[0, 0, 0]) - 119) <= 2


def test_pages() -> None:
    stack = noise(5, 8, 9)
    data = tiff(stack, photometric="minisblack")
    first = read(data)
    assert (first.pages, first.page, first.notes) == (5, 0, ("first of 5 pages (Q of QYX)",))
    assert np.array_equal(read(data, page=3).pixels, stack[3])
    assert read(data, page=0).notes == ()
    assert [np.array_equal(p.pixels, stack[i]) for i, p in enumerate(pages(io.BytesIO(data)))] == [True] * 5
    with pytest.raises(InputError, match=r"page in 0\.\.4, got 5"):
        read(data, page=5)
    with pytest.raises(InputError, match="page 0"):
        read(encoded(Image.new("L", (2, 2)), "PNG"), page=1)


@pytest.mark.parametrize("kind", ["ome", "imagej"])
def test_channels_and_axes(kind: str) -> None:
    stack = noise(3, 2, 16, 24)  # T or Z, C, Y, X
    axes = "ZCYX" if kind == "ome" else "TCYX"
    data = tiff(stack, **{kind: True}, metadata={"axes": axes})
    with pytest.raises(InputError, match=r"got 2; choose some with `--channels 0`"):
        read(data)
    got = read(data, channels=1, page=2)
    assert got.pages == 3
    assert np.array_equal(got.pixels, stack[2, 1])
    both = read(data, channels=(1, 0), page=1)
    assert np.array_equal(both.pixels, np.moveaxis(stack[1, ::-1], 0, 2))
    assert read_size(data) == (16, 24)


def test_five_channels_in_one_page() -> None:
    array = noise(16, 24, 5)
    data = tiff(array, photometric="minisblack", planarconfig="contig")
    with pytest.raises(InputError, match="--channels 0,1,2"):
        read(data)
    assert np.array_equal(read(data, channels=(4, 0, 2)).pixels, array[:, :, [4, 0, 2]])
    assert np.array_equal(read(data, channels=(3,)).pixels, array[:, :, 3])
    with pytest.raises(InputError, match=r"channels in 0\.\.4, got \[5\]"):
        read(data, channels=5)


def test_channels_of_other_formats_and_alpha() -> None:
    array = noise(4, 5, 4)
    data = imagecodecs.png_encode(array)
    assert np.array_equal(read(data).pixels, array[:, :, :3])
    assert np.array_equal(read(data, channels=3).pixels, array[:, :, 3])
    four = tiff(array, photometric="rgb")
    assert read(four).notes == ("alpha dropped",)
    assert np.array_equal(read(four, channels=(2, 1, 0)).pixels, array[:, :, 2::-1])


def test_pixel_size(tmp_path: Path) -> None:
    grey = noise(8, 9)
    ome = {"axes": "YX", "PhysicalSizeX": 325.0, "PhysicalSizeXUnit": "nm"}
    sizes = {
        "ome": read(tiff(grey, ome=True, metadata=ome)).pixel_size,
        "imagej": read(tiff(grey, imagej=True, resolution=(2.0, 2.0), metadata={"unit": "um"})).pixel_size,
        "cm": read(tiff(grey, resolution=(20000, 20000), resolutionunit="CENTIMETER")).pixel_size,
        "screen": read(tiff(grey, resolution=(300, 300), resolutionunit="INCH")).pixel_size,
        "none": read(tiff(grey)).pixel_size,
        "png": read(encoded(Image.fromarray(grey), "PNG", dpi=(50800, 50800))).pixel_size,
        "png screen": read(encoded(Image.fromarray(grey), "PNG", dpi=(72, 72))).pixel_size,
    }
    assert sizes == {
        "ome": pytest.approx(0.325),
        "imagej": pytest.approx(0.5),
        "cm": pytest.approx(0.5),
        "screen": None,
        "none": None,
        "png": pytest.approx(0.5),
        "png screen": None,
    }


@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 1), (np.uint8, 3), (np.uint8, 4), (np.uint16, 1)])
def test_interlaced_png(dtype: type, channels: int, capfd: pytest.CaptureFixture[str]) -> None:
    array = noise(13, 17, channels, dtype=dtype)
    passes = (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    )
    rows = b"".join(
        b"\0" + row.astype(array.dtype.newbyteorder(">")).tobytes()
        for y, x, dy, dx in passes
        for row in array[y::dy, x::dx]
        if row.size
    )
    data = png_claiming(17, 13, array.itemsize * 8, {1: 0, 3: 2, 4: 6}[channels], 1, rows)
    np.testing.assert_array_equal(read(data).pixels, array[:, :, 0] if channels == 1 else array[:, :, :3])
    assert capfd.readouterr().err == ""


def png_claiming(
    width: int, height: int, depth: int = 8, colour: int = 0, interlace: int = 0, rows: bytes = b""
) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("depth", "colour"), [(3, 0), (4, 2), (16, 3), (8, 5), (0, 0)])
def test_png_of_impossible_depth(depth: int, colour: int, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read(png_claiming(4, 4, depth, colour))
    assert capfd.readouterr().err == ""


def test_size_limit_names_limit_and_flag() -> None:
    with pytest.raises(
        InputError, match=r"at most 200 megapixels, got 20000 x 20000 .*`--max-pixels 400000000`"
    ):
        read(png_claiming(20000, 20000))
    with pytest.raises(InputError, match=r"at most 0\.0001 megapixels"):
        read(imagecodecs.png_encode(noise(11, 10)), max_pixels=100)
    assert read(imagecodecs.png_encode(noise(10, 10)), max_pixels=100).size == (10, 10)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WebP", "BMP", "GIF"])
def test_cut_off_anywhere_is_an_error_and_never_half_a_picture(kind: str) -> None:
    options = {"lossless": True} if kind == "WebP" else {}
    data = encoded(Image.fromarray(noise(24, 31, 3)), kind, **options)
    whole = read(data).pixels
    for end in range(0, len(data), max(1, len(data) // 23)):
        try:
            part = read(data[:end])
        except InputError as error:
            assert str(error).startswith("<bytes>: expected")
        else:
            np.testing.assert_array_equal(part.pixels, whole)


@given(st.data())
def test_random_damage_gives_pixels_or_an_input_error(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "TIFF", "WebP", "BMP", "GIF"]))
    good = bytearray(encoded(Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = read(bytes(good), max_pixels=1_000_000)
    except InputError:
        return
    assert image.pixels.ndim in (2, 3)


def test_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = noise(4, 6)
    data = imagecodecs.png_encode(array)
    path = tmp_path / "ein Bild é中.jpg"  # content decides
    path.write_bytes(data)
    got = read(path)
    assert (got.name, got.path, got.format, got.size) == (path.name, path, "PNG", (4, 6))
    assert read(str(path)).size == read(io.BytesIO(data)).size == (4, 6)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert read("-").name == "<stdin>"
    for bad, match in [
        (tmp_path / "none.png", "No such file"),
        (tmp_path, "directory"),
        (io.StringIO("x"), "binary"),
    ]:
        with pytest.raises(InputError, match=match):
            read(bad)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="got int"):
        read(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"SIMPLE  =   T", "FITS"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"%PDF-1.7", "PDF"),
        (b"PK\x03\x04", "ZIP"),
        (b"\0\0\0 ftypheic", "HEIC"),
        (b"\0\0\0 ftypisom", "video"),
        (b"<svg xmlns='x'>", "SVG"),
        (b"<!DOCTYPE html>", "HTML"),
        (b"hello there", "text"),
        (b"\x01\x02\x03", "unknown"),
        (b"", "empty file"),
        (b"\0" * 128 + b"DICM", "DICOM"),
    ],
)
def test_foreign_formats_are_named(head: bytes, name: str) -> None:
    with pytest.raises(InputError, match=name):
        read(head)


def test_tiff_whose_page_does_not_decode_to_its_size() -> None:
    """Without strips tifffile returns nothing at all."""
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((4, 6), np.uint16))
    data = file.getvalue().replace(struct.pack("<H", 273), struct.pack("<H", 65000), 1)  # StripOffsets
    with pytest.raises(InputError, match="expected"):
        read(data)
    with pytest.raises(InputError, match="expected"):
        read_labels(data)

"""What a file is by its first bytes, and what its header says, before anything is decoded.

The extension is never believed. Only the seven formats of :data:`READABLE` go to a decoder; whatever else
can be named is refused by name, so that a decoder never sees a format nobody meant it for.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from delineate.core.errors import InputError

READABLE = ("PNG", "JPEG", "TIFF", "WebP", "BMP", "GIF")
"""Formats that are decoded (BigTIFF is TIFF); all others are refused before decoding."""

SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".tif",
    ".tiff",
    ".btf",
    ".tf8",
    ".webp",
    ".bmp",
    ".gif",
)
"""File name endings that folders are searched for; case does not matter."""

SLIDES = (".mrxs", ".vms", ".vmu", ".svslide", ".ndpi", ".scn", ".bif")
"""Endings of slides that are left to OpenSlide; Aperio's ``.svs`` is a TIFF like any other."""

_ZARR_MARKS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# First bytes of what people hand in by mistake -> how it is named in the refusal.
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000 code stream"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"SIMPLE  =", "FITS"),
    (b"8BPS", "Photoshop PSD"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"PK\x03\x04", "ZIP archive"),
    (b"PK\x05\x06", "ZIP archive"),
    (b"\x1f\x8b", "gzip archive"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"\x93NUMPY", "NumPy array"),
    (b"ZISRAWFILE", "Zeiss CZI"),
    (b"\xda\xce\xbe\x0a", "Nikon ND2"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"version https://git-lfs", "Git LFS pointer, not the file itself"),
)
# Colour type -> bits per sample (PNG specification, table 11.1).
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_MEND = "convert it to PNG, JPEG or TIFF"


@dataclass
class Header:
    """What is known without decoding.

    Attributes:
        size: (height, width) as stored, before any EXIF rotation.
        orientation: EXIF orientation 1..8; 1 is upright.
        components: samples per pixel, 0 where the format does not say it early.
        frames: how many frames an animation has.
        interlaced: a PNG in seven passes that Pillow reads without loss.
        per_metre: (x, y) pixels per metre as PNG writes them, or None.
        notes: what the reader should be told.
    """

    size: tuple[int, int]
    orientation: int = 1
    components: int = 0
    frames: int = 1
    interlaced: bool = False
    per_metre: tuple[int, int] | None = None
    notes: list[str] = field(default_factory=list)


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr group or array, or a file is named as a zipped one (.zarr.zip, .ozx)."""
    if path.name.lower().endswith((".zarr.zip", ".ozx")):
        return path.is_file()
    return path.is_dir() and any((path / mark).is_file() for mark in _ZARR_MARKS)


def by_windows(path: Path) -> bool:
    """Whether only :func:`delineate.data.rasters.open_raster` reads an image: a Zarr store, or a slide."""
    return path.suffix.lower() in SLIDES or is_zarr(path)


def sniff(head: bytes, where: str) -> str:
    """Name of the format, one of :data:`READABLE`, from the first bytes (512 are enough).

    Raises:
        InputError: empty, text, or a format that is not read; the message names what it is.
    """
    if not head:
        raise InputError(f"{where}: expected an image, got an empty file (0 bytes); fetch it again")
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(_TIFF):
        return "TIFF"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head.startswith(b"BM") and len(head) >= 18:
        return "BMP"
    raise InputError(f"{where}: expected {', '.join(READABLE)}, got {foreign(head)}; {_MEND}")


def foreign(head: bytes) -> str:
    """What a file that is none of :data:`READABLE` seems to be, from its first bytes."""
    for magic, name in _FOREIGN:
        if head.startswith(magic):
            return name
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return (
            "HEIC or AVIF"
            if brand in (b"heic", b"heix", b"mif1", b"avif", b"msf1")
            else "a video (MP4 family)"
        )
    if head[128:132] == b"DICM":
        return "DICOM"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<svg") or (text.startswith(b"<?xml") and b"<svg" in text):
        return "SVG (a drawing, not pixels)"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page (a failed download?)"
    if all(byte in b"\t\r\n\x0c\x1b" or 32 <= byte < 127 for byte in head):
        return f"text ({head[:24].decode('ascii')!r}…)"
    return f"an unknown format (first bytes {head[:8].hex(' ')})"


def read_header(kind: str, data: bytes, where: str) -> Header:
    """The header of a PNG, JPEG, WebP, BMP or GIF file.

    Raises:
        InputError: the header is damaged or cut off.
    """
    try:
        return {"PNG": _png, "JPEG": _jpeg, "WebP": _webp, "BMP": _bmp, "GIF": _gif}[kind](data, where)
    except (struct.error, IndexError):
        raise _damaged(where, kind, "the header ends too early") from None


def _damaged(where: str, kind: str, reason: str) -> InputError:
    return InputError(
        f"{where}: expected a whole {kind} file, got a damaged one: {reason}; fetch or save it again"
    )


def _png(data: bytes, where: str) -> Header:
    """Walks all chunks: sizes, CRCs, the end; finds frames, pHYs and eXIf on the way."""
    header = Header((0, 0))
    at = 8
    while True:
        if at + 12 > len(data):
            raise _damaged(where, "PNG", "it is cut off before its end (no IEND chunk)")
        length, name = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if at + 12 + length > len(data):
            raise _damaged(where, "PNG", f"it is cut off inside the chunk {name.decode('latin-1')!r}")
        (crc,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        # Ancillary chunks (lower-case first letter) may be damaged without harm to the pixels.
        if not name[0] & 32 and zlib.crc32(body, zlib.crc32(name)) != crc:
            raise _damaged(
                where, "PNG", f"chunk {name.decode('latin-1')!r} at byte {at} has a wrong checksum (CRC)"
            )
        if at == 8 and name != b"IHDR":
            raise _damaged(where, "PNG", "its first chunk is not IHDR")
        if name == b"IHDR":
            width, height, depth, colour, *methods = struct.unpack(">IIBBBBB", body)
            if depth not in _PNG_DEPTHS.get(colour, ()) or methods[:2] != [0, 0] or methods[2] > 1:
                raise _damaged(
                    where, "PNG", "its header names a depth, colour type or method that does not exist"
                )
            header.size = (height, width)
            # Of 16 bits Pillow keeps grey alone.
            header.interlaced = methods[2] == 1 and (depth < 16 or colour == 0)
        elif name == b"acTL":
            header.frames = struct.unpack(">I", body[:4])[0]
        elif name == b"pHYs" and length == 9 and body[8] == 1:
            header.per_metre = struct.unpack(">II", body[:8])
        elif name == b"eXIf":
            header.orientation = exif_orientation(body)
        elif name == b"IEND":
            break
        at += 12 + length
    return header


def _jpeg(data: bytes, where: str) -> Header:
    """Walks the marker segments up to the frame header (SOF)."""
    header = Header((0, 0))
    at = 2
    while True:
        while data[at] != 0xFF:  # stray bytes between segments; decoders skip them too
            at += 1
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        at += 1
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            continue
        if marker == 0xD9:
            raise _damaged(where, "JPEG", "it ends before any image data")
        (length,) = struct.unpack(">H", data[at : at + 2])
        body = data[at + 2 : at + length]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            precision, height, width, components = struct.unpack(">BHHB", body[:6])
            if precision != 8:
                raise InputError(f"{where}: expected an 8-bit JPEG, got {precision} bits; {_MEND}")
            header.size, header.components = (height, width), components
            return header
        if marker == 0xDA:
            raise _damaged(where, "JPEG", "its image data stands before its frame header")
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            header.orientation = exif_orientation(body[6:])
        if marker == 0xE2 and body.startswith(b"MPF\0"):
            header.notes.append("first picture of a multi-picture file")
        at += length


def _webp(data: bytes, where: str) -> Header:
    (declared,) = struct.unpack("<I", data[4:8])
    if declared + 8 > len(data):
        raise _damaged(where, "WebP", f"it is cut off ({len(data)} of {declared + 8} bytes)")
    kind = data[12:16]
    if kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (value & 0x3FFF for value in struct.unpack("<HH", data[26:30]))
    else:
        raise _damaged(where, "WebP", f"unknown first chunk {kind!r}")
    header = Header((height, width))
    at = 12
    while kind == b"VP8X" and at + 8 <= len(data):
        name, length = struct.unpack("<4sI", data[at : at + 8])
        if name == b"EXIF":
            header.orientation = exif_orientation(data[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0"))
        header.frames += name == b"ANMF"
        at += 8 + length + (length & 1)
    header.frames = max(1, header.frames - 1)
    return header


def _bmp(data: bytes, where: str) -> Header:
    (kind,) = struct.unpack("<I", data[14:18])
    width, height = struct.unpack("<HH", data[18:22]) if kind == 12 else struct.unpack("<ii", data[18:26])
    if width <= 0 or height == 0:
        raise _damaged(where, "BMP", f"its header says {width} x {height} pixels")
    return Header((abs(height), width))


def _gif(data: bytes, where: str) -> Header:
    width, height = struct.unpack("<HH", data[6:10])
    return Header((height, width))


def exif_orientation(exif: bytes) -> int:
    """Orientation 1..8 from an EXIF block (a small TIFF); 1 where it is absent or makes no sense."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 10:
        return 1
    (at,) = struct.unpack(order + "I", exif[4:8])
    if at + 2 > len(exif):
        return 1
    (count,) = struct.unpack(order + "H", exif[at : at + 2])
    for start in range(at + 2, min(at + 2 + 12 * count, len(exif) - 11), 12):
        tag, kind = struct.unpack(order + "HH", exif[start : start + 4])
        if tag == 0x0112 and kind == 3:
            (value,) = struct.unpack(order + "H", exif[start + 8 : start + 10])
            return value if 1 <= value <= 8 else 1
    return 1

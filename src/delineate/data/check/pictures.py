"""One image file: can it be read, is it of the annotated size, which way up is it, what does it look like."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from ..images import read, read_size
from ..records import Record
from ..sniff import read_header, sniff
from .finding import Finding
from .look import Look, look_of

HEADER = 1 << 16
"""So many bytes of a file are enough for the header of most."""


@dataclass(frozen=True)
class Picture:
    """What is known of an image file.

    Attributes:
        size: (height, width), upright.
        orientation: EXIF orientation 1..8.
        kind: such as ``uint8 RGB``; empty where the pixels were not looked at.
        digest: of the pixels; empty where they were not looked at.
        look: for telling whether another image looks the same; None where they were not looked at, or
            where nothing is to be seen.
    """

    size: tuple[int, int]
    orientation: int = 1
    kind: str = ""
    digest: str = ""
    look: Look | None = None


def check_picture(
    record: Record, channels: tuple[int, ...] | None, pixels: bool
) -> tuple[Picture | None, list[Finding]]:
    """What an image file is, and what is wrong with it.

    Args:
        record: the image and, where the dataset says it, its size.
        channels: which are read; None reads grey or RGB.
        pixels: decode it; without, only its header is read.
    """
    split = record.groups.get("split", "")
    try:
        picture, notes = _look(record.path, channels, pixels)
    except InputError as error:
        reason = str(error).removeprefix(f"{record.path}: ").split("; ")[0]
        return None, [Finding("unreadable", reason, record.name, split)]
    found = [Finding("damaged", note, record.name, split) for note in notes if note.startswith("suspect")]
    if pixels and picture.look is None and min(picture.size) > 1:
        found.append(Finding("blank", "all pixels are alike", record.name, split))
    found += _sizes(record, picture, split)
    return picture, found


def _look(path: Path, channels: tuple[int, ...] | None, pixels: bool) -> tuple[Picture, tuple[str, ...]]:
    turn = orientation(path)
    if not pixels:
        return Picture(read_size(path), turn), ()
    image = read(path, channels=channels)
    shape = "grey" if image.pixels.ndim == 2 else "RGB" if image.pixels.shape[2] == 3 else "channels"
    digest = hashlib.blake2b(np.ascontiguousarray(image.pixels).data, digest_size=16)
    digest.update(repr((image.pixels.shape, image.pixels.dtype.str)).encode())
    kind = f"{image.pixels.dtype} {shape}"
    return Picture(image.size, turn, kind, digest.hexdigest(), look_of(image.pixels)), image.notes


def orientation(path: Path) -> int:
    """The EXIF orientation 1..8 of an image file; 1 for a TIFF, whose own reader turns it.

    Raises:
        InputError: not there, not an image, or its header is damaged.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEADER)
            kind = sniff(head[:512], str(path))
            if kind == "TIFF":
                return 1
            if kind in ("JPEG", "BMP", "GIF"):
                try:
                    return read_header(kind, head, str(path)).orientation
                except InputError:
                    pass  # a header longer than most
            return read_header(kind, head + file.read(), str(path)).orientation
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: expected an image file, got {reason!r}; check the path") from None


def _sizes(record: Record, picture: Picture, split: str) -> list[Finding]:
    """The file's size against the annotation's, and what an EXIF rotation means for it."""
    turned = picture.orientation > 1
    if record.size is None or record.size == picture.size:
        if not turned:
            return []
        fits = record.size is not None and picture.orientation >= 5 and picture.size[0] != picture.size[1]
        doubt = "; the annotation fits it turned" if fits else "; look whether its objects lie right"
        return [Finding("exif", f"orientation {picture.orientation}{doubt}", record.name, split)]
    (height, width), (high, wide) = picture.size, record.size
    told = f"the file has {width} x {height} pixels, the annotation says {wide} x {high}"
    if turned and picture.size == record.size[::-1]:
        told += f" (EXIF orientation {picture.orientation})"
        return [Finding("rotated", told, record.name, split)]
    return [Finding("image-size", told, record.name, split)]


def grey(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """(H, W) float32 brightness of an image of any kind."""
    values = pixels.astype(np.float32)
    return values if values.ndim == 2 else values.mean(axis=2)

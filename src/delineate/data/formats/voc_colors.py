"""The colours of PASCAL VOC's pictures and what they number."""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError, InputError
from delineate.core.labels import Labels

from ..limits import MAX_PIXELS, check_size
from ..write import atomic
from .coco_panoptic import read_colors

VOID = 255
NAMES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""The 20 classes of 2012, numbers 1..20."""


def palette() -> NDArray[np.uint8]:
    """(256, 3) RGB of the numbers 0..255: their bits go to red, green and blue in turn, the lowest first.

    As in the development kit, ``VOClabelcolormap.m``; number 255, void, is (224, 224, 192).
    """
    numbers = np.arange(256)
    colors = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= (((numbers >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return colors


def keys(colors: NDArray[np.uint8]) -> NDArray[np.int64]:
    """One number for each colour (.., 3)."""
    wide = colors.astype(np.int64)
    return (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]


def read_numbers(path: Path, colors: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(H, W) numbers of a picture: of grey pixels themselves, of colours their place in ``colors``.

    Raises:
        DatasetError: not a PNG, or a colour that has no number.
    """
    indexed = _indexed(path)
    if indexed is not None:
        pixels, own = indexed
        return _numbers(own, colors, np.flatnonzero(np.bincount(pixels.ravel(), minlength=256)), path)[pixels]
    try:
        pixels = read_colors(path)
    except InputError as error:
        raise DatasetError(f"{path}: {error}") from None
    if pixels.ndim == 2:
        return pixels.astype(np.int64)
    values, at = np.unique(keys(pixels[..., :3]), return_inverse=True)
    own = np.stack([values >> 16, values >> 8 & 255, values & 255], axis=-1).astype(np.uint8)
    return _numbers(own, colors, np.arange(len(own)), path)[at].reshape(pixels.shape[:2])


def _indexed(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """(H, W) indices of a picture with a palette, and (256, 3) the palette; None of others, or damaged."""
    from PIL import Image

    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
            check_size(_png_size(head), path.name, MAX_PIXELS)
            file.seek(0)
            with Image.open(file, formats=["PNG"]) as picture:
                if picture.mode != "P":
                    return None
                palette = np.zeros((256, 3), np.uint8)
                given = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
                palette[: len(given)] = given
                return np.asarray(picture), palette
    except Exception:  # the slower reader says what is wrong
        return None


def _png_size(head: bytes) -> tuple[int, int]:
    """(height, width) of a PNG, from its header."""
    width, height = struct.unpack(">II", head[16:24])
    return height, width


def _numbers(
    own: NDArray[np.uint8], colors: NDArray[np.uint8], used: NDArray[np.int64], path: Path
) -> NDArray[np.int64]:
    """For each colour of a picture its place in ``colors``; 0 for those that are not used."""
    known = keys(colors)
    order = np.argsort(known, kind="stable")
    values = keys(own)
    found = order[np.minimum(np.searchsorted(known[order], values), len(known) - 1)]
    wrong = used[known[found[used]] != values[used]]
    if len(wrong):
        raise DatasetError(
            f"{path}: expected the colours of PASCAL VOC or of labelmap.txt, got "
            f"{tuple(own[wrong[0]].tolist())}; add the colour's class to labelmap.txt"
        )
    table = np.zeros(len(own), np.int64)
    table[used] = found[used]
    return table


def write_numbers(path: Path, numbers: NDArray[np.integer]) -> None:
    """Writes a picture with the palette; of numbers above 255 a 16-bit grey one."""
    from PIL import Image

    if numbers.max(initial=0) > VOID:
        data = imagecodecs.png_encode(numbers.astype(np.uint16))
        with atomic(path) as temporary:
            temporary.write_bytes(data)
        return
    picture = Image.fromarray(numbers.astype(np.uint8))
    picture.putpalette(palette().ravel().tolist())
    with atomic(path) as temporary:
        picture.save(temporary, format="PNG", compress_level=6)


def read_labelmap(path: Path) -> tuple[Labels, NDArray[np.uint8]] | None:
    """The classes of ``labelmap.txt``, and (256, 3) the colours of their ids; None where there is no file.

    A line is ``name:red,green,blue:parts:actions``; its number, from 0, is the class's id. ``background`` and
    ``ignored`` are no classes.

    Raises:
        DatasetError: a line of another form.
    """
    if not path.is_file():
        return None
    names, ids = [], []
    colors = palette()
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for number, line in enumerate(lines[:256]):
        name, _, rest = line.partition(":")
        parts = rest.split(":")[0].split(",")
        if len(parts) == 3 and all(p.strip().isdigit() and int(p) < 256 for p in parts):
            colors[number] = [int(p) for p in parts]
        elif parts != [""]:
            raise DatasetError(
                f"{path}: expected `name:red,green,blue:parts:actions`, got {line[:60]!r}; mend it"
            )
        if name not in ("background", "ignored", "void"):
            names.append(name)
            ids.append(number)
    return Labels(tuple(names), tuple(ids)), colors


def write_labelmap(path: Path, classes: Labels, numbers: list[int]) -> None:
    """Writes ``labelmap.txt``: the background, then a line for each number up to the last."""
    colors = palette().tolist()
    named = dict(zip(numbers, classes.names, strict=True))
    lines = ["# label:color_rgb:parts:actions"]
    for number in range(max([*numbers, 0]) + 1):
        name = "background" if number == 0 else named[number]
        red, green, blue = colors[number] if number < len(colors) else (0, 0, 0)
        lines.append(f"{name.replace(':', ' ')}:{red},{green},{blue}::")
    with atomic(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")

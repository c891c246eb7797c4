"""Masks that stand in a JSON file as a PNG: labelme and Supervisely."""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from dataclasses import dataclass

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import PngImagePlugin

from delineate.core.errors import InputError

from ..limits import MAX_PIXELS, check_size
from ..sniff import read_header, sniff
from .coco_check import Bad
from .drawn import Crop
from .json_file import show


@dataclass(frozen=True)
class PngMask:
    """A mask as the bytes of a PNG, with its top left pixel at ``corner`` (x, y).

    A pixel belongs to it where it is not transparent, or, in a PNG without transparency, not 0.
    """

    data: bytes
    corner: tuple[int, int]
    where: str

    def crop(self, size: tuple[int, int]) -> Crop:
        """The mask, (h, w) bool, and its corner.

        Raises:
            Bad: the PNG is damaged.
        """
        del size
        return foreground(self.data, self.where), self.corner


def from_base64(text: object, where: str, packed: bool = False) -> bytes:
    """The bytes of a PNG whose header was looked at.

    Args:
        text: base64, of the PNG or (``packed``) of its zlib stream.
        where: its place in the file.
        packed: whether zlib was applied to the PNG.

    Raises:
        Bad: not base64, not a PNG, or one of too many pixels; nothing was decoded then.
    """
    if not isinstance(text, str) or not text:
        raise Bad(f"{where}: expected a mask as base64 text, got {show(text)}")
    try:
        data = base64.b64decode(text, validate=True)
        if packed:
            stream = zlib.decompressobj()
            limit = 2**20 + 100 * len(data)  # a PNG is packed already
            data = stream.decompress(data, limit)
            if stream.unconsumed_tail:
                raise Bad(f"{where}: expected a PNG of at most {limit} bytes, got a larger one")
    except (binascii.Error, zlib.error, ValueError) as error:
        raise Bad(
            f"{where}: expected a mask as base64 of a {'zlib stream' if packed else 'PNG'}, got {error}"
        ) from None
    try:
        kind = sniff(data[:512], where)
        header = read_header(kind, data, where)
        if kind != "PNG":
            raise Bad(f"{where}: expected a PNG, got {kind}")
        check_size(header.size, where, MAX_PIXELS)
    except InputError as error:
        raise Bad(str(error).split(";")[0]) from None
    return data


def foreground(data: bytes, where: str) -> NDArray[np.bool_]:
    """(h, w) bool of a PNG whose header was checked.

    Raises:
        Bad: it is damaged.
    """
    try:
        with PngImagePlugin.PngImageFile(io.BytesIO(data)) as image:
            image.load()
            pixels = np.asarray(image)
            seen = image.info.get("transparency")
            mode = image.mode
    except Exception as error:  # decoders raise whatever they like on damaged data
        raise Bad(f"{where}: expected a whole PNG, got a damaged one: {error}") from None
    if mode in ("RGBA", "LA", "PA"):
        return np.asarray(pixels[:, :, -1] > 0)
    if mode == "P" and isinstance(seen, bytes):
        opaque = np.full(256, 255, np.uint8)
        opaque[: len(seen)] = np.frombuffer(seen, np.uint8)
        return np.asarray(opaque[pixels] > 0)
    if isinstance(seen, int):
        return np.asarray(pixels != seen)
    return np.asarray(pixels > 0) if pixels.ndim == 2 else np.asarray((pixels > 0).any(axis=2))


def to_png(mask: NDArray[np.bool_]) -> bytes:
    """A grey PNG of 0 and 1, as labelme writes it."""
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(mask, np.uint8), level=6))


def to_base64(data: bytes) -> str:
    """ASCII text of bytes."""
    return base64.b64encode(data).decode("ascii")

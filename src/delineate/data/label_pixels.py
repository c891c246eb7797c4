"""The numbers of a label image as stored, without the colours that a viewer would make of them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, GifImagePlugin, PngImagePlugin

from delineate.core.errors import InputError

from .png import decode_png

_MEND = "give a grey or palette picture whose values are the instance ids"


def stored_numbers(source: bytes | NDArray[Any], where: str, kind: str = "TIFF") -> NDArray[Any]:
    """(H, W) numbers of the file's own type.

    Args:
        source: the file's bytes, or a TIFF page already decoded without colours.
        where: the file's name for messages.
        kind: format of the bytes.

    Raises:
        InputError: a colour picture, a lossy format, damaged data.
    """
    pixels = source if isinstance(source, np.ndarray) else _decoded(source, where, kind)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim != 2:
        raise InputError(
            f"{where}: expected one number per pixel, got {pixels.shape[2]} colour channels; {_MEND} "
            "(a stack: one page a slice)"
        )
    return pixels


def _decoded(data: bytes, where: str, kind: str) -> NDArray[Any]:
    if kind in ("JPEG", "WebP"):
        raise InputError(
            f"{where}: expected instance ids in PNG or TIFF, got {kind}, which blurs numbers; {_MEND}"
        )
    try:
        depth, colour = (data[24], data[25]) if kind == "PNG" else (8, 0)
        if kind == "PNG" and colour != 3:
            pixels = decode_png(data)
            # Decoders stretch 1, 2 and 4 bits to 0..255.
            return pixels // np.uint8(255 // (2**depth - 1)) if depth < 8 else pixels
        plugin: Any = {
            "PNG": PngImagePlugin.PngImageFile,
            "GIF": GifImagePlugin.GifImageFile,
            "BMP": BmpImagePlugin.BmpImageFile,
        }[kind]
        with plugin(io.BytesIO(data)) as image:
            image.load()
            return np.asarray(image)
    except Exception as error:  # decoders raise whatever they like on damaged data
        raise InputError(
            f"{where}: expected a whole {kind} file, got a damaged one: {error}; save it again"
        ) from None

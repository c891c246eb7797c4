"""Decoders of the single-picture formats: PNG, JPEG, WebP, BMP, GIF. A decoder that complains is heard.

Each format goes to the one library that neither returns half a picture as success nor prints its doubts
where nobody reads them; the header has been checked by :mod:`delineate.data.sniff` before.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from delineate.core.errors import InputError

from .png import decode_png
from .sniff import Header

SUSPECT = "suspect"
"""Notes that begin with this word tell of pixels that may be wrong."""


def decode(kind: str, data: bytes, header: Header, where: str) -> tuple[NDArray[Any], list[str]]:
    """The stored pixels and what is to be said of them.

    Args:
        kind: PNG, JPEG, WebP, BMP or GIF, as :func:`~delineate.data.sniff.sniff` told.
        data: the whole file.
        header: as read by :func:`~delineate.data.sniff.read_header`.
        where: the file's name for messages.

    Returns:
        (H, W) or (H, W, C) with C in 2 (grey + alpha), 3 (RGB), 4 (RGB + alpha); uint8 or uint16; notes.

    Raises:
        InputError: damaged or cut off; the message gives the decoder's reason.
    """
    decoder = {"PNG": _png, "JPEG": _jpeg}.get(kind)
    try:
        pixels, notes = decoder(data, header) if decoder else _pillow(kind, data)
    except MemoryError:
        raise InputError(
            f"{where}: expected an image that fits into memory, got {header.size}; crop it"
        ) from None
    except Exception as error:  # decoders raise whatever they like on damaged data
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{where}: expected a whole {kind} file, got a damaged one: {reason}; fetch or save it again"
        ) from None
    if pixels.shape[:2] != header.size:
        raise InputError(
            f"{where}: expected {header.size} pixels (height, width) as its header says, "
            f"got {pixels.shape[:2]}; save it again"
        )
    return pixels, header.notes + notes


def _png(data: bytes, header: Header) -> tuple[NDArray[Any], list[str]]:
    notes = [f"first of {header.frames} frames"] if header.frames > 1 else []
    if header.interlaced:  # imagecodecs reads it too, but libpng then prints a warning
        pixels, more = _pillow("PNG", data)
        return pixels, notes or more
    return decode_png(data), notes


def _jpeg(data: bytes, header: Header) -> tuple[NDArray[Any], list[str]]:
    if header.components not in (1, 3, 4):
        raise ValueError(f"{header.components} colour components")
    colorspace = {1: "Gray", 3: "RGB", 4: "CMYK"}[header.components]
    notes = []
    try:
        simplejpeg.decode_jpeg_header(data)
    except ValueError:  # legal but rare chroma sampling, which TurboJPEG does not know
        return _pillow("JPEG", data)
    try:
        pixels = simplejpeg.decode_jpeg(data, colorspace=colorspace, strict=True)
    except ValueError as error:
        if "premature end" in str(error).lower():
            raise
        # Anything else that TurboJPEG survives: the pixels after the damage may be displaced or miscoloured.
        pixels = simplejpeg.decode_jpeg(data, colorspace=colorspace, strict=False)
        notes.append(f"{SUSPECT}: the JPEG decoder says {str(error).strip()!r}")
    if colorspace == "CMYK":
        notes.append("CMYK converted to RGB")
        return cmyk_to_rgb(255 - pixels), notes  # stored inverted, as Adobe does and all readers assume
    return (pixels[:, :, 0] if pixels.shape[2] == 1 else pixels), notes


def _pillow(kind: str, data: bytes) -> tuple[NDArray[Any], list[str]]:
    # The plugin's class and not Image.open: no other plugin may have a try, and no bomb warning is raised
    # (the size was checked before).
    plugins: dict[str, Any] = {
        "PNG": PngImagePlugin.PngImageFile,
        "JPEG": JpegImagePlugin.JpegImageFile,
        "WebP": WebPImagePlugin.WebPImageFile,
        "BMP": BmpImagePlugin.BmpImageFile,
        "GIF": GifImagePlugin.GifImageFile,
    }
    notes = []
    with plugins[kind](io.BytesIO(data)) as image:
        image.load()
        pixels = np.asarray(_plain(image))
        if getattr(image, "is_animated", False):
            notes.append(f"first of {image.n_frames if kind == 'WebP' else 'several'} frames")
    return pixels, notes


def _plain(image: Image.Image) -> Image.Image:
    """Palette, CMYK and bilevel pictures as L or RGB(A)."""
    image.info.pop("transparency", None)
    if image.mode in ("L", "RGB", "RGBA", "LA", "I;16"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def cmyk_to_rgb(cmyk: NDArray[Any]) -> NDArray[Any]:
    """(H, W, 4) ink amounts (0 is no ink; uint8 or uint16) as RGB of the same type, without a profile."""
    top = np.iinfo(cmyk.dtype).max
    ink = cmyk[:, :, :3].astype(np.float32) / top
    light = top - cmyk[:, :, 3:].astype(np.float32)
    return np.rint((1 - ink) * light).astype(cmyk.dtype)

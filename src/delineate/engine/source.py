"""Whatever a user holds as an image, as plain pixels."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from delineate.core.errors import InputError
from delineate.data.images import plain_type, read
from delineate.data.limits import MAX_PIXELS

PLAIN_MODES = ("1", "L", "LA", "I", "F", "RGB", "RGBA")
"""PIL's modes whose values are the pixels; palettes, CMYK and the like become RGB."""

Channels = int | Sequence[int]


def pixels_of(
    source: Any,
    *,
    channels: Channels | None = None,
    page: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> NDArray[Any]:
    """(H, W) or (H, W, 3) uint8, uint16 or float32 pixels.

    Args:
        source: a path, a file's bytes or an open file; an (H, W) or (H, W, C) array; a PIL image; a
            (C, H, W) or (H, W) tensor. Alpha is left out.
        channels: one or three channels to take, from 0.
        page: of a multi-page file, from 0.
        max_pixels: refuse larger files.

    Raises:
        InputError: not an image, no pixels, NaN or infinity, or a number of channels that is neither 1 nor 3.
    """
    if isinstance(source, np.ndarray | Image.Image) or _is_tensor(source):
        if page:
            raise InputError(f"image: expected no page for pixels in memory, got {page}; leave it out")
        return _check(_array(source), channels)
    if not isinstance(source, str | Path | bytes) and not hasattr(source, "read"):
        raise InputError(
            f"image: expected a path, array, PIL image or tensor, got {type(source).__name__}; convert it"
        )
    pixels = read(source, channels=channels, page=page, max_pixels=max_pixels).pixels
    return _check(pixels, None)


def _is_tensor(source: Any) -> bool:
    """A tensor of PyTorch, which may not be installed; where there is one, it is loaded."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.Tensor)


def _array(source: Any) -> NDArray[Any]:
    if _is_tensor(source):
        tensor = source.detach().cpu()
        return np.asarray(tensor.permute(1, 2, 0) if tensor.ndim == 3 else tensor)
    if isinstance(source, Image.Image):
        upright = ImageOps.exif_transpose(source)
        if upright.mode not in ("1", "L", "LA", "I", "F", "RGB", "RGBA") and not upright.mode.startswith(
            "I;"
        ):
            upright = upright.convert("RGB")
        pixels = np.asarray(upright)
        return pixels[:, :, 0] if upright.mode == "LA" else pixels
    return np.asarray(source)


def _check(pixels: NDArray[Any], channels: Channels | None) -> NDArray[Any]:
    shape = pixels.shape
    if pixels.ndim not in (2, 3) or 0 in shape:
        raise InputError(
            f"image: expected pixels (H, W) or (H, W, C), got an array of shape {shape}; reshape it"
        )
    if pixels.dtype.kind not in "buif":
        raise InputError(f"image: expected numbers, got {pixels.dtype}; convert them to uint8 or float32")
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise InputError(
            "image: expected finite pixels, got NaN or infinity; replace them, np.nan_to_num does"
        )
    pixels = _choose(pixels, channels)
    return np.ascontiguousarray(plain_type(pixels, "image")[0])


def _choose(pixels: NDArray[Any], channels: Channels | None) -> NDArray[Any]:
    """One channel, or three."""
    stored = pixels[:, :, None] if pixels.ndim == 2 else pixels
    count = stored.shape[2]
    if channels is not None:
        wanted = (channels,) if isinstance(channels, int) else tuple(channels)
        if len(wanted) not in (1, 3) or not all(0 <= c < count for c in wanted):
            raise InputError(
                f"image, channels: expected one or three of 0..{count - 1}, got {list(wanted)}; choose others"
            )
        stored = stored[:, :, wanted]
    elif count == 4 and pixels.dtype == np.uint8:
        stored = stored[:, :, :3]  # RGBA
    elif count not in (1, 3):
        first = pixels.shape[0] in (1, 3, 4) and count > 4
        mend = (
            "move the channels last: image.transpose(1, 2, 0)" if first else "choose with channels=(0, 1, 2)"
        )
        raise InputError(f"image: expected 1 or 3 channels (H, W, C), got shape {pixels.shape}; {mend}")
    return stored[:, :, 0] if stored.shape[2] == 1 else stored

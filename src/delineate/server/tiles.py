"""Tiles and thumbnails: any part of an image at any scale, as eight bits for the screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import imagecodecs
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .pyramid import TILE, Pyramid, levels


@dataclass(frozen=True)
class View:
    """How values become brightness.

    Attributes:
        channel: one channel, or None for all.
        low: the value that is black; None takes the image's own.
        high: the value that is white.
        gamma: brightness is the share between them to the power of 1 / gamma.
    """

    channel: int | None = None
    low: float | None = None
    high: float | None = None
    gamma: float = 1.0


def tile(pyramid: Pyramid, level: int, column: int, row: int, view: View) -> NDArray[np.uint8]:
    """One tile, (h, w) or (h, w, 3); those at the right and bottom edge are smaller.

    Raises:
        InputError: outside the image.
    """
    count = levels(pyramid.size)
    if not 0 <= level < count:
        raise InputError(f"tile: expected a level in 0..{count - 1}, got {level}; see the image's levels")
    height, width = pyramid.level_size(level)
    x, y = column * TILE, row * TILE
    if not (0 <= x < width and 0 <= y < height):
        raise InputError(f"tile: expected one of the image, got column {column}, row {row}; it has fewer")
    pixels = pyramid.window(level, x, y, min(x + TILE, width), min(y + TILE, height))
    return shown(pixels, view, pyramid)


def shown(pixels: NDArray[Any], view: View, pyramid: Pyramid) -> NDArray[np.uint8]:
    """Values as the screen shows them, (h, w) grey or (h, w, 3) RGB."""
    channels = pixels.shape[2]
    if view.channel is not None and not 0 <= view.channel < channels:
        raise InputError(
            f"channel: expected one in 0..{channels - 1}, got {view.channel}; choose one of them"
        )
    if view.channel is not None:
        return _stretch(pixels[:, :, view.channel], pyramid.ranges[view.channel], view)
    if channels == 1:
        return _stretch(pixels[:, :, 0], pyramid.ranges[0], view)
    if pyramid.colour:
        plain = pixels.dtype == np.uint8 and view.low is None and view.high is None and view.gamma == 1
        if plain:
            return np.ascontiguousarray(pixels[:, :, :3])
        low = 0.0 if pixels.dtype == np.uint8 else min(r[0] for r in pyramid.ranges)
        high = 255.0 if pixels.dtype == np.uint8 else max(r[1] for r in pyramid.ranges)
        return np.dstack([_stretch(pixels[:, :, k], (low, high), view) for k in range(3)])
    total = np.zeros((*pixels.shape[:2], 3), np.float32)
    for k in range(min(channels, len(_DYES))):
        total += _stretch(pixels[:, :, k], pyramid.ranges[k], view)[:, :, None] * _DYES[k]
    return np.minimum(total, 255).astype(np.uint8)


# Colours of fluorescence channels that are told apart by most eyes: blue, green, magenta, yellow, cyan, grey.
_DYES = np.array(
    [[0.3, 0.4, 1], [0, 1, 0.2], [1, 0, 0.8], [1, 0.8, 0], [0, 1, 1], [0.7, 0.7, 0.7]], np.float32
)


def _stretch(plane: NDArray[Any], found: tuple[float, float], view: View) -> NDArray[np.uint8]:
    low = found[0] if view.low is None else view.low
    high = found[1] if view.high is None else view.high
    if plane.dtype == np.uint8 and (low, high, view.gamma) == (0.0, 255.0, 1.0):
        return np.ascontiguousarray(plane)
    share = np.clip((plane.astype(np.float32) - low) / max(high - low, 1e-9), 0, 1)
    if view.gamma != 1:
        share = share ** (1 / view.gamma)
    return np.asarray(share * 255 + 0.5).astype(np.uint8)


def encode(pixels: NDArray[np.uint8], lossless: bool) -> tuple[bytes, str]:
    """A picture's bytes and media type: PNG where every pixel must be exact, else JPEG."""
    if lossless:
        return bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels), level=1)), "image/png"
    plain = np.ascontiguousarray(pixels if pixels.ndim == 3 else pixels[:, :, None])
    space = "RGB" if plain.shape[2] == 3 else "Gray"
    sampling = "444" if space == "RGB" else "Gray"
    return simplejpeg.encode_jpeg(plain, 90, space, sampling), "image/jpeg"


def thumbnail(pyramid: Pyramid, side: int) -> NDArray[np.uint8]:
    """The whole image within ``side`` x ``side`` pixels."""
    level, (height, width) = 0, pyramid.size
    while level + 1 < levels(pyramid.size) and max(pyramid.level_size(level + 1)) >= side:
        level += 1
    rows, columns = pyramid.level_size(level)
    picture = shown(pyramid.window(level, 0, 0, columns, rows), View(), pyramid)
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)

"""What can be done to objects and to what lies behind them, picture by picture.

Pictures are (H, W, 3) uint8 RGB and stay as they are given; alpha is (H, W) float32 in 0..1. Colours are
mixed as they are stored (sRGB), as cameras' and other programs' alpha is meant.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]
Colour = tuple[int, int, int]


def colour(text: str) -> Colour:
    """A colour by its name (``teal``), ``#rrggbb`` or ``rgb(1,2,3)``.

    Raises:
        InputError: no colour.

    Example:
        >>> colour("#ff8000")
        (255, 128, 0)
    """
    from PIL import ImageColor

    try:
        red, green, blue, *_ = ImageColor.getrgb(text.strip())
    except ValueError:
        raise InputError(f"{text!r}: expected a colour such as teal or #ff8000; choose one") from None
    return red, green, blue


def over(front: Picture, alpha: Floats, back: Picture) -> Picture:
    """One picture laid over another by its alpha."""
    mixed = np.array(back, order="C")
    cv2.copyTo(np.ascontiguousarray(front), (alpha == 1).astype(np.uint8), mixed)
    soft = (alpha > 0) & (alpha < 1)
    share = alpha[soft][:, None]
    mixed[soft] = np.rint(front[soft] * share + back[soft] * (1 - share)).astype(np.uint8)
    return mixed


def blurred(picture: Picture, sigma: float, hide: Floats | None = None) -> Picture:
    """The picture out of focus.

    Args:
        picture: (H, W, 3) uint8.
        sigma: of the Gaussian, pixels.
        hide: alpha of what must not run into its surroundings, as a person in front would as a halo: the blur
            there is of what lies around alone.
    """
    height, width = picture.shape[:2]
    step = max(1.0, sigma / 3)  # a wide blur has no fine detail: it is made on a smaller picture
    size = (max(1, round(width / step)), max(1, round(height / step)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    if hide is None or not hide.any():
        soft = cv2.GaussianBlur(small, (0, 0), max(0.3, sigma / step), borderType=cv2.BORDER_REFLECT)
    else:
        weight = np.float32(1.0005) - np.asarray(cv2.resize(hide, size, interpolation=cv2.INTER_AREA))
        weight = np.where(weight < 0.95, weight**4, weight)  # mixed pixels hold some of the object's colour
        parts = np.concatenate([small * weight[..., None], weight[..., None]], -1)
        parts = cv2.GaussianBlur(parts, (0, 0), max(0.3, sigma / step), borderType=cv2.BORDER_REFLECT)
        soft = parts[..., :3] / np.maximum(parts[..., 3:], 1e-12)
    large = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(np.rint(large), 0, 255).astype(np.uint8)


def spotlight(picture: Picture, alpha: Floats, darkness: float = 0.65) -> Picture:
    """All but the objects darkened by ``darkness`` (0..1), with a soft rim of light."""
    rim = max(1.0, max(alpha.shape) / 120)
    light = np.maximum(alpha, cv2.GaussianBlur(alpha, (0, 0), rim))
    return np.rint(picture * (1 - darkness * (1 - light))[..., None]).astype(np.uint8)


def outline(picture: Picture, alpha: Floats, tint: Colour, width: float = 3.0) -> Picture:
    """A line of ``width`` pixels around the objects, just outside, with smooth edges."""
    inside = alpha > 0.5
    if not inside.any():
        return picture.copy()
    away = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5)
    line = np.clip(width + 0.5 - away, 0, 1) * np.where(inside, 0, 1) * (1 - alpha * (away < 1))
    return over(np.broadcast_to(np.array(tint, np.uint8), picture.shape), line.astype(np.float32), picture)


def pixelate(picture: Picture, mask: NDArray[np.bool_], block: int) -> Picture:
    """Every block of ``block`` pixels that the mask touches becomes one colour, the block's average.

    The blocks lie on a grid fixed to the picture, and whole blocks change: no original pixel of the object is
    left at its edge. What remains is ``1 / block**2`` of the detail; this is no proof against recognition by
    clothes, gait or place.
    """
    if block < 2:
        raise InputError(f"pixelate: expected blocks of at least 2 pixels, got {block}; give for example 16")
    height, width = mask.shape
    rows, columns = -(-height // block), -(-width // block)
    padded = np.pad(mask, ((0, rows * block - height), (0, columns * block - width)))
    touched = padded.reshape(rows, block, columns, block).any(axis=(1, 3))
    if not touched.any():
        return picture.copy()
    wide = cv2.copyMakeBorder(
        picture, 0, rows * block - height, 0, columns * block - width, cv2.BORDER_REPLICATE
    )
    means = cv2.resize(wide, (columns, rows), interpolation=cv2.INTER_AREA)
    coarse = np.repeat(np.repeat(means, block, 0), block, 1)[:height, :width]
    chosen = np.repeat(np.repeat(touched, block, 0), block, 1)[:height, :width]
    return np.where(chosen[..., None], coarse, picture).astype(np.uint8)


def recolour(picture: Picture, alpha: Floats, tint: Colour) -> Picture:
    """The objects in another colour, their light and shade kept (CIE L*a*b*: lightness stays, a* and b*
    become those of the tint, weaker where it is very light or dark)."""
    if not alpha.any():
        return picture.copy()
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    goal = cv2.cvtColor(np.array([[tint]], np.float32) / 255, cv2.COLOR_RGB2LAB)[0, 0]
    lightness = lab[..., 0]
    room = np.clip(1 - np.abs(lightness - 50) / 50, 0, 1) ** 0.5
    lab[..., 1], lab[..., 2] = goal[1] * room, goal[2] * room
    changed = np.clip(np.rint(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255), 0, 255).astype(np.uint8)
    return over(changed, alpha, picture)


def cover(picture: Picture, size: tuple[int, int]) -> Picture:
    """A picture scaled to fill (height, width), its middle kept, what is too much cut off evenly."""
    height, width = size
    high, wide = picture.shape[:2]
    scale = max(height / high, width / wide)
    if high * wide * scale**2 > 16 * height * width:  # long and thin: what would be cut off is never made
        tall, broad = min(high, math.ceil(height / scale) + 2), min(wide, math.ceil(width / scale) + 2)
        top, left = (high - tall) // 2, (wide - broad) // 2
        picture, high, wide = picture[top : top + tall, left : left + broad], tall, broad
    inner = (max(height, round(high * scale)), max(width, round(wide * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = picture if inner == (high, wide) else cv2.resize(picture, inner[::-1], interpolation=how)
    top, left = (inner[0] - height) // 2, (inner[1] - width) // 2
    return np.ascontiguousarray(scaled[top : top + height, left : left + width])

"""How a synthetic scene looks: textures, light, lens and sensor."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .layout import Layout, SceneSettings
from .pixels import Cover, Flat

TILE = 256  # side in pixels of the textures, which repeat


class Style(NamedTuple):
    """What all objects of a scene share.

    Attributes:
        ground: (3,) RGB of the background, 0..1.
        ink: (3,) RGB of the objects.
        spread: (3,) how far single objects are from it.
        grain: strength of the objects' texture; the background has a like one.
        coarse: pixels of the texture to one of the picture's; small makes large spots.
        rim: how much darker (or, below 0, lighter) an object is towards its edge.
        width: how far from the edge that reaches, in pixels.
        light: (2,) slope of the brightness across an object.
        core: how much darker a spot inside it is; 0: none.
        gradient: (2,) slope of the brightness across the picture.
        corner: (2,) where in the texture the background begins, pixels.
    """

    ground: Flat
    ink: Flat
    spread: Flat
    grain: float
    coarse: float
    rim: float
    width: float
    light: Flat
    core: float
    gradient: Flat
    corner: tuple[int, int]


def style(settings: SceneSettings, rng: np.random.Generator) -> Style:
    """A random style; the same numbers are drawn whatever the settings."""
    r = rng.random(16)
    tint = (rng.random((2, 3)) - 0.5) * 0.3 * r[0]
    gap = 0.08 + 0.55 * settings.contrast * (0.6 + 0.4 * r[1])
    bright = r[2] < 0.5  # objects lighter than the background, or darker
    ground = 0.12 + 0.2 * r[3] if bright else 0.88 - 0.2 * r[3]
    ink = ground + (gap if bright else -gap)
    turn = 2 * np.pi * r[4]
    return Style(
        ground=(ground + tint[0]).astype(np.float32),
        ink=(ink + tint[1]).astype(np.float32),
        spread=np.full(3, 0.35 * (1 - settings.likeness) + 0.015, dtype=np.float32),
        grain=0.05 + 0.07 * r[5],
        coarse=0.6 + 1.2 * r[6],
        rim=-0.25 + 0.55 * r[7],
        width=1.5 + 3.5 * r[8],
        light=(np.array([np.cos(turn), np.sin(turn)]) * 0.12 * r[9]).astype(np.float32),
        core=max(0.0, 0.7 * r[10] - 0.35),
        gradient=((np.array([r[11], r[12]]) - 0.5) * 0.3).astype(np.float32),
        corner=(int(r[13] * TILE), int(r[14] * TILE)),
    )


@lru_cache(maxsize=1)
def texture() -> Flat:
    """(TILE, TILE) cloudy noise that repeats, mean 0 and deviation 1, made once."""
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None]) * TILE
    white = np.fft.rfft2(np.random.default_rng(0).standard_normal((TILE, TILE)))
    cloudy = np.fft.irfft2(white / (1 + (frequency / 12) ** 1.6), s=(TILE, TILE))
    cloudy -= cloudy.mean()
    result: Flat = (cloudy / cloudy.std()).astype(np.float32)
    result.flags.writeable = False
    return result


def paint(
    layout: Layout,
    found: Cover,
    look: Style,
    settings: SceneSettings,
    rng: np.random.Generator,
    shake: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.uint8]:
    """The picture of a layout, back to front, (H, W, 3) uint8 RGB.

    Args:
        layout: N objects, the front one first.
        found: their pixels.
        look: what they share.
        settings: lens, sensor, likeness.
        rng: of the sensor's noise.
        shake: how far the background is moved, xy pixels.
    """
    canvas = background(look, found.size, shake)
    colors = _colors(layout, found, look)
    alpha = np.clip(np.float32(0.5) - found.distance, 0, 1)[:, None]  # coverage of the pixel by the object
    for i in range(len(layout) - 1, -1, -1):
        window = canvas[found.window(i)]
        window += found.crop(alpha, i) * (found.crop(colors, i) - window)
    height, width = found.size
    slope = look.gradient
    canvas *= (1 + slope[1] * np.linspace(-1, 1, height, dtype=np.float32))[:, None, None]
    canvas *= (1 + slope[0] * np.linspace(-1, 1, width, dtype=np.float32))[None, :, None]
    if settings.blur > 0:
        cv2.GaussianBlur(canvas, (0, 0), settings.blur, dst=canvas, borderType=cv2.BORDER_REFLECT_101)
    if settings.noise > 0:
        canvas += rng.standard_normal(canvas.shape, dtype=np.float32) * np.float32(settings.noise)
    return np.clip(canvas * 255 + 0.5, 0, 255).astype(np.uint8)


def background(look: Style, size: tuple[int, int], shake: tuple[float, float] = (0.0, 0.0)) -> Flat:
    """(H, W, 3) float32 of the ground alone."""
    height, width = size
    column = np.floor((np.arange(width) - shake[0]) * look.coarse).astype(np.int64) + look.corner[0]
    row = np.floor((np.arange(height) - shake[1]) * look.coarse).astype(np.int64) + look.corner[1]
    cloud = texture()[(row % TILE)[:, None], (column % TILE)[None]]
    return look.ground + np.float32(look.grain * 0.8) * cloud[:, :, None]


def _colors(layout: Layout, found: Cover, look: Style) -> Flat:
    """(P, 3) colour of each object's pixels, as if it were whole."""
    owner = found.owner
    own = (look.ink + look.spread * (2 * layout.looks[:, 1:4] - 1)).astype(np.float32)  # (N, 3)
    scale = np.float32(look.coarse) * layout.radii.astype(np.float32)[owner]
    corner = (layout.looks[:, 4:6] * TILE).astype(np.float32)
    column = (found.u * scale + corner[owner, 0]).astype(np.int64)
    row = (found.v * scale + corner[owner, 1]).astype(np.int64)
    shade = np.float32(look.grain) * texture()[row % TILE, column % TILE]
    edge = np.clip(1 + found.distance / np.float32(look.width), 0, 1)  # 1 at the outline, 0 inside
    shade -= np.float32(look.rim) * edge * edge
    shade += look.light[0] * found.u + look.light[1] * found.v
    if look.core:
        away = (found.u - np.float32(0.1)) ** 2 + (found.v + np.float32(0.05)) ** 2
        shade -= np.float32(look.core) * np.clip(1.6 - away * 8, 0, 1).astype(np.float32)
    result: Flat = own[owner] * (1 + shade)[:, None]
    return result

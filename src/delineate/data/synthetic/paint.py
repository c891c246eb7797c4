"""How a synthetic scene looks: textures, light, lens and sensor."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .layout import Layout, SceneSettings
from .pixels import Cover, Flat
from .shapes import SHAPES

TILE = 256  # side in pixels of the texture, which repeats


class Style(NamedTuple):
    """What all objects of a scene share. Colours are RGB where 1 is white, brightnesses parts of the colour.

    Attributes:
        ground: (3,) the background.
        ink: (3,) the objects.
        parts: (2, 3) heads and legs of persons.
        spread: how far the brightness of single objects is from the others'; their hue a quarter of that.
        grain: strength of the texture of objects and background.
        coarse: pixels of the texture to one of the picture's; small makes large spots.
        rim: how much darker (or, below 0, lighter) an object is towards its edge.
        width: how far from the edge that reaches, in pixels.
        light: (2,) slope of the brightness across an object.
        core: how much darker (or lighter) a spot inside it is; 0: none.
        gradient: (2,) slope of the brightness across the picture.
        corner: (2,) where in the texture the background begins, pixels.
    """

    ground: Flat
    ink: Flat
    parts: Flat
    spread: float
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
    tints = (rng.random((4, 3)) - 0.5) * (0.1 + 0.3 * r[0])
    gap = 0.06 + 0.5 * settings.contrast * (0.5 + 0.5 * r[1])
    lighter = r[2] < 0.5  # the objects than the background
    ground = 0.1 + 0.3 * r[3] if lighter else 0.9 - 0.3 * r[3]
    ink = ground + (gap if lighter else -gap)
    turn = 2 * np.pi * r[4]
    parts = (ground + (ink - ground) * np.array([[0.8], [0.65]])) * (1 + tints[2:])
    return Style(
        ground=_color(ground * (1 + tints[0])),
        ink=_color(ink * (1 + tints[1])),
        parts=_color(parts),
        spread=0.4 * (1 - settings.likeness) + 0.02,
        grain=0.04 + 0.09 * r[5],
        coarse=0.35 + 0.8 * r[6],
        rim=-0.2 + 0.6 * r[7],
        width=1.5 + 4.0 * r[8],
        light=(np.array([np.cos(turn), np.sin(turn)]) * 0.2 * r[9]).astype(np.float32),
        core=(r[10] - 0.3) * 0.4 if r[10] > 0.5 else 0.0,
        gradient=((np.array([r[11], r[12]]) - 0.5) * 0.4).astype(np.float32),
        corner=(int(r[13] * TILE), int(r[14] * TILE)),
    )


def _color(values: NDArray[np.float64]) -> Flat:
    return np.clip(values, 0.02, 0.98).astype(np.float32)


@lru_cache(maxsize=1)
def texture() -> Flat:
    """(TILE, TILE) cloudy noise that repeats, mean 0 and deviation 1, made once."""
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None]) * TILE
    white = np.fft.rfft2(np.random.default_rng(0).standard_normal((TILE, TILE)))
    cloudy = np.fft.irfft2(white / (1 + (frequency / 14) ** 1.8), s=(TILE, TILE))
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
    down, across = (np.linspace(-1, 1, n, dtype=np.float32) for n in (height, width))
    light = (1 + look.gradient[1] * down)[:, None] + look.gradient[0] * across
    canvas *= light[:, :, None]
    if settings.blur > 0:
        cv2.GaussianBlur(canvas, (0, 0), settings.blur, dst=canvas, borderType=cv2.BORDER_REFLECT_101)
    if settings.noise > 0:
        grey = rng.standard_normal((height, width), dtype=np.float32) * np.float32(settings.noise)
        canvas += grey[:, :, None]
    canvas *= 255
    rounded: NDArray[np.uint8] = cv2.convertScaleAbs(np.maximum(canvas, 0, out=canvas))  # type: ignore[assignment]
    return rounded  # 255 at most


def background(look: Style, size: tuple[int, int], shake: tuple[float, float] = (0.0, 0.0)) -> Flat:
    """(H, W, 3) float32 of the ground alone."""
    height, width = size
    column = np.floor((np.arange(width) - shake[0]) * look.coarse).astype(np.int64) + look.corner[0]
    row = np.floor((np.arange(height) - shake[1]) * look.coarse).astype(np.int64) + look.corner[1]
    cloud = texture()[(row % TILE)[:, None], (column % TILE)[None]]
    return look.ground * (1 + np.float32(0.6 * look.grain) * cloud)[:, :, None]


def _colors(layout: Layout, found: Cover, look: Style) -> Flat:
    """(P, 3) colour of each object's pixels, as if it were whole."""
    owner, u, v = found.owner, found.u, found.v
    scale = (look.coarse * layout.radii).astype(np.float32)[owner]
    corner = (layout.looks[:, 4:6] * TILE).astype(np.float32)
    column = (u * scale + corner[owner, 0]).astype(np.int64)
    row = (v * scale + corner[owner, 1]).astype(np.int64)
    shade = 1 + np.float32(look.grain) * texture()[row % TILE, column % TILE]
    edge = np.clip(1 + found.distance / np.float32(look.width), 0, 1)  # 1 at the outline, 0 inside
    shade -= np.float32(look.rim) * edge * edge
    shade += look.light[0] * u + look.light[1] * v
    if look.core:
        away = (u - np.float32(0.1)) ** 2 + (v + np.float32(0.05)) ** 2
        shade -= np.float32(look.core) * np.clip(np.float32(1.6) - away * 8, 0, 1)
    bright, hue = (2 * layout.looks[:, 1:2] - 1), (2 * layout.looks[:, 1:4] - 1)
    own = (1 + look.spread * (bright + 0.25 * hue)).astype(np.float32)  # (N, 3)
    result: Flat = _ink(layout, found, look, own) * shade[:, None]
    return result


def _ink(layout: Layout, found: Cover, look: Style, own: Flat) -> Flat:
    """(P, 3) what is painted before shading: one colour per object, three per person."""
    upright = np.array([SHAPES[name].upright for name in layout.shapes])[layout.kinds]
    if not upright.any():
        return np.repeat(look.ink * own, np.diff(found.offsets), axis=0)
    inks = np.stack([look.ink, *look.parts])
    part = np.where(found.v < np.float32(-0.68), 1, np.where(found.v > np.float32(0.1), 2, 0))
    return inks[np.where(upright[found.owner], part, 0)] * own[found.owner]

"""Paths seen from above: a picture with a grid in metres (or pixels), a colour per participant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from delineate.core.labels import distinct_colors

SIDE = 1000  # longest side of the plot in pixels
MARGIN = 56
PAPER, GRID, INK = (252, 252, 250), (222, 222, 218), (90, 90, 90)
WRITTEN = 60  # with more paths than this none is numbered
STEPS = (1, 2, 5)


@dataclass(frozen=True, eq=False)
class Way:
    """One participant's way.

    Attributes:
        number: its track, written at its end.
        points: (P, 2) in order of time.
        seen: (P,) bool; what is not seen is drawn thin.
        ahead: (H, 2) where it is expected after its end, or empty.
        spread: (H, 2, 2) covariances of that.
    """

    number: int
    points: NDArray[np.float64]
    seen: NDArray[np.bool_]
    ahead: NDArray[np.float64]
    spread: NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """The part of the plane that is drawn.

    Attributes:
        low: (2,) smallest coordinates.
        high: (2,) largest.
        scale: pixels per unit.
        forward: x goes up and y to the left, as on the ground; else x to the right and y down.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    scale: float
    forward: bool

    def pixel(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 2) places on the canvas."""
        if self.forward:
            across, down = self.high[1] - points[:, 1], self.high[0] - points[:, 0]
        else:
            across, down = points[:, 0] - self.low[0], points[:, 1] - self.low[1]
        return np.column_stack([across, down]) * self.scale + MARGIN

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the canvas."""
        x, y = (self.high[k] - self.low[k] for k in (0, 1))
        wide, tall = (y, x) if self.forward else (x, y)
        return round(wide * self.scale) + 2 * MARGIN, round(tall * self.scale) + 2 * MARGIN


def birds_eye(
    paths: Sequence[Way], unit: str = "m", viewpoint: NDArray[np.float64] | None = None
) -> Image.Image:
    """Draws paths from above.

    Args:
        paths: in one unit, finite.
        unit: ``"m"``: x up, y to the left; ``"px"``: as in the image.
        viewpoint: (2,) where the camera stands, or None.

    Returns:
        A PIL RGB image, about 1100 pixels at its longest side.
    """
    frame = _frame(paths, unit == "m", viewpoint)
    picture = Image.new("RGB", frame.size, PAPER)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=13)
    _grid(pen, frame, unit, font)
    tints = distinct_colors(len(paths))
    for path, tint in zip(paths, (tints * 0.8).astype(np.uint8).tolist(), strict=True):
        _path(pen, frame, path, tuple(tint))
    if len(paths) <= WRITTEN:
        for path, tint in zip(paths, (tints * 0.6).astype(np.uint8).tolist(), strict=True):
            x, y = frame.pixel(path.points[-1:])[0].tolist()
            pen.text((x + 6, y - 7), str(path.number), fill=tuple(tint), font=font)
    if viewpoint is not None:
        x, y = frame.pixel(viewpoint[None])[0].tolist()
        pen.polygon([(x, y - 9), (x - 7, y + 6), (x + 7, y + 6)], fill=INK)
        pen.text((x + 10, y - 6), "camera", fill=INK, font=font)
    return picture


def _frame(paths: Sequence[Way], forward: bool, viewpoint: NDArray[np.float64] | None) -> Frame:
    """Room for all paths but the wildest hundredth of their points."""
    parts = [p.points for p in paths if len(p.points)]
    extra = [] if viewpoint is None else [viewpoint[None]]
    low, high = np.zeros(2), np.ones(2)
    if parts:
        points = np.concatenate(parts)
        low, high = np.percentile(points, (0.5, 99.5), axis=0)
    for point in extra:
        low, high = np.minimum(low, point[0]), np.maximum(high, point[0])
    room = max(float((high - low).max()) * 0.04, 1e-6)
    low, high = low - room, high + room
    scale = SIDE / float((high - low).max())
    thin = 240 / scale  # a path along one axis still gets a picture
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, thin / 2)
    low, high = middle - half, middle + half
    return Frame((float(low[0]), float(low[1])), (float(high[0]), float(high[1])), scale, forward)


def _grid(
    pen: ImageDraw.ImageDraw, frame: Frame, unit: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> None:
    """Lines at round numbers, with the numbers at the edges."""
    wish = 100 / frame.scale
    power = 10 ** np.floor(np.log10(wish))
    step = float(next((s * power for s in STEPS if s * power >= wish), 10 * power))
    for axis in (0, 1):
        value = np.ceil(frame.low[axis] / step) * step
        while value <= frame.high[axis]:
            ends = np.array([frame.low, frame.high])
            ends[:, axis] = value
            (x1, y1), (x2, y2) = frame.pixel(ends).tolist()
            pen.line((x1, y1, x2, y2), fill=GRID)
            text = f"{value:g}" if value else "0"
            if abs(x1 - x2) < 1:
                pen.text((x1, frame.size[1] - MARGIN + 8), text, fill=INK, font=font, anchor="mt")
            else:
                pen.text((MARGIN - 8, y1), text, fill=INK, font=font, anchor="rm")
            value += step
    across, up = ("y", "x") if frame.forward else ("x", "y")
    pen.text(
        (frame.size[0] - MARGIN, frame.size[1] - 12), f"{across} ({unit})", fill=INK, font=font, anchor="rb"
    )
    pen.text((10, 12), f"{up} ({unit})", fill=INK, font=font)


def _path(pen: ImageDraw.ImageDraw, frame: Frame, way: Way, tint: tuple[int, ...]) -> None:
    at = frame.pixel(way.points)
    for (x1, y1), (x2, y2), seen in zip(at[:-1].tolist(), at[1:].tolist(), way.seen[1:], strict=True):
        pen.line((x1, y1, x2, y2), fill=tint, width=3 if seen else 1)
    x, y = at[-1].tolist()
    pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=tint)
    turn = np.linspace(0, 2 * np.pi, 33)
    for place, spread in zip(way.ahead, way.spread, strict=True):
        values, vectors = np.linalg.eigh(spread)
        ring = vectors @ (np.sqrt(np.maximum(values, 0))[:, None] * np.array([np.cos(turn), np.sin(turn)]))
        pen.line([tuple(p) for p in frame.pixel(place + ring.T).tolist()], fill=tint, width=1)


__all__ = ["Frame", "Way", "birds_eye"]

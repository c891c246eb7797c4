"""A map picture: the image, numbered outlines, map coordinates along a frame, a scale bar, north."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from delineate.apply.draw import colors
from delineate.core.convert.shapely import shapely_package, to_shapely
from delineate.core.polygons import Polygon
from delineate.data.georeference import WGS84, reproject
from delineate.data.vectors.crs import crs_of

from .geo_map import MapResult
from .geo_plane import Plane
from .geo_table import doubtful

Points = NDArray[np.float64]
LONGEST = 1400
"""Longer side of the map itself in pixels; small images are enlarged by whole factors up to four."""
MARGIN, FOOT = 64, 84
INK, PAPER, GRID = (30, 30, 30), (255, 255, 255), (255, 255, 255, 70)
MARKED = (255, 120, 110)
SHADE = ((-1, 0), (1, 0), (0, -1), (0, 1))


@dataclass(frozen=True, eq=False)
class Sheet:
    """What a map picture shows.

    Attributes:
        size: (height, width) of the image, or of the ground that is shown, in its pixels.
        plane: how the outlines' plane lies to these pixels and to the map.
        shapes: N outlines on the plane.
        tints: (N, 3) uint8, their colours.
        numbers: N numbers to write on them.
        marked: (N,) bool, those whose number is written in red.
        lines: what stands below the map, the first line larger.
    """

    size: tuple[int, int]
    plane: Plane
    shapes: Sequence[Sequence[Polygon]]
    tints: NDArray[np.uint8]
    numbers: Sequence[int]
    marked: Sequence[bool]
    lines: Sequence[str]


def sheet_of(result: MapResult, title: str = "") -> Sheet:
    """The picture of a map, each object in its own colour with its row's number."""
    count, area = len(result.layer), result.table.get("area_m2")
    sum_of = "" if area is None else f", {area.sum():,.0f} square metres"
    return Sheet(
        result.objects.size,
        result.plane,
        result.footprints.shapes,
        colors(result.objects),
        result.table["number"].tolist(),
        doubtful(result.table).tolist(),
        [line for line in (title, f"{count} object{'s'[: count != 1]}{sum_of}") if line],
    )


def map_picture(sheet: Sheet, overview: NDArray[np.uint8] | None) -> Image.Image:
    """The map as a picture.

    Args:
        sheet: what is drawn.
        overview: (h, w) or (h, w, 3), the whole image at any size; None for black.
    """
    size = sheet.size
    factor = LONGEST / max(size)
    factor = float(min(4, math.floor(factor))) if factor >= 1 else factor
    shown = (max(1, round(size[1] * factor)), max(1, round(size[0] * factor)))
    ground = Image.new("RGB", shown) if overview is None else Image.fromarray(overview).convert("RGB")
    ground = ground.resize(shown, Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.BICUBIC)
    _objects(ground, sheet, factor)
    lines = _grid(sheet.plane, size, factor)
    picture = Image.new("RGB", (shown[0] + MARGIN + 16, shown[1] + 40 + FOOT), PAPER)
    frame = _Frame(picture, (MARGIN, 16), shown)
    _draw_grid(ground, lines)
    picture.paste(ground, frame.corner)
    frame.ticks(lines)
    frame.below(sheet, factor)
    return picture


def _font(size: int) -> Any:
    return ImageFont.load_default(size=size)


def _objects(ground: Image.Image, sheet: Sheet, factor: float) -> None:
    """Outlines and numbers; red numbers where the row has a mark."""
    pen = ImageDraw.Draw(ground)
    drawn = to_shapely(sheet.shapes)
    spots = shapely_package().get_coordinates(shapely_package().point_on_surface(drawn)).reshape(-1, 2)
    spots = sheet.plane.to_pixels(spots) * factor if len(spots) else spots
    for k, parts in enumerate(sheet.shapes):
        ink = tuple(int(v) for v in sheet.tints[k])
        for part in parts:
            for ring in part.rings:
                line = sheet.plane.to_pixels(ring) * factor
                pen.line([*map(tuple, line.tolist()), tuple(line[0].tolist())], ink, 2, joint="curve")
    font = _font(12)
    for k, (x, y) in enumerate(spots.tolist()):
        text = str(sheet.numbers[k])
        for dx, dy in SHADE:
            pen.text((x + dx, y + dy), text, (0, 0, 0), font, anchor="mm")
        pen.text((x, y), text, MARKED if sheet.marked[k] else PAPER, font, anchor="mm")


def round_step(length: float, parts: int = 5) -> float:
    """A step of 1, 2 or 5 times a power of ten that divides a length into about so many parts.

    Example:
        >>> round_step(450), round_step(0.004)
        (100.0, 0.001)
    """
    raw = length / parts
    power = 10.0 ** math.floor(math.log10(raw))
    return float(next(power * k for k in (1, 2, 5, 10) if raw <= power * k * 1.0001))


def _grid(plane: Plane, size: tuple[int, int], factor: float) -> list[tuple[int, float, Points, str]]:
    """Lines of equal map coordinate: axis, value, (P, 2) points in the shown picture, label."""
    height, width = size
    place = plane.georeference
    edge = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    corners = edge if place is None else place.to_map(edge)
    low, high = corners.min(axis=0), corners.max(axis=0)
    step = round_step(float((high - low).max()))
    digits = max(0, -math.floor(math.log10(step)))
    found = []
    for axis in (0, 1):
        first = math.ceil(low[axis] / step)
        for k in range(first, math.floor(high[axis] / step) + 1):
            value = k * step
            ends = np.empty((2, 2))
            ends[:, axis] = value
            ends[:, 1 - axis] = low[1 - axis], high[1 - axis]
            line = ends if place is None else place.to_pixel(ends)
            found.append((axis, value, line * factor, f"{value:.{digits}f}"))
    return found


def _draw_grid(ground: Image.Image, lines: list[tuple[int, float, Points, str]]) -> None:
    over = Image.new("RGBA", ground.size)
    pen = ImageDraw.Draw(over)
    for _, _, line, _ in lines:
        pen.line([tuple(p) for p in line.tolist()], GRID, 1)
    ground.paste(over, (0, 0), over)


class _Frame:
    """What stands around the map."""

    def __init__(self, picture: Image.Image, corner: tuple[int, int], shown: tuple[int, int]) -> None:
        self.picture, self.corner, self.shown = picture, corner, shown
        self.pen = ImageDraw.Draw(picture)

    def ticks(self, lines: list[tuple[int, float, Points, str]]) -> None:
        """The frame, and each grid line's coordinate where it leaves the map below or at the left."""
        (x0, y0), (wide, tall) = self.corner, self.shown
        self.pen.rectangle((x0 - 1, y0 - 1, x0 + wide, y0 + tall), outline=INK)
        font, right = _font(11), 0.0
        for _, _, line, label in lines:
            (ax, ay), (bx, by) = line.tolist()
            if abs(bx - ax) < abs(by - ay):  # runs upward: meets the lower edge
                x = ax + (tall - ay) / (by - ay) * (bx - ax)
                width = self.pen.textlength(label, font)
                if 0 <= x <= wide and x - width / 2 >= right:
                    self.pen.line((x0 + x, y0 + tall, x0 + x, y0 + tall + 4), INK)
                    self.pen.text((x0 + x, y0 + tall + 6), label, INK, font, anchor="mt")
                    right = x + width / 2 + 6
            else:
                y = ay + (0 - ax) / (bx - ax) * (by - ay)
                if 6 <= y <= tall - 6:
                    self.pen.line((x0 - 4, y0 + y, x0, y0 + y), INK)
                    self._upright(label, (x0 - 6, y0 + y), font)

    def _upright(self, label: str, place: tuple[float, float], font: Any) -> None:
        """A label left of the frame: level where it fits, else turned."""
        width = int(self.pen.textlength(label, font)) + 2
        if width <= MARGIN - 8:
            self.pen.text(place, label, INK, font, anchor="rm")
            return
        small = Image.new("RGB", (width, 14), PAPER)
        ImageDraw.Draw(small).text((0, 1), label, INK, font)
        turned = small.rotate(90, expand=True)
        self.picture.paste(turned, (int(place[0]) - 14, int(place[1] - width / 2)))

    def below(self, sheet: Sheet, factor: float) -> None:
        """North, the scale bar, title and reference system."""
        (x0, y0), (wide, tall) = self.corner, self.shown
        top = y0 + tall + 28
        plane = sheet.plane
        known = plane.georeference is not None and plane.georeference.epsg is not None
        left = x0
        if plane.georeference is not None:
            self._north(_north(plane, sheet.size), (x0 + 14, top + 22))
            left += 44
        unit = plane.unit
        length = round_step(wide / factor * plane.pixel, 4)
        bar = length / plane.pixel * factor
        self.pen.rectangle((left, top + 16, left + bar / 2, top + 22), INK, INK)
        self.pen.rectangle((left + bar / 2, top + 16, left + bar, top + 22), PAPER, INK)
        self.pen.text((left, top + 26), "0", INK, _font(11), anchor="mt")
        self.pen.text((left + bar, top + 26), f"{length:g} {unit}", INK, _font(11), anchor="mt")
        text = left + bar + 44
        place = plane.georeference
        told = (
            crs_of(place.epsg).name + f" (EPSG:{place.epsg})"
            if known and place and place.epsg
            else ("pixels" if place is None else "unknown reference system")
        )
        sizes = [13, *[12] * (len(sheet.lines) - 1), 11]
        for line, size in zip((*sheet.lines, told), sizes, strict=True):
            self.pen.text((text, top), line, INK, _font(size))
            top += size + 6

    def _north(self, angle: float, middle: tuple[float, float]) -> None:
        """An arrow to true north; ``angle`` clockwise from up in radians."""
        x, y = middle
        across, along = (math.cos(angle), math.sin(angle)), (math.sin(angle), -math.cos(angle))

        def at(right: float, up: float) -> tuple[float, float]:
            return x + right * across[0] + up * along[0], y + right * across[1] + up * along[1]

        self.pen.polygon([at(0, 18), at(-7, -10), at(0, -4)], INK, INK)
        self.pen.polygon([at(0, 18), at(7, -10), at(0, -4)], PAPER, INK)
        self.pen.text(at(0, 27), "N", INK, _font(12), anchor="mm")


def _north(plane: Plane, size: tuple[int, int]) -> float:
    """Direction of true north in the picture, radians clockwise from up; the map's up where it is unknown."""
    place = plane.georeference
    assert place is not None
    middle = place.to_map([[size[1] / 2, size[0] / 2]])
    if place.epsg is None:
        ahead = middle + np.array([0.0, plane.pixel])
    else:
        degrees = reproject(middle, place.epsg, WGS84) + np.array([0.0, 1e-4])
        ahead = reproject(degrees, WGS84, place.epsg)
    a, b = place.to_pixel(np.concatenate((middle, ahead)))
    dx, dy = (b - a).tolist()
    return math.atan2(dx, -dy)

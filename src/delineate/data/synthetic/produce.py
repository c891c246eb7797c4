"""A table with fruit, a marker, a coin and a ruler on it, photographed from a known place: sizes are exact.

Fruit are flat ellipses on the table, or balls that stand on it. Each one's axes in millimetres, its outline
in pixels and the homography of the table are known, so what is measured from the picture can be held
against them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon

Floats = NDArray[np.float64]
TABLE = (240.0, 320.0)
"""Height and width of the table in mm."""
FINE = 8
"""Pixels a millimetre of the table's own picture."""
CLASSES = Labels(("fruit",))
RIPE, GREEN = (196, 40, 36), (98, 150, 58)


@dataclass(frozen=True)
class ProduceSettings:
    """What lies on the table, and where the camera is.

    Attributes:
        size: (height, width) of the picture in pixels.
        fruit: how many; fewer where there is no room.
        diameters: smallest and largest mean diameter, mm.
        balls: fruit are balls on the table; else flat ellipses.
        markers: ArUco markers of 4X4_50 with a side of 30 mm, 0 to 4.
        coin: whether a coin of 25 mm lies there.
        ruler: whether a ruler of 150 mm with a mark each millimetre lies there.
        distance: of the camera from the table's middle, mm.
        focal: focal length in pixels.
        tilt: degrees from straight down.
        turn: of the camera around its axis, degrees.
        noise: standard deviation of the pixels' noise, of 255.
        blur: standard deviation in pixels.
    """

    size: tuple[int, int] = (900, 1200)
    fruit: int = 20
    diameters: tuple[float, float] = (14.0, 34.0)
    balls: bool = False
    markers: int = 1
    coin: bool = False
    ruler: bool = False
    distance: float = 400.0
    focal: float = 1300.0
    tilt: float = 0.0
    turn: float = 0.0
    noise: float = 3.0
    blur: float = 0.8

    def __post_init__(self) -> None:
        right = 0 <= self.markers <= 4 and 0 <= self.tilt < 60 and self.distance > 0 and self.focal > 0
        if not right or not 0 < self.diameters[0] <= self.diameters[1] or self.fruit < 0:
            raise InputError(f"synthetic produce: expected lengths above 0 and a tilt below 60, got {self}")


@dataclass(frozen=True, eq=False)
class Produce:
    """A photograph of a table and what is true of it.

    Attributes:
        image: (H, W, 3) uint8.
        instances: N fruit, masks as seen.
        diameters: (N,) mm: of a ball, or of the disk with the ellipse's area.
        axes: (N, 2) mm: long and short axis.
        ripe: (N,) share of the surface that is ripe.
        to_image: (3, 3) homography from millimetres on the table to pixels.
        coin: middle of the coin in pixels, or None.
        ruler: (2, 2) ends of the ruler's row of marks in pixels, or None.
    """

    image: NDArray[np.uint8]
    instances: Instances
    diameters: Floats
    axes: Floats
    ripe: Floats
    to_image: Floats
    coin: Floats | None
    ruler: Floats | None


def produce_scene(settings: ProduceSettings | None = None, seed: int = 0) -> Produce:
    """Lays a table and takes its picture.

    Args:
        settings: what lies there.
        seed: same seed, same picture.

    Example:
        >>> scene = produce_scene(ProduceSettings(size=(90, 120), focal=130, fruit=3), seed=1)
        >>> scene.image.shape, len(scene.instances)
        ((90, 120, 3), 3)
    """
    settings = settings or ProduceSettings()
    rng = np.random.default_rng(seed)
    camera, plane = _camera(settings)
    table, taken, coin, ruler = _table(settings, rng)
    fruit = _laid(settings, rng, taken)
    ripe = np.round(rng.uniform(0, 1, len(fruit)), 2)
    outlines = []
    for k, (x, y, long, short, angle) in enumerate(fruit):
        if settings.balls:
            outlines.append(_ball_outline(camera, x, y, long / 2))
        else:
            _paint_fruit(table, (x, y, long, short, angle), float(ripe[k]))
            outlines.append(_through(plane, _ellipse(x, y, long, short, angle)))
    seen = _photograph(table, plane, settings)
    if settings.balls:
        for k, outline in enumerate(outlines):
            _paint_ball(seen, outline, float(ripe[k]))
    image = _developed(seen, settings, rng)
    polygons = [[Polygon(outline)] for outline in outlines]
    masks = Masks.from_polygons(polygons, settings.size)
    axes = fruit[:, 2:4]
    return Produce(
        image,
        Instances(settings.size, masks=masks, classes=CLASSES),
        np.sqrt(axes.prod(axis=1)),
        axes,
        ripe,
        plane,
        None if coin is None else _through(plane, np.array([coin]))[0],
        None if ruler is None else _through(plane, np.array(ruler)),
    )


def _camera(settings: ProduceSettings) -> tuple[Floats, Floats]:
    """(3, 4) projection from mm in space (z up from the table), and (3, 3) from the table."""
    height, width = settings.size
    t, r = math.radians(settings.tilt), math.radians(settings.turn)
    roll = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    pitch = np.array([[1, 0, 0], [0, math.cos(t), -math.sin(t)], [0, math.sin(t), math.cos(t)]])
    rotation = pitch @ roll @ np.diag([1.0, 1.0, -1.0])  # the camera looks down on the table
    middle = np.array([TABLE[1] / 2, TABLE[0] / 2, 0.0])
    shift = -rotation @ middle + np.array([0, 0, settings.distance])
    lens = np.array([[settings.focal, 0, width / 2], [0, settings.focal, height / 2], [0, 0, 1.0]])
    projection = lens @ np.column_stack([rotation, shift])
    return projection, projection[:, [0, 1, 3]]


def _table(
    settings: ProduceSettings, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], list[tuple[float, float, float]], tuple[float, float] | None, Floats | None]:
    """The table's picture, discs (x, y, radius) that are taken, the coin and the ruler's row of marks."""
    height, width = round(TABLE[0] * FINE), round(TABLE[1] * FINE)
    grain = cv2.resize(rng.normal(0, 1, (height // 16, width // 16)), (width, height)).astype(np.float32)
    table = np.clip(np.array([205, 200, 190], np.float32) + 6 * grain[:, :, None], 0, 255).astype(np.uint8)
    taken: list[tuple[float, float, float]] = []
    places = ((15.0, 15.0), (TABLE[1] - 45, TABLE[0] - 45), (TABLE[1] - 45, 15.0), (15.0, TABLE[0] - 45))
    kind = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    for k, (x, y) in enumerate(places[: settings.markers]):
        cv2.rectangle(table, _fine(x - 6, y - 6), _fine(x + 36, y + 36), (250, 250, 250), -1)
        top, left = round(y * FINE), round(x * FINE)
        marker = cv2.aruco.generateImageMarker(kind, k, 30 * FINE)
        table[top : top + 30 * FINE, left : left + 30 * FINE] = marker[:, :, None]
        taken.append((x + 15, y + 15, 30.0))
    coin = (TABLE[1] / 2 + 12, 26.0) if settings.coin else None
    if coin is not None:
        _paint_coin(table, coin, rng)
        taken.append((*coin, 16.0))
    ruler = None
    if settings.ruler:
        ruler = np.array([[85.0, 214.0], [235.0, 214.0]])
        _paint_ruler(table, ruler)
        taken += [(float(x), 216.0, 14.0) for x in range(80, 245, 8)]
    return table, taken, coin, ruler


def _fine(x: float, y: float) -> tuple[int, int]:
    return round(x * FINE), round(y * FINE)


def _paint_coin(table: NDArray[np.uint8], place: tuple[float, float], rng: np.random.Generator) -> None:
    """25 mm across, with a rim, some relief and a soft shadow."""
    middle, radius = np.array(place) * FINE, 12.5 * FINE
    shadow = np.zeros(table.shape[:2], np.float32)
    _disc(shadow, middle + 0.6 * FINE, radius, 1.0)
    soft = cv2.GaussianBlur(shadow, (0, 0), 0.8 * FINE)
    table[:] = (table * (1 - 0.2 * soft[:, :, None])).astype(np.uint8)
    for part, grey in ((1.0, 128), (0.9, 150), (0.86, 138)):
        _disc(table, middle, radius * part, (grey, grey - 4, grey - 16))
    for _ in range(14):
        at = middle + rng.uniform(-0.5, 0.5, 2) * radius
        _disc(table, at, float(rng.uniform(0.05, 0.12)) * radius, (158, 154, 142))


def _disc(picture: NDArray[Any], middle: Floats, radius: float, colour: float | tuple[int, ...]) -> None:
    """Paints the pixels whose middles lie in a circle."""
    x0, y0 = np.maximum(np.floor(middle - radius - 1).astype(int), 0).tolist()
    x1, y1 = np.ceil(middle + radius + 1).astype(int).tolist()
    window = picture[y0:y1, x0:x1]
    y, x = np.mgrid[y0 : y0 + window.shape[0], x0 : x0 + window.shape[1]]
    window[np.hypot(x + 0.5 - middle[0], y + 0.5 - middle[1]) <= radius] = colour


def _paint_ruler(table: NDArray[np.uint8], row: Floats) -> None:
    """A pale strip with a mark each millimetre, longer ones at 5 and 10."""
    (x0, y0), (x1, _) = row
    cv2.rectangle(table, _fine(x0 - 5, y0 - 7), _fine(x1 + 5, y0 + 13), (238, 226, 170), -1)
    for k in range(round(x1 - x0) + 1):
        length = 7.5 if k % 10 == 0 else 5.5 if k % 5 == 0 else 4.0
        left = round((x0 + k) * FINE) - 1
        table[round((y0 - 5) * FINE) : round((y0 - 5 + length) * FINE), left : left + 2] = 25


def _laid(
    settings: ProduceSettings, rng: np.random.Generator, taken: list[tuple[float, float, float]]
) -> Floats:
    """(N, 5) x, y, long and short axis in mm, angle: none touches another or what lies there."""
    fruit: list[tuple[float, ...]] = []
    for _ in range(60 * settings.fruit):
        if len(fruit) == settings.fruit:
            break
        size = float(rng.uniform(*settings.diameters))
        ratio = 1.0 if settings.balls else float(rng.uniform(0.7, 1.0))
        long, short = size / math.sqrt(ratio), size * math.sqrt(ratio)
        edge = long / 2 + 4
        x, y = float(rng.uniform(edge, TABLE[1] - edge)), float(rng.uniform(edge, TABLE[0] - edge))
        room = 4.0 + (long / 2 if settings.balls else 0.0)
        if all(math.hypot(x - u, y - v) > long / 2 + r + room for u, v, r in taken):
            fruit.append((x, y, long, short, float(rng.uniform(0, math.pi))))
            taken.append((x, y, long / 2))
    return np.array(fruit, np.float64).reshape(-1, 5)


def _ellipse(x: float, y: float, long: float, short: float, angle: float, count: int = 256) -> Floats:
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    u, v = long / 2 * np.cos(turn), short / 2 * np.sin(turn)
    c, s = math.cos(angle), math.sin(angle)
    return np.stack([x + c * u - s * v, y + s * u + c * v], axis=1)


def _paint_fruit(
    table: NDArray[np.uint8], ellipse: tuple[float, float, float, float, float], ripe: float
) -> None:
    """Green, and ripe from one end on over so much of its area."""
    outline = np.rint((_ellipse(*ellipse) * FINE - 0.5) * 16).astype(np.int32)
    inside = np.zeros(table.shape[:2], np.uint8)
    cv2.fillPoly(inside, [outline], 255, cv2.LINE_8, 4)
    y, x = np.nonzero(inside)
    along = (x - ellipse[0] * FINE) * math.cos(ellipse[4]) + (y - ellipse[1] * FINE) * math.sin(ellipse[4])
    table[y, x] = GREEN
    red = along <= np.quantile(along, ripe) if ripe > 0 else np.zeros(len(x), bool)
    table[y[red], x[red]] = RIPE


def _through(homography: Floats, points: Floats) -> Floats:
    lifted = points @ homography[:, :2].T + homography[:, 2]
    return np.asarray(lifted[:, :2] / lifted[:, 2:])


def _ball_outline(camera: Floats, x: float, y: float, radius: float, count: int = 256) -> Floats:
    """The silhouette of a ball on the table: its dual conic is P Q* P^T (Hartley and Zisserman, 8.3)."""
    quadric = np.diag([radius**2, radius**2, radius**2, 0.0])
    centre = np.array([x, y, radius, 1.0])
    dual = camera @ (quadric - np.outer(centre, centre)) @ camera.T
    conic = np.linalg.inv(dual)
    conic = conic / np.cbrt(np.linalg.det(conic))
    middle = np.linalg.solve(conic[:2, :2], -conic[:2, 2])
    level = -(conic[2, 2] + conic[:2, 2] @ middle)
    values, vectors = np.linalg.eigh(conic[:2, :2] / level)
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1) / np.sqrt(values)
    return np.asarray(middle + ring @ vectors.T)


def _photograph(table: NDArray[np.uint8], plane: Floats, settings: ProduceSettings) -> NDArray[np.float32]:
    """The table through the camera, each pixel the mean of four by four."""
    height, width = settings.size
    finer = np.diag([4.0, 4.0, 1.0]) @ plane @ np.diag([1 / FINE, 1 / FINE, 1.0])
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    through = np.linalg.inv(half) @ finer @ half
    large = cv2.warpPerspective(
        table, through, (width * 4, height * 4), flags=cv2.INTER_LINEAR, borderValue=(96, 92, 88)
    )
    return cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)


def _paint_ball(image: NDArray[np.float32], outline: Floats, ripe: float) -> None:
    """A shaded ball in the photograph itself."""
    inside = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(inside, [np.rint((outline - 0.5) * 16).astype(np.int32)], 255, cv2.LINE_8, 4)
    y, x = np.nonzero(inside)
    middle, radius = outline.mean(axis=0), np.ptp(outline, axis=0).mean() / 2
    light = 1.1 - 0.45 * np.hypot(x - middle[0] + 0.3 * radius, y - middle[1] + 0.3 * radius) / radius
    red = x <= np.quantile(x, ripe) if ripe > 0 else np.zeros(len(x), bool)
    colour = np.where(red[:, None], RIPE, GREEN) * np.clip(light, 0.4, 1.1)[:, None]
    image[y, x] = np.clip(colour, 0, 255)


def _developed(
    image: NDArray[np.float32], settings: ProduceSettings, rng: np.random.Generator
) -> NDArray[np.uint8]:
    if settings.blur > 0:
        image = cv2.GaussianBlur(image, (0, 0), settings.blur).astype(np.float32)
    noisy = image + rng.normal(0, settings.noise, image.shape).astype(np.float32)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


__all__ = ["CLASSES", "TABLE", "Produce", "ProduceSettings", "produce_scene"]

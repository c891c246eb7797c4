"""The scale of a photograph from a coin of known diameter that lies in it.

A circle seen from not too near is an ellipse: its long axis shows the scale, its short axis how much the
plane is foreshortened, and across which direction. How the scale changes with the distance from a tilted
camera one coin does not tell; several markers do.
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

from .plane_scale import PlaneScale, tilted_by

Floats = NDArray[np.float64]
RIM = 0.4
"""Pixels, one standard deviation, by which a coin's diameter may be wrong: where its shadow begins is not
sharp."""
ROUND = 0.97
"""Axes of this ratio or more are taken for a circle seen straight on."""
UNSEEN = 10.0
"""Degrees of tilt, beyond what its outline shows, that a coin may have: of 10 its axes differ by 1.5 %."""
SMALLEST = 24.0  # pixels of diameter
FLATTEST = 0.5  # short axis over long axis: a tilt of 60 degrees


@dataclass(frozen=True)
class Ellipse:
    """A coin's outline, in pixels with the image's corner at 0, 0.

    Attributes:
        x: column of its middle.
        y: row of its middle.
        long: its long diameter.
        short: its short diameter.
        angle: of the long one against the rows, radians.
        support: share of its circumference that edges confirm, 0..1.
    """

    x: float
    y: float
    long: float
    short: float
    angle: float
    support: float

    def outline(self, count: int = 180) -> Floats:
        """(count, 2) points on it."""
        turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
        u, v = self.long / 2 * np.cos(turn), self.short / 2 * np.sin(turn)
        c, s = math.cos(self.angle), math.sin(self.angle)
        return np.stack([self.x + c * u - s * v, self.y + s * u + c * v], axis=1)

    def normals(self, count: int = 180) -> Floats:
        """(count, 2) unit vectors out of it at those points."""
        turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
        u, v = np.cos(turn) / self.long, np.sin(turn) / self.short
        c, s = math.cos(self.angle), math.sin(self.angle)
        out = np.stack([c * u - s * v, s * u + c * v], axis=1)
        return np.asarray(out / np.hypot(u, v)[:, None])


def find_coin(
    image: NDArray[Any], near: tuple[float, ...] | None = None, objects: Instances | None = None
) -> Ellipse:
    """The roundest closed outline that is no fruit.

    Args:
        image: (H, W, 3) uint8.
        near: a point x, y on the coin; None looks everywhere.
        objects: fruit; an outline whose middle lies in one is no coin, unless ``near`` says so.

    Raises:
        InputError: no such outline.
    """
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), 1.0)
    taken = None
    if objects is not None and objects.masks is not None and near is None and len(objects):
        taken = objects.masks.to_label_image() > 0
    best: tuple[float, Ellipse] | None = None
    for candidate in _candidates(grey):
        x, y = round(candidate.x), round(candidate.y)
        if not (0 <= y < grey.shape[0] and 0 <= x < grey.shape[1]):
            continue
        if near is not None and not _holds(candidate, near):
            continue
        if taken is not None and taken[y, x]:
            continue
        exact = refined(grey, candidate)
        score = exact.support * math.sqrt(exact.long * exact.short)
        if exact.support > 0.7 and (best is None or score > best[0]):
            best = (score, exact)
    if best is None:
        where = "at that point" if near is not None else "in the picture"
        raise InputError(
            f"--scale coin: expected a coin {where}, got no round outline; lay it on a plain ground, or say "
            "where it lies: coin:MM@X,Y"
        )
    return best[1]


def _candidates(grey: NDArray[Any]) -> list[Ellipse]:
    """Ellipses that fit closed outlines of thresholded brightness and of edges."""
    high, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    maps = [cv2.threshold(grey, level, 255, cv2.THRESH_BINARY)[1] for level in (0.7 * high, high, 1.3 * high)]
    block = max(31, min(grey.shape) // 8) | 1
    maps += [
        cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, kind, block, offset)
        for kind, offset in ((cv2.THRESH_BINARY, -6), (cv2.THRESH_BINARY_INV, 6))
    ]
    edges = cv2.dilate(cv2.Canny(grey, 40, 120), np.ones((3, 3), np.uint8))
    maps.append(edges)
    found: list[Ellipse] = []
    for binary in maps:
        for contour in cv2.findContours(binary, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]:
            one = _fit(contour[:, 0].astype(np.float64) + 0.5)
            if one is not None and not any(_alike(one, other) for other in found):
                found.append(one)
    return found


def _fit(points: Floats, most_off: float = 0.04) -> Ellipse | None:
    """The ellipse of an outline, or None where it is none."""
    if len(points) < 2 * SMALLEST:
        return None
    (x, y), axes, degrees = cv2.fitEllipseDirect(points.astype(np.float32))
    if not np.isfinite([x, y, *axes, degrees]).all():
        return None
    first, second = axes
    angle = math.radians(degrees) if first >= second else math.radians(degrees) + math.pi / 2
    one = Ellipse(x, y, max(axes), min(axes), angle, 1.0)
    if one.short < SMALLEST or one.short < FLATTEST * one.long:
        return None
    off = np.abs(_radius(one, points) - 1)
    turned = np.histogram(_turn(one, points), bins=24, range=(-np.pi, np.pi))[0]
    if np.median(off) > most_off or np.quantile(off, 0.8) > 3 * most_off or (turned > 0).mean() < 0.9:
        return None
    return one


def _radius(one: Ellipse, points: Floats) -> Floats:
    u, v = _own_frame(one, points)
    return np.asarray(np.hypot(u / (one.long / 2), v / (one.short / 2)))


def _turn(one: Ellipse, points: Floats) -> Floats:
    u, v = _own_frame(one, points)
    return np.asarray(np.arctan2(v / one.short, u / one.long))


def _own_frame(one: Ellipse, points: Floats) -> tuple[Floats, Floats]:
    c, s = math.cos(one.angle), math.sin(one.angle)
    dx, dy = points[:, 0] - one.x, points[:, 1] - one.y
    return c * dx + s * dy, -s * dx + c * dy


def _alike(one: Ellipse, other: Ellipse) -> bool:
    near = 0.05 * one.long
    return math.hypot(one.x - other.x, one.y - other.y) < near and abs(one.long - other.long) < near


def _holds(one: Ellipse, point: tuple[float, ...]) -> bool:
    return bool(_radius(one, np.array([point], np.float64))[0] < 1)


def refined(grey: NDArray[Any], coin: Ellipse) -> Ellipse:
    """The ellipse through the steepest places across it, to a part of a pixel; ``support`` says how many.

    The outermost of the strong edges counts: relief and rim lie inside a coin. Where it lies far outside the
    others a shadow was met, and it is left out.
    """
    for _ in range(2):
        base, normal = coin.outline(), coin.normals()
        reach = float(np.clip(coin.short / 10, 3, 12))
        offsets = np.arange(-reach, reach + 0.01, 0.25)
        spots = base[:, None] + offsets[None, :, None] * normal[:, None]
        seen = cv2.remap(
            grey, (spots[..., 0] - 0.5).astype(np.float32), (spots[..., 1] - 0.5).astype(np.float32),
            cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
        ).astype(np.float64)  # fmt: skip
        slope = np.abs(np.diff(cv2.GaussianBlur(seen, (5, 1), 0), axis=1))
        peak = np.zeros(slope.shape, bool)
        peak[:, 1:-1] = (slope[:, 1:-1] >= slope[:, :-2]) & (slope[:, 1:-1] > slope[:, 2:])
        strong = peak & (slope >= np.maximum(0.6 * slope.max(axis=1, keepdims=True), 0.5))
        last = slope.shape[1] - 1 - np.argmax(strong[:, ::-1], axis=1)
        weight = slope * (np.abs(np.arange(slope.shape[1])[None] - last[:, None]) <= 3)
        total = weight.sum(axis=1)
        usable = strong.any(axis=1) & (total > 0)
        if usable.sum() < 30:
            break
        shift = (weight * (offsets[:-1] + 0.125)).sum(axis=1)[usable] / total[usable]
        points = base[usable] + shift[:, None] * normal[usable]
        middle = np.abs(shift - np.median(shift))
        points = points[middle <= 3 * max(float(np.median(middle)), 0.2)]
        one = _inner_fit(points)
        if one is None:
            return Ellipse(coin.x, coin.y, coin.long, coin.short, coin.angle, 0.0)
        coin = Ellipse(one.x, one.y, one.long, one.short, one.angle, len(points) / len(base))
    return coin


def _inner_fit(points: Floats) -> Ellipse | None:
    """An ellipse whose far points outside of it, not those inside, are given up: shadows lie outside."""
    one = None
    for _ in range(8):
        one = _fit(points, 0.02) if len(points) >= 2 * SMALLEST else None
        if one is None:
            return None
        off = (_radius(one, points) - 1) * one.short / 2
        kept = off <= max(0.5, 2 * float(np.median(np.abs(off))))
        if kept.all():
            return one
        points = points[kept]
    return one


def coin_scale(coin: Ellipse, diameter: float, error: float = 0.0, focal: float | None = None) -> PlaneScale:
    """The plane on which a coin lies.

    Its ellipse says roughly how far the plane is tilted, but not to which side, and not whether the coin lies
    off the picture's middle instead. How lengths change away from the coin stays open; the error says so.

    Args:
        coin: its outline.
        diameter: mm.
        error: one standard deviation of it, as a part of it.
        focal: focal length in pixels, or about that: of a phone the picture's longer side. None: the error
            is the same everywhere.

    Raises:
        InputError: a diameter that is not positive.
    """
    if not (math.isfinite(diameter) and diameter > 0):
        raise InputError(f"coin: expected a diameter above 0 mm, got {diameter:g}; look it up")
    straight = coin.short >= ROUND * coin.long
    across = math.sqrt(coin.long * coin.short) if straight else coin.long
    along, over = diameter / across, diameter / (across if straight else coin.short)
    c, s = math.cos(coin.angle), math.sin(coin.angle)
    turn = np.array([[c, s], [-s, c]])
    flat = turn.T @ np.diag([along, over]) @ turn
    matrix = np.eye(3)
    matrix[:2, :2] = flat
    matrix[:2, 2] = -flat @ (coin.x, coin.y)
    tilt = math.degrees(math.acos(coin.short / coin.long))
    samples = None
    if focal is not None:
        more = math.radians(tilt + UNSEEN)  # off the picture's middle, a coin shows less tilt than there is
        steep = math.tan(more) / focal * math.sqrt(2)
        slopes = steep * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
        samples = tilted_by(matrix, (coin.x, coin.y), slopes)
    source = f"coin of {diameter:g} mm, {across:.1f} px across"
    whole = math.hypot(error, RIM / coin.short)
    if straight:
        return PlaneScale(matrix, f"{source}, straight on", whole, samples)
    note = f"the coin is seen {tilt:.0f} degrees from straight on: far from it lengths are less sure"
    return PlaneScale(matrix, f"{source}, tilt of {tilt:.0f} degrees corrected", whole, samples, note)


__all__ = ["Ellipse", "coin_scale", "find_coin", "refined"]

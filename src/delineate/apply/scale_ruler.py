"""The scale of a photograph from the marks of a ruler that lies in it.

A row of marks is a wave along the ruler. Where it lies is seen in the spectra of small windows; its phase
along a strip over the marks (complex demodulation: Bingham, Godfrey and Tukey 1967) then counts them to a
small part of a mark, so that no single mark has to be found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .plane_scale import HAND_HELD, PlaneScale, tilted_by

Floats = NDArray[np.float64]
FEWEST = 12.0  # marks
FINEST, COARSEST = 2.5, 24.0  # pixels between marks
WINDOW = 64  # pixels, of the search
CLEAR = 5.0
"""How much a wave must stand out of its window's spectrum, as a multiple of its usual amplitude."""
MOST_LINES = 24
CLOSE = 0.5  # pixels between two places of a strip


@dataclass(frozen=True, eq=False)
class Ruler:
    """Marks of a ruler.

    Attributes:
        start: (2,) pixel x, y where the row begins.
        end: (2,) where it ends.
        spacing: pixels between neighbouring marks in the middle of the row.
        error: one standard deviation of it, as a part of it.
        change: how much larger the spacing is at the end than at the start, as a part of it: perspective.
        marks: how many there are.
    """

    start: Floats
    end: Floats
    spacing: float
    error: float
    change: float
    marks: float


def find_ruler(image: NDArray[Any], line: tuple[float, ...] | None = None) -> Ruler:
    """The clearest row of evenly spaced marks.

    Args:
        image: (H, W, 3) uint8.
        line: x1, y1, x2, y2 along the ruler's marks; None looks everywhere.

    Raises:
        InputError: no row of at least :data:`FEWEST` marks.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    best: Ruler | None = None
    for start, end in _lines(grey) if line is None else [_ends(line)]:
        found = _along(grey, *_fitting(grey, start, end))
        if found is not None and (best is None or found.marks > best.marks):
            best = found
    if best is None:
        where = "along that line" if line is not None else "in the picture"
        raise InputError(
            f"--scale ruler: expected {FEWEST:g} or more even marks {where}, got none; take the picture "
            "nearer, or say where the marks are: ruler:MM@X1,Y1,X2,Y2"
        )
    return best


def _ends(line: tuple[float, ...]) -> tuple[Floats, Floats]:
    start, end = np.array(line[:2], np.float64), np.array(line[2:4], np.float64)
    if np.hypot(*(end - start)) < 20:
        raise InputError(
            "--scale ruler: expected a line of at least 20 pixels, got a shorter one; correct it"
        )
    return start, end


def _lines(grey: NDArray[np.float32]) -> list[tuple[Floats, Floats]]:
    """Lines across the picture through the windows with the clearest waves, along these."""
    height, width = grey.shape
    flat = grey - cv2.GaussianBlur(grey, (0, 0), 12)
    taper = np.outer(np.hanning(WINDOW), np.hanning(WINDOW)).astype(np.float32)
    rate_y, rate_x = np.meshgrid(np.fft.fftfreq(WINDOW), np.fft.rfftfreq(WINDOW), indexing="ij")
    rate = np.hypot(rate_x, rate_y)
    band = (rate > 1 / COARSEST) & (rate < 1 / FINEST)
    found = []
    for y in range(0, height - WINDOW + 1, WINDOW // 2):
        for x in range(0, width - WINDOW + 1, WINDOW // 2):
            power = np.abs(np.fft.rfft2(flat[y : y + WINDOW, x : x + WINDOW] * taper)) * band
            top = int(power.argmax())
            clear = power.flat[top] / (np.sqrt(np.mean(power[band] ** 2)) + 1e-6)
            if clear > CLEAR and power.flat[top] > 2 * WINDOW:
                direction = np.array([rate_x.flat[top], rate_y.flat[top]]) / rate.flat[top]
                middle = np.array([x, y], np.float64) + WINDOW / 2
                found.append((float(clear * rate.flat[top]), middle, direction))
    lines: list[tuple[Floats, Floats]] = []
    for _, middle, direction in sorted(found, key=lambda one: -one[0]):
        start, end = _across(middle, direction, (height, width))
        again = any(np.hypot(*(start - a)) + np.hypot(*(end - b)) < 24 for a, b in lines)
        if not again and np.hypot(*(end - start)) > 40:
            lines.append((start, end))
        if len(lines) == MOST_LINES:
            break
    return lines


def _across(middle: Floats, direction: Floats, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """The line through a point to the picture's edges."""
    bounds = np.array([[0.0, 0.0], [size[1], size[0]]])
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = (bounds - middle) / direction
    reach = np.where(np.isfinite(reach), reach, np.inf)
    ahead = float(np.where(reach > 0, reach, np.inf).min())
    back = float(np.where(reach < 0, reach, -np.inf).max())
    return middle + back * direction, middle + ahead * direction


def _strip(grey: NDArray[np.float32], start: Floats, end: Floats, half: int = 2) -> Floats:
    """Brightness along a line, the mean of a few pixels across it, without slow changes."""
    length = float(np.hypot(*(end - start)))
    along = (end - start) / length
    steps = np.arange(0, length, CLOSE)
    spots = start + steps[:, None] * along
    across = np.array([-along[1], along[0]])
    places = spots[None] + np.arange(-half, half + 1)[:, None, None] * across
    seen = cv2.remap(
        grey, (places[..., 0] - 0.5).astype(np.float32), (places[..., 1] - 0.5).astype(np.float32),
        cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
    ).mean(axis=0, dtype=np.float64)  # fmt: skip
    slow = cv2.GaussianBlur(seen[None], (0, 0), COARSEST / CLOSE)[0]
    return np.asarray(seen - slow)


def _rate(strip: Floats) -> tuple[float, float]:
    """Marks per pixel of the strongest wave, and its strength: over windows, since perspective bends it."""
    window = min(len(strip), round(160 / CLOSE))
    total = np.zeros(4 * window // 2 + 1)
    for begin in range(0, len(strip) - window + 1, max(window // 2, 1)):
        part = strip[begin : begin + window] * np.hanning(window)
        total = np.maximum(total, np.abs(np.fft.rfft(part, 4 * window))) if window else total
    rates = np.fft.rfftfreq(4 * window, CLOSE)
    band = (rates > 1 / COARSEST) & (rates < 1 / FINEST)
    if not band.any():
        return 0.0, 0.0
    places = np.flatnonzero(band)
    top = int(places[total[places].argmax()])
    half = top // 2
    if band[half] and total[max(half - 4, 0) : half + 5].max() > 0.6 * total[top]:
        top = max(half - 4, 0) + int(total[max(half - 4, 0) : half + 5].argmax())
    return float(rates[top]), float(total[top])


def _fitting(grey: NDArray[np.float32], start: Floats, end: Floats) -> tuple[Floats, Floats]:
    """The line shifted across and turned so that its wave is strongest: where all marks are."""
    along = (end - start) / np.hypot(*(end - start))
    across = np.array([-along[1], along[0]])
    best = (-1.0, start, end)
    for reach, step, turns in ((24, 4, (0.0,)), (6, 2, (-2.0, -1.0, 0.0, 1.0, 2.0))):
        _, first, last = best
        middle = (first + last) / 2
        for turn in turns:
            angle = math.radians(turn)
            c, s = math.cos(angle), math.sin(angle)
            rotation = np.array([[c, -s], [s, c]])
            ends = [middle + rotation @ (one - middle) for one in (first, last)]
            for shift in range(-reach, reach + 1, step):
                one, other = (place + shift * across for place in ends)
                rate, level = _rate(_strip(grey, one, other))
                strength = rate * level  # the finest marks count: longer ones every 5 or 10 are fewer
                if strength > best[0]:
                    best = (strength, one, other)
    return best[1], best[2]


def _along(grey: NDArray[np.float32], start: Floats, end: Floats) -> Ruler | None:
    """The row of marks on a line; None where there is none."""
    strip = _strip(grey, start, end)
    rate, _ = _rate(strip)
    if rate <= 0:
        return None
    place = np.arange(len(strip)) * CLOSE
    width = 3 / rate / CLOSE  # the window's standard deviation: three marks
    wave = strip * np.exp(-2j * np.pi * rate * place)
    slow = (
        cv2.GaussianBlur(wave.real[None], (0, 0), width)[0]
        + 1j * cv2.GaussianBlur(wave.imag[None], (0, 0), width)[0]
    )
    level = np.sqrt(cv2.GaussianBlur((strip**2)[None], (0, 0), width)[0])
    clear = (np.abs(slow) > 0.3 * level) & (np.abs(slow) > 0.3 * np.quantile(np.abs(slow), 0.98))
    first, last = _longest(clear)
    if (last - first) * CLOSE * rate < FEWEST:
        return None
    where = place[first:last]
    count = rate * where + np.unwrap(np.angle(slow[first:last])) / (2 * np.pi)
    middle = (where[0] + where[-1]) / 2
    bend, slope, offset = np.polyfit(where - middle, count, 2)
    off = count - np.polyval([bend, slope, offset], where - middle)
    span = float(where[-1] - where[0])
    ends = [slope + 2 * bend * t for t in (-span / 2, span / 2)]
    marks = slope * span
    if min(ends) <= 0 or np.std(off) > 0.25:
        return None
    independent = max(marks / 6, 2.0)
    error = float(np.sqrt(12 / independent) * max(np.std(off), 0.02) / marks)
    along = (end - start) / np.hypot(*(end - start))
    return Ruler(
        start + where[0] * along,
        start + where[-1] * along,
        1 / slope,
        error,
        float(ends[0] / ends[1] - 1),
        float(marks),
    )


def _longest(flags: NDArray[np.bool_]) -> tuple[int, int]:
    """Where the longest run of True begins and ends."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    if not len(edges):
        return 0, 0
    begins, ends = edges[::2], edges[1::2]
    k = int((ends - begins).argmax())
    return int(begins[k]), int(ends[k])


def ruler_scale(
    ruler: Ruler, distance: float = 1.0, error: float = 0.0, focal: float | None = None
) -> PlaneScale:
    """The plane on which a ruler lies, taken to be seen straight on.

    Args:
        ruler: its marks.
        distance: between neighbouring marks, mm.
        error: one standard deviation of it, as a part of it.
        focal: focal length in pixels, or about that: then the error has a tilt of :data:`HAND_HELD` in it,
            and grows with the distance from the ruler.

    Raises:
        InputError: a distance that is not positive.
    """
    if not (math.isfinite(distance) and distance > 0):
        raise InputError(f"ruler: expected a distance of marks above 0 mm, got {distance:g}; correct it")
    note = ""
    if abs(ruler.change) > 0.02:
        note = (
            f"the ruler's marks are {100 * abs(ruler.change):.0f} % closer at one end: the picture is "
            "tilted, which one ruler does not correct; use a square marker"
        )
    whole = math.hypot(error, ruler.error, ruler.change / math.sqrt(12))
    source = f"ruler: {ruler.marks:.0f} marks, {ruler.spacing:.2f} px for {distance:g} mm"
    scale = PlaneScale.of_pixel(distance / ruler.spacing, source, whole)
    samples = None
    if focal is not None:
        steep = math.tan(math.radians(HAND_HELD)) / focal
        slopes = steep * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]]) * math.sqrt(2)
        samples = tilted_by(scale.homography, (ruler.start + ruler.end) / 2, slopes)
    return PlaneScale(scale.homography, source, whole, samples, note)


__all__ = ["Ruler", "find_ruler", "ruler_scale"]

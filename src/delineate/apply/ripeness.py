"""Colour of fruit in CIELAB, and grades by how much of the surface is ripe.

CIELAB is computed from sRGB with the white D65 (CIE 15:2018); hue is the angle of (a*, b*): red about 20 to
40 degrees, orange 60, yellow 100, green 130. Light decides too: grades compare fruit under one light, with
a camera whose white balance is fixed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances

from .draw import display

GLARE = (97.0, 10.0)
"""Lighter than this and with less chroma than that is a burnt-out reflection: it has no colour left."""
DARK = 6.0
"""Lightness below which a pixel has no colour to speak of."""
RED_MEANS = "CIELAB hue {0:g} to {1:g} degrees with a chroma of {2:g} or more"


@dataclass(frozen=True)
class Grades:
    """Names of grades by the share of the surface that has the ripe colour.

    Attributes:
        name: of the set.
        source: where the thresholds stand.
        hue: the ripe colour's range of hue in degrees, from the first to the second, through 360 where the
            second is smaller.
        chroma: least chroma of the ripe colour.
        steps: (name, least share 0..1), ascending from 0.

    Raises:
        InputError: no step, shares that do not rise from 0, or numbers out of range.
    """

    name: str
    source: str
    hue: tuple[float, float]
    chroma: float
    steps: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        shares = [share for _, share in self.steps]
        if not shares or shares[0] != 0 or sorted(set(shares)) != shares or shares[-1] > 1:
            raise InputError(
                f"grades {self.name}: expected shares rising from 0 to at most 1, got {shares}; correct them"
            )
        if not (all(0 <= h <= 360 for h in self.hue) and 0 <= self.chroma <= 200):
            raise InputError(
                f"grades {self.name}: expected a hue of 0 to 360 degrees and a chroma of 0 to 200, got "
                f"{self.hue} and {self.chroma}; correct them"
            )

    def grade(self, share: float) -> str:
        """The grade of a fruit with this share of ripe surface; empty for NaN.

        Example:
            >>> GRADES["tomato"].grade(0.05), GRADES["tomato"].grade(0.95)
            ('breakers', 'red')
        """
        if math.isnan(share):
            return ""
        return [name for name, least in self.steps if share >= least][-1]

    def ripe(self, hue: NDArray[Any], chroma: NDArray[Any]) -> NDArray[np.bool_]:
        """Which colours are ripe."""
        low, high = self.hue
        inside = (hue >= low) & (hue <= high) if low <= high else (hue >= low) | (hue <= high)
        return np.asarray(inside & (chroma >= self.chroma), bool)

    def told(self) -> str:
        """The thresholds in words."""
        steps = ", ".join(f"{name} from {share:.4g}" for name, share in self.steps)
        return f"{self.source}; ripe: {RED_MEANS.format(*self.hue, self.chroma)}; shares: {steps}"


_TINY = 1e-9
GRADES = {
    "tomato": Grades(
        "tomato",
        "U.S. standards for fresh tomatoes, 7 CFR 51.1860",
        (330.0, 75.0),
        20.0,
        (
            ("green", 0.0),
            ("breakers", 0.01),
            ("turning", 0.1 + _TINY),
            ("pink", 0.3 + _TINY),
            ("light red", 0.6 + _TINY),
            ("red", 0.9 + _TINY),
        ),
    ),
    "strawberry": Grades(
        "strawberry",
        "U.S. standards for strawberries, 7 CFR 51.3115 and 51.3117 (colour alone)",
        (330.0, 50.0),
        15.0,
        (("below No. 2", 0.0), ("No. 2", 0.5), ("No. 1", 0.75)),
    ),
}
"""Known sets. What part of the surface they speak of is the part that the picture shows."""


@dataclass(frozen=True, eq=False)
class Colours:
    """Median colours of N objects; NaN where nothing of an object could be judged.

    Attributes:
        lightness: (N,) L*, 0..100.
        a: (N,) a*, green to red.
        b: (N,) b*, blue to yellow.
        hue: (N,) degrees 0..360 of the median a*, b*.
        chroma: (N,) of the median a*, b*.
        ripe: (N,) share of the judged pixels with the ripe colour, 0..1; NaN without grades.
        judged: (N,) share of the object's pixels that are no reflection and not too dark, 0..1.
    """

    lightness: NDArray[np.float64]
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    hue: NDArray[np.float64]
    chroma: NDArray[np.float64]
    ripe: NDArray[np.float64]
    judged: NDArray[np.float64]


def lab(image: ArrayLike) -> NDArray[np.float32]:
    """An image as (H, W, 3) CIELAB; grey images have a* = b* = 0.

    Example:
        >>> lab(np.array([[[255, 0, 0]]], np.uint8)).round().astype(int).tolist()
        [[[53, 80, 67]]]
    """
    pixels = np.ascontiguousarray(display(image)).astype(np.float32) / np.float32(255)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB), np.float32)


def hue_chroma(a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Degrees 0..360, and the distance from grey."""
    return np.degrees(np.arctan2(b, a)) % 360, np.hypot(a, b)


def colours(instances: Instances, image: ArrayLike, grades: Grades | None = None) -> Colours:
    """The colour of each object.

    A rim of an object's mask, a tenth of its radius, is left out where enough remains: there the background
    mixes in. Reflections (:data:`GLARE`) and darkness (:data:`DARK`) are left out too.

    Args:
        instances: N objects with masks.
        image: (H, W, 3) sRGB that they were found in.
        grades: what counts as ripe.

    Raises:
        InputError: boxes alone, or an image of another size.
    """
    if instances.masks is None:
        raise InputError("colours: expected masks, got boxes only; use a model that predicts masks")
    space = lab(image)
    if space.shape[:2] != instances.size:
        raise InputError(
            f"colours: expected the image of the objects, {instances.size[0]} x {instances.size[1]}, got "
            f"{space.shape[0]} x {space.shape[1]}; give the one they were found in"
        )
    table = np.full((len(instances), 7), np.nan)
    for i in range(len(instances)):
        crop, (x, y) = instances.masks.crop(i)
        if crop.size:
            window = space[y : y + crop.shape[0], x : x + crop.shape[1]]
            table[i] = _colour(window[_core(crop)], grades)
    return Colours(*table.T)


def _core(crop: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask without its rim, or the mask where it is thin."""
    depth = cv2.distanceTransform(np.pad(crop.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    inner = depth > 0.1 * depth.max() + 1
    return np.asarray(inner if inner.sum() >= max(9, crop.sum() // 3) else crop, bool)


def _colour(pixels: NDArray[np.float32], grades: Grades | None) -> list[float]:
    hue, chroma = hue_chroma(pixels[:, 1], pixels[:, 2])
    seen = (pixels[:, 0] > DARK) & ~((pixels[:, 0] > GLARE[0]) & (chroma < GLARE[1]))
    judged = float(seen.mean())
    if not seen.any():
        return [np.nan] * 6 + [judged]
    lightness, a, b = (float(v) for v in np.median(pixels[seen], axis=0))
    h, c = hue_chroma(np.array(a), np.array(b))
    ripe = float(grades.ripe(hue[seen], chroma[seen]).mean()) if grades is not None else np.nan
    return [lightness, a, b, float(h), float(c), ripe, judged]


__all__ = ["GRADES", "Colours", "Grades", "colours", "hue_chroma", "lab"]

"""Soft edges: how much of each pixel an object covers, from its hard mask and the image.

A mask says yes or no; at a camera's edges a pixel is part object, part background. The share, alpha, is
looked for in a band around the mask's outline alone; what lies deeper is wholly in or wholly out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .closed_form import solve_alpha
from .clusters import clusters

Floats = NDArray[np.float32]
Edges = Literal["guided", "fine", "hard"]
EDGES: tuple[Edges, ...] = ("guided", "fine", "hard")
EPSILON = 5e-4  # of the guide's variance, range 0..1: how much contrast counts as an edge
RADIUS = 0.55  # of the band: the squares of the guided filter
WIDE = 3  # pixels of a square's radius from which, doubled, a smaller picture serves
RAMP = 0.1  # of the band: the sigma by which the mask's steps are smoothed first


@dataclass(frozen=True)
class MatteSettings:
    """How edges are softened.

    Attributes:
        edges: "guided": the guided filter, quick enough for video; "fine": closed-form matting, slower,
            for photographs; "hard": the mask as it is.
        band: pixels on each side of the outline in which a pixel may be partly covered; 0: a hundredth of
            the image's longer side, at least 2.

    Raises:
        InputError: an unknown kind of edges, or a band out of range.
    """

    edges: Edges = "guided"
    band: float = 0.0

    def __post_init__(self) -> None:
        if self.edges not in EDGES:
            raise InputError(f"edges: expected one of {', '.join(EDGES)}, got {self.edges!r}; choose one")
        if not 0 <= self.band <= 200:
            raise InputError(f"band: expected 0 to 200 pixels, got {self.band}; 0 chooses by the image")

    def reach(self, size: tuple[int, int]) -> int:
        """The band in whole pixels on an image of (height, width)."""
        return max(1, round(self.band)) if self.band else max(2, round(max(size) / 100))


def soft_alpha(
    mask: NDArray[np.bool_], image: NDArray[np.uint8], settings: MatteSettings | None = None
) -> Floats:
    """The share of each pixel that the object covers.

    Args:
        mask: (H, W) bool, the object's hard mask, or several objects' union.
        image: (H, W, 3) uint8 RGB.
        settings: how edges are softened.

    Returns:
        (H, W) float32 in 0..1; 1 deeper inside the mask than the band, 0 farther outside.

    Raises:
        InputError: mask and image of different sizes.

    Example:
        >>> picture = np.zeros((8, 8, 3), np.uint8)
        >>> picture[:, 4:] = 255
        >>> soft_alpha(picture[:, :, 0] > 0, picture, MatteSettings("hard"))[0].tolist()
        [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    """
    settings = settings or MatteSettings()
    if mask.shape != image.shape[:2]:
        raise InputError(
            f"soft_alpha: expected a mask of the image's size {image.shape[:2]}, got {mask.shape}; "
            "give the image that it was made on"
        )
    alpha = mask.astype(np.float32)
    if settings.edges == "hard" or not mask.any() or mask.all():
        return alpha
    band = settings.reach((image.shape[0], image.shape[1]))
    for rows, columns, own in clusters(mask, 3 * band + 2):
        inside, picture = mask[rows, columns] & own, image[rows, columns]
        known, unknown = trimap(inside, band)
        guess = _guided_alpha(inside, picture, band)
        if settings.edges == "fine":
            guess = solve_alpha(picture, known, unknown, np.where(unknown, guess, known))
        alpha[rows, columns][own] = np.where(unknown, guess, known)[own]
    return alpha


def trimap(mask: NDArray[np.bool_], band: int) -> tuple[Floats, NDArray[np.bool_]]:
    """What is sure: (H, W) float32, 1 inside and 0 outside; and (H, W) bool, where it is not known.

    An object thinner than the band keeps its middle line as sure: the band there reaches inwards by no more
    than half of what the object is thick.
    """
    inward = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    outward = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    thickest = cv2.dilate(inward, np.ones((2 * band + 1,) * 2, np.uint8))
    deep = inward > np.minimum(band, 0.6 * thickest)
    unknown = (mask & ~deep) | (~mask & (outward <= band))
    return deep.astype(np.float32), np.asarray(unknown)


def _guided_alpha(mask: NDArray[np.bool_], image: NDArray[np.uint8], band: int) -> Floats:
    """(H, W) in 0..1: the mask bent to the image's edges; the constants were tuned on exact alpha."""
    smooth = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(0.5, RAMP * band))
    return np.clip(guided_filter(image, np.asarray(smooth, np.float32), max(2, round(RADIUS * band))), 0, 1)


def guided_filter(guide: NDArray[np.uint8], values: Floats, radius: int, epsilon: float = EPSILON) -> Floats:
    """The guided filter with a colour guide (He, Sun and Tang 2013, "Guided Image Filtering", section 3.5).

    In each square of ``2 radius + 1`` pixels the result is the linear function of the guide's colour that
    comes nearest to the values, so it has edges only where the guide has them. Wide squares are averaged on a
    smaller picture (He and Sun 2015, "Fast Guided Filter").

    Args:
        guide: (H, W, 3) uint8.
        values: (H, W) float32.
        radius: of the square, pixels.
        epsilon: how strongly the function is kept flat, in squared units of the guide's range 0..1.

    Returns:
        (H, W) float32; may overshoot the values a little.
    """
    colour = guide.astype(np.float32) / np.float32(255)  # (H, W, 3)
    colour -= colour.mean(axis=(0, 1))  # smaller numbers lose less in float32
    step = max(1, radius // WIDE)
    if step == 1:
        slope, offset = _fitted(colour, values, radius, epsilon)
    else:
        size = (-(-guide.shape[1] // step), -(-guide.shape[0] // step))
        small, level = (_resized(v, size, cv2.INTER_AREA) for v in (colour, values))
        parts = _fitted(small, level, max(1, round(radius / step)), epsilon)
        slope, offset = (_resized(part, (guide.shape[1], guide.shape[0])) for part in parts)
    return np.asarray((slope * colour).sum(axis=2) + offset, np.float32)


def _fitted(colour: Floats, values: Floats, radius: int, epsilon: float) -> tuple[Floats, Floats]:
    """The linear functions, averaged over the squares that hold a pixel: (H, W, 3) slopes, (H, W) offsets."""
    side = (2 * radius + 1, 2 * radius + 1)

    def mean(of: NDArray[Any]) -> Floats:
        return np.asarray(cv2.boxFilter(of, -1, side, borderType=cv2.BORDER_REFLECT), np.float32)

    average, level = mean(colour), mean(values)
    shared = mean(colour * values[..., None]) - average * level[..., None]  # covariance of colour and values
    first, second = mean(colour * colour[..., :1]), mean(colour[..., 1:] * colour[..., 1:2])
    last = mean(colour[..., 2] * colour[..., 2])
    moments = [(0, j, first[..., j]) for j in range(3)]
    moments += [(1, 1, second[..., 0]), (1, 2, second[..., 1]), (2, 2, last)]
    spread = {(i, j): moment - average[..., i] * average[..., j] for i, j, moment in moments}
    slope = _solved(spread, shared, epsilon)  # (H, W, 3)
    return mean(slope), mean(level - (slope * average).sum(axis=2))


def _resized(values: Floats, size: tuple[int, int], how: int = cv2.INTER_LINEAR) -> Floats:
    """At another (width, height)."""
    return np.asarray(cv2.resize(values, size, interpolation=how), np.float32)


def _solved(spread: dict[tuple[int, int], Floats], right: Floats, epsilon: float) -> Floats:
    """(H, W, 3): per pixel the symmetric matrix plus epsilon on its diagonal, inverted, times ``right``."""
    a, b, c = spread[0, 0] + epsilon, spread[0, 1], spread[0, 2]
    d, e, f = spread[1, 1] + epsilon, spread[1, 2], spread[2, 2] + epsilon
    c00, c01, c02 = d * f - e * e, c * e - b * f, b * e - c * d
    c11, c12, c22 = a * f - c * c, b * c - a * e, a * d - b * b
    determinant = np.maximum(a * c00 + b * c01 + c * c02, np.float32(epsilon**3))
    x, y, z = right[..., 0], right[..., 1], right[..., 2]
    rows = (c00 * x + c01 * y + c02 * z, c01 * x + c11 * y + c12 * z, c02 * x + c12 * y + c22 * z)
    return np.asarray(np.stack(rows, -1) / determinant[..., None], np.float32)


def clean_colours(image: NDArray[np.uint8], alpha: Floats, radius: int = 24) -> NDArray[np.uint8]:
    """The object's own colours at its edges, without what the background adds there.

    Blur fusion (Forte 2021, "Approximate Fast Foreground Colour Estimation"), twice: with ``radius``, then 3.

    Args:
        image: (H, W, 3) uint8 RGB.
        alpha: (H, W) in 0..1.
        radius: how far colours are looked for, pixels; above the width of the soft edge.

    Returns:
        (H, W, 3) uint8: the image where alpha is 1, the object's nearest colours where it is less.
    """
    soft = (alpha > 0) & (alpha < 1)
    clean = image.copy()
    if not soft.any():
        return clean
    step = max(1, radius // 6)  # wide averages need no fine picture
    for rows, columns, own in clusters(soft, radius):
        part, share = image[rows, columns].astype(np.float32), alpha[rows, columns, None]
        wide = (part.shape[1], part.shape[0])
        size = (max(1, wide[0] // step), max(1, wide[1] // step))
        small, light = _resized(part, size, cv2.INTER_AREA), _resized(share, size, cv2.INTER_AREA)[..., None]
        coarse = _fused(small, small, small, light, max(1, radius // step))
        front, back = (_resized(c, wide) for c in coarse)
        front, _ = _fused(part, front, back, share, 3)
        edge = soft[rows, columns] & own
        clean[rows, columns][edge] = np.clip(np.rint(front[edge]), 0, 255).astype(np.uint8)
    return clean


def _fused(image: Floats, front: Floats, back: Floats, alpha: Floats, size: int) -> tuple[Floats, Floats]:
    """One round: colours of front and back, averaged nearby and corrected so that they make up the image."""
    side = (2 * size + 1, 2 * size + 1)
    near = cv2.blur(np.concatenate([alpha, 1 - alpha], -1), side)
    near_front = cv2.blur(front * alpha, side) / (near[..., :1] + np.float32(1e-5))
    near_back = cv2.blur(back * (1 - alpha), side) / (near[..., 1:] + np.float32(1e-5))
    rest = image - alpha * near_front - (1 - alpha) * near_back
    return near_front + alpha * rest, near_back


__all__ = ["EDGES", "Edges", "MatteSettings", "clean_colours", "guided_filter", "soft_alpha", "trimap"]

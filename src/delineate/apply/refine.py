"""Rough outlines moved to the edges of the image: polygons of few points become masks.

Each object is worked on in a window around it, within a band along its outline. In turn, local means of the
inside and of the outside are taken, and each pixel of the band goes to the side it is more like, while a blur
of the mask keeps the outline short: threshold dynamics of the local Chan-Vese model (Lankton, Tannenbaum,
"Localizing Region-Based Active Contours", IEEE Transactions on Image Processing 17, 2008; Wang, Li, Wei,
Wang, "An efficient iterative thresholding method for image segmentation", Journal of Computational Physics
350, 2017).

How large an object is, a blurred edge does not say: where its annotator cuts it is a habit. So the image
decides on the shape, and the polygon mostly on the area: the threshold is such that the area stays near the
polygon's. A polygon whose points lie on a round outline cuts segments off; an arc of chord L that turns by t
has L^2 t / 12 beyond its chord (in first order), which is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from delineate.core.errors import InputError
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon

Mask = NDArray[np.bool_]
Pixels = NDArray[np.float32]
LEAST = 12  # pixels of an object that can be refined
SHARP = 1.2  # a polygon that turns by more (radians) has a corner there, and no arc
LOCAL = 0.5  # the means reach so far, in square roots of the object's area
STEPS = 6
KEEP_AREA = 0.8  # 1 keeps the polygon's area, 0 leaves it to the image
STRONGEST = 0.25  # of the scores, which lie in -1..1 and beyond: a clear edge overrules the area
LARGEST_ARCS = 0.12  # of the area


@dataclass(frozen=True)
class RefineSettings:
    """How outlines are refined.

    Attributes:
        reach: how far an outline may move, in square roots of the object's area (half its width, about),
            0..1; a pixel at least.
        trust: how far to trust the polygon's points, 0..1. At 0 the image leads; from there on the outline
            begins as a curve through the points and is held to it, at 1 as strongly as the image pulls.

    Raises:
        InputError: a setting out of range.
    """

    reach: float = 0.08
    trust: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.reach <= 1 or not 0 <= self.trust <= 1:
            raise InputError(
                f"refine: expected a reach above 0, at most 1, and a trust in 0..1, got {self.reach}, "
                f"{self.trust}; give for example 0.08 and 0"
            )


DEFAULT = RefineSettings()


def refine_masks(
    image: ArrayLike,
    masks: Masks,
    polygons: Sequence[Sequence[Polygon] | None] | None = None,
    settings: RefineSettings = DEFAULT,
) -> Masks:
    """The masks moved to the edges of the image.

    Args:
        image: (H, W) or (H, W, C) numbers, in which the objects differ from what is around them.
        masks: N masks of this image. Pixels of others are never taken, nor twice; fewer than twelve pixels
            stay as they are.
        polygons: by object its outlines as drawn, where known; they tell what arcs its edges cut off.
        settings: how.

    Raises:
        InputError: an image of another size.

    Example:
        >>> y, x = np.mgrid[:40, :40] + 0.5
        >>> disc = np.hypot(x - 20, y - 20) < 12
        >>> rough = Polygon([[20, 7], [32, 18], [24, 32], [8, 24]])
        >>> masks = Masks.from_polygons([[rough]], (40, 40))
        >>> truth = Masks.from_dense(disc[None])
        >>> found = refine_masks(disc * 200, masks, [[rough]], RefineSettings(reach=0.2))
        >>> round(float(masks.iou(truth)[0, 0]), 2), round(float(found.iou(truth)[0, 0]), 2)
        (0.69, 0.99)
    """
    pixels = np.asarray(image, dtype=np.float32)
    if pixels.shape[:2] != masks.size or pixels.ndim not in (2, 3):
        raise InputError(
            f"refine: expected the image of the masks, {masks.size[0]} x {masks.size[1]}, got "
            f"{pixels.shape}; give the one they were drawn on"
        )
    pixels = pixels.reshape(*masks.size, -1)
    labels = masks.to_label_image().copy()
    crops, corners = [], []
    for i in range(len(masks)):
        crop, corner = masks.crop(i)
        drawn = polygons[i] if polygons is not None else None
        if np.count_nonzero(crop) >= LEAST:
            old = crop, corner
            crop, corner = _refined(pixels, labels, i, crop, corner, drawn, settings)
            _claim(labels, i + 1, old, (crop, corner))
        crops.append(crop)
        corners.append(corner)
    return Masks.from_crops(crops, np.array(corners, dtype=np.int64).reshape(-1, 2), masks.size)


def _refined(
    pixels: Pixels, labels: NDArray[np.int32], i: int, crop: Mask, corner: tuple[int, int],
    drawn: Sequence[Polygon] | None, settings: RefineSettings,
) -> tuple[Mask, tuple[int, int]]:  # fmt: skip
    """One object's new mask in the window around it, and the window's corner."""
    (x, y), (height, width) = corner, crop.shape
    margin = max(6, max(height, width) // 2)
    x0, y0 = max(0, x - margin), max(0, y - margin)
    x1, y1 = min(labels.shape[1], x + width + margin), min(labels.shape[0], y + height + margin)
    mask = np.zeros((y1 - y0, x1 - x0), dtype=np.bool_)
    mask[y - y0 : y - y0 + height, x - x0 : x - x0 + width] = crop
    around = labels[y0:y1, x0:x1]
    others = (around > 0) & (around != i + 1) & ~mask
    area = float(np.count_nonzero(mask))
    reach = max(1.0, settings.reach * area**0.5)
    if drawn is not None:
        area += min(sum(arcs(part.exterior) for part in drawn), LARGEST_ARCS * area)
        if settings.trust > 0:
            mask = _curved(drawn, (x0, y0), mask) & ~others
    window = np.ascontiguousarray(pixels[y0:y1, x0:x1])
    return evolve(window, mask, others, reach, settings.trust, area), (x0, y0)


def _claim(
    labels: NDArray[np.int32],
    number: int,
    old: tuple[Mask, tuple[int, int]],
    new: tuple[Mask, tuple[int, int]],
) -> None:
    """An object's old pixels are free, those of its new mask that are free are its own."""
    for (mask, (x, y)), before, after in ((old, number, 0), (new, 0, number)):
        there = labels[y : y + mask.shape[0], x : x + mask.shape[1]]
        there[mask & (there == before)] = after


def evolve(
    pixels: Pixels, mask: Mask, others: Mask, reach: float, trust: float = 0.0, area: float | None = None
) -> Mask:
    """A mask moved to the edges of a window.

    Args:
        pixels: (H, W, C) float32.
        mask: (H, W) the object so far.
        others: (H, W) what belongs to other objects: never taken, and no background either.
        reach: pixels by which the outline may move.
        trust: 0..1, see :class:`RefineSettings`.
        area: pixels that the object should have; default as it has.
    """
    area = float(np.count_nonzero(mask)) if area is None else area
    depth = _depth(mask)
    band = (np.abs(depth) <= reach + 0.5) & ~others
    core = np.count_nonzero(mask & ~band)
    if not band.any() or not mask.any():
        return mask
    local = max(2.0, LOCAL * float(np.count_nonzero(mask)) ** 0.5)
    held = trust / 2 * np.clip(depth / reach, -1, 1)
    place = int(np.clip(round(area - core), 0, np.count_nonzero(band) - 1))
    current = mask
    for _ in range(STEPS):
        inside, outside = current.astype(np.float32), (~current & ~others).astype(np.float32)
        smooth = cv2.GaussianBlur(inside, (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE)
        score = smooth - 0.5 + _likeness(pixels, inside, outside, local) / 2 + held
        ranked = np.sort(score[band])[::-1]
        level = float(np.clip(KEEP_AREA * ranked[place], -STRONGEST, STRONGEST))
        new = np.where(band, score > level, mask)
        if (new == current).all():
            break
        current = new
    return current


def arcs(ring: NDArray[np.float64]) -> float:
    """The area in square pixels that a polygon lacks if its points lie on a smooth outline; of a hollow, less
    than 0.

    Example:
        >>> angle = np.linspace(0, 2 * np.pi, 10, endpoint=False)
        >>> decagon = 10 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        >>> round(float(100 * np.pi - Polygon(decagon).area), 1), round(arcs(decagon), 1)
        (20.3, 20.0)
    """
    along = np.roll(ring, -1, axis=0) - ring
    heading = np.arctan2(along[:, 1], along[:, 0])
    turn = (heading - np.roll(heading, 1) + np.pi) % (2 * np.pi) - np.pi
    across = ring[:, 0] * np.roll(ring[:, 1], -1) - ring[:, 1] * np.roll(ring[:, 0], -1)
    edge = np.sign(across.sum()) * (turn + np.roll(turn, -1)) / 2
    return float(((along**2).sum(axis=1) * np.where(np.abs(edge) < SHARP, edge, 0)).sum() / 12)


def _likeness(pixels: Pixels, inside: Pixels, outside: Pixels, local: float) -> Pixels:
    """(H, W) in -1..1: which local mean each pixel is nearer to, by contrast and spread; above 0 inside."""
    weights = _blurred(np.stack([inside, outside], axis=2), local) + np.float32(1e-6)
    sums = _blurred(np.concatenate([pixels * inside[..., None], pixels * outside[..., None]], axis=2), local)
    channels = pixels.shape[2]
    mean_in, mean_out = sums[..., :channels] / weights[..., :1], sums[..., channels:] / weights[..., 1:]
    to_in, to_out = ((pixels - mean_in) ** 2).sum(axis=2), ((pixels - mean_out) ** 2).sum(axis=2)
    contrast = ((mean_in - mean_out) ** 2).sum(axis=2)
    spread = _blurred(np.stack([to_in * inside, to_out * outside], axis=2), local) / weights
    scale = contrast + spread.sum(axis=2) + 1e-3 * contrast.max() + 1e-9
    return np.asarray(np.clip((to_out - to_in) / scale, -1, 1), dtype=np.float32)


def _blurred(planes: Pixels, sigma: float) -> Pixels:
    """(H, W, P) blurred; wide blurs on a smaller image."""
    height, width = planes.shape[:2]
    factor = max(1, int(sigma / 6))
    shape = (max(1, width // factor), max(1, height // factor))
    made = np.empty_like(planes)
    for k in range(planes.shape[2]):
        plane: NDArray[Any] = np.ascontiguousarray(planes[..., k])
        if factor > 1:
            plane = cv2.resize(plane, shape, interpolation=cv2.INTER_AREA)
        plane = cv2.GaussianBlur(plane, (0, 0), sigma / factor, borderType=cv2.BORDER_REPLICATE)
        made[..., k] = cv2.resize(plane, (width, height)) if factor > 1 else plane
    return made


def _depth(mask: Mask) -> Pixels:
    """(H, W) distance to the other side in pixels, below 0 outside."""
    inner = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    outer = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(inner - outer, dtype=np.float32)


def _curved(drawn: Sequence[Polygon], corner: tuple[int, int], mask: Mask) -> Mask:
    """The object with a smooth curve through its points; as it is where that is no outline."""
    from scipy.interpolate import CubicSpline

    parts = []
    for part in drawn:
        rings = []
        for ring in part.rings:
            closed = np.concatenate([ring, ring[:1]])
            steps = np.hypot(*np.diff(closed, axis=0).T)
            closed = closed[np.concatenate([[True], steps > 0])]
            if len(closed) < 4:
                return mask
            closed[-1] = closed[0]
            at = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
            curve = CubicSpline(at, closed, bc_type="periodic")
            rings.append(curve(np.linspace(0, at[-1], max(12, 2 * int(at[-1])), endpoint=False)) - corner)
        parts.append(Polygon(rings[0], tuple(rings[1:])))
    made = Masks.from_polygons([parts], mask.shape).dense()[0]
    return made if np.count_nonzero(made) >= LEAST else mask

"""Leaves and their lesions: which lesion is on which leaf, and how much of each leaf is diseased.

A lesion belongs to the leaf that has most of its pixels. The diseased part of a leaf is what lies under any
of its lesions, each pixel once; severity is that part's score on a scale of the trade.
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
from delineate.core.labels import Labels
from delineate.core.masks import Masks

from .ripeness import lab

Floats = NDArray[np.float64]
CHROMA = (8.0, 22.0)
"""A leaf's least chroma is found in the picture (Otsu 1979), but never below or above these."""
SMALLEST = 0.01
"""Share of the picture below which a coloured patch is no leaf."""


@dataclass(frozen=True)
class SeverityScale:
    """Scores by the diseased part of a leaf.

    Attributes:
        name: of the scale.
        source: where it stands.
        steps: (score, least part 0..1), ascending from 0. A part above 0 never has the first score where the
            first is that of a healthy leaf.

    Raises:
        InputError: no step, or parts that do not rise from 0.
    """

    name: str
    source: str
    steps: tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        parts = [part for _, part in self.steps]
        if not parts or parts[0] != 0 or sorted(parts) != parts or parts[-1] > 1:
            raise InputError(
                f"severity {self.name}: expected parts rising from 0 to at most 1, got {parts}; correct them"
            )

    def score(self, part: float) -> int | None:
        """The score of a diseased part, 0..1; None for NaN.

        Example:
            >>> [SCALES["brown-spot"].score(part) for part in (0.0, 0.004, 0.02, 0.3)]
            [0, 1, 2, 7]
        """
        if math.isnan(part):
            return None
        return [score for score, least in self.steps if (part > 0 and part >= least) or least == score == 0][
            -1
        ]

    def told(self) -> str:
        """The thresholds in words."""
        return f"{self.source}: " + ", ".join(f"{score} from {100 * part:g} %" for score, part in self.steps)


SCALES = {
    "brown-spot": SeverityScale(
        "brown-spot",
        "IRRI, Standard Evaluation System for Rice, 5th edition 2013, brown spot: affected leaf area",
        ((0, 0.0), (1, 0.0), (2, 0.01), (3, 0.035), (4, 0.055), (5, 0.105), (6, 0.155), (7, 0.255),
         (8, 0.505), (9, 0.755)),
    ),
    "bacterial-blight": SeverityScale(
        "bacterial-blight",
        "IRRI, Standard Evaluation System for Rice, 5th edition 2013, bacterial blight in the field",
        ((0, 0.0), (1, 0.0), (3, 0.055), (5, 0.125), (7, 0.255), (9, 0.505)),
    ),
    "horsfall-barratt": SeverityScale(
        "horsfall-barratt",
        "Horsfall and Barratt 1945, Phytopathology 35:655",
        ((0, 0.0), (1, 0.0), (2, 0.03), (3, 0.06), (4, 0.12), (5, 0.25), (6, 0.5), (7, 0.75), (8, 0.88),
         (9, 0.94), (10, 0.97), (11, 1.0)),
    ),
}  # fmt: skip
"""Known scales. Those of IRRI name whole percents (1 to 3, 4 to 5, ...): a boundary lies midway between."""


@dataclass(frozen=True, eq=False)
class Diseased:
    """Leaves and lesions joined.

    Attributes:
        leaf: (M,) index 0..N-1 of each lesion's leaf; -1 for a lesion on none.
        share: (M,) part of the lesion's pixels on that leaf, 0..1.
        leaf_area: (N,) pixels.
        diseased_area: (N,) pixels of the leaf under any of its lesions.
        by_class: (N, K) the same for each of the lesions' classes alone.
        lesions: (N,) lesions of each leaf.
    """

    leaf: NDArray[np.int64]
    share: Floats
    leaf_area: NDArray[np.int64]
    diseased_area: NDArray[np.int64]
    by_class: NDArray[np.int64]
    lesions: NDArray[np.int64]

    @property
    def fraction(self) -> Floats:
        """(N,) diseased part of each leaf, 0..1; NaN for a leaf without pixels."""
        known = np.where(self.leaf_area > 0, self.leaf_area, np.nan)
        return np.asarray(self.diseased_area / known, np.float64)


def diseased(leaves: Instances, lesions: Instances) -> Diseased:
    """Gives each lesion its leaf and each leaf its diseased part.

    Args:
        leaves: N of them, with masks.
        lesions: M of them, with masks, of the same image.

    Raises:
        InputError: boxes alone, or two images.

    Example:
        >>> leaf = Masks.from_dense(np.pad(np.ones((1, 10, 10), bool), ((0, 0), (0, 0), (0, 2))))
        >>> spot = np.zeros((1, 10, 12), bool)
        >>> spot[0, :5, 8:] = True
        >>> lesion = Instances((10, 12), masks=Masks.from_dense(spot))
        >>> found = diseased(Instances((10, 12), masks=leaf), lesion)
        >>> found.leaf.tolist(), found.share.tolist(), found.fraction.tolist()
        ([0], [0.5], [0.1])
    """
    if leaves.masks is None or lesions.masks is None:
        raise InputError("leaves: expected masks, got boxes only; use a model that predicts masks")
    if leaves.size != lesions.size:
        raise InputError(
            f"leaves: expected leaves and lesions of one image, got {leaves.size} and {lesions.size}; "
            "give those of one"
        )
    leaf = np.full(len(lesions), -1, np.int64)
    most = np.zeros(len(lesions), np.int64)
    for i, j, shared in zip(*lesions.masks.intersection_pairs(leaves.masks), strict=True):
        if shared > most[i]:
            leaf[i], most[i] = j, shared
    classes = len(lesions.classes)
    area, each = np.zeros(len(leaves), np.int64), np.zeros((len(leaves), classes), np.int64)
    for j in np.unique(leaf[leaf >= 0]).tolist():
        mine = np.flatnonzero(leaf == j)
        area[j] = _under(leaves.masks[[j]], lesions.masks[mine])
        for k in np.unique(lesions.labels[mine]).tolist():
            each[j, k] = _under(leaves.masks[[j]], lesions.masks[mine[lesions.labels[mine] == k]])
    pixels = np.maximum(np.asarray(lesions.masks.area), 1)
    counts = np.bincount(leaf[leaf >= 0], minlength=len(leaves))
    return Diseased(leaf, most / pixels, np.asarray(leaves.masks.area), area, each, counts)


def _under(leaf: Masks, lesions: Masks) -> int:
    """Pixels of one leaf under any of the lesions."""
    return int(lesions.union().intersection_pairs(leaf)[2].sum())


def leaves_by_colour(image: ArrayLike, lesions: Instances | None = None) -> Instances:
    """Leaves as what has colour, on a white, grey or black ground; no model, and so stated in the tables.

    A pixel's chroma in CIELAB, smoothed a little, is split by Otsu's threshold, kept within :data:`CHROMA`;
    holes are filled, and lesions, which may have little colour, belong to a leaf that they touch. Leaves that
    touch one another are one; brown soil or wood is taken for leaf.

    Args:
        image: (H, W, 3) sRGB.
        lesions: of the image, or None.

    Returns:
        Leaves, large to small, of class ``leaf``.
    """
    space = lab(image)
    chroma = cv2.GaussianBlur(np.hypot(space[:, :, 1], space[:, :, 2]), (0, 0), 1.5)
    level, _ = cv2.threshold(np.clip(chroma * 2, 0, 255).astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    mask: NDArray[Any] = (chroma > float(np.clip(level / 2, *CHROMA))).astype(np.uint8)
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)), np.uint8)
    if lesions is not None and lesions.masks is not None and len(lesions):
        mask |= _touching(mask, lesions.masks).astype(np.uint8)
    mask = _filled(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = stats[1:count, cv2.CC_STAT_AREA]
    order = np.argsort(-areas, kind="stable")
    kept = [int(k) + 1 for k in order if areas[k] >= SMALLEST * mask.size]
    masks = Masks.from_label_image(labels, ids=kept) if kept else Masks.empty(mask.shape)
    return Instances((mask.shape[0], mask.shape[1]), masks=masks, classes=Labels(("leaf",)))


def _touching(mask: NDArray[Any], lesions: Masks) -> NDArray[np.bool_]:
    """Lesions that touch the mask."""
    near = cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0
    added = np.zeros(mask.shape, bool)
    for i in range(len(lesions)):
        crop, (x, y) = lesions.crop(i)
        window = (slice(y, y + crop.shape[0]), slice(x, x + crop.shape[1]))
        if crop.size and (crop & near[window]).any():
            added[window] |= crop
    return added


def _filled(mask: NDArray[Any]) -> NDArray[np.uint8]:
    """The mask without holes of less than a hundredth of the picture."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((mask == 0).astype(np.uint8), connectivity=4)
    height, width = mask.shape
    left, top, wide, tall = (stats[:, k] for k in range(4))
    inside = (left > 0) & (top > 0) & (left + wide < width) & (top + tall < height)
    holes = inside & (stats[:, cv2.CC_STAT_AREA] < SMALLEST * mask.size)
    holes[0] = False
    return np.asarray((mask > 0) | holes[labels] if count else mask > 0).astype(np.uint8)


__all__ = ["SCALES", "Diseased", "SeverityScale", "diseased", "leaves_by_colour"]

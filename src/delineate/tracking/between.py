"""Masks of frames in which an object was not seen, from those in which it was."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from delineate.core.masks import Masks


def centre(mask: Masks) -> NDArray[np.float64]:
    """(2,) x, y of one mask's mean pixel centre; NaN for an empty one."""
    r = mask.runs
    area = max(int(r.length.sum()), 0)
    if not area:
        return np.full(2, np.nan)
    x = (r.length * (2 * r.x.astype(np.int64) + 1)).sum()
    y = (r.length * (2 * r.y.astype(np.int64) + r.length)).sum()
    return np.array([x, y]) / (2 * area)


def expected(before: Masks, after: Masks, part: float) -> Masks:
    """One object's mask between two frames: the nearer one, moved along the straight way of its centre.

    Args:
        before: one mask.
        after: the same object's, later.
        part: how much of the way is done, 0..1.

    Example:
        >>> a = Masks.from_label_image(np.array([[1, 1, 0, 0, 0, 0]]))
        >>> b = Masks.from_label_image(np.array([[0, 0, 0, 0, 1, 1]]))
        >>> expected(a, b, 0.5).boxes.tolist()
        [[2.0, 0.0, 4.0, 1.0]]
    """
    way = centre(after) - centre(before)
    if not np.isfinite(way).all():
        return before if part < 0.5 else after
    near, step = (before, way * part) if part < 0.5 else (after, way * (part - 1))
    dx, dy = np.rint(step).astype(int).tolist()
    return near.shift(dx, dy)


def without(mask: Masks, others: Masks) -> Masks:
    """One mask less the pixels of others.

    Example:
        >>> row = Masks.from_label_image(np.array([[1, 1, 1, 1]]))
        >>> without(row, Masks.from_label_image(np.array([[0, 0, 1, 1]]))).boxes.tolist()
        [[0.0, 0.0, 2.0, 1.0]]
    """
    pixels, (x, y) = mask.crop(0)
    if not pixels.size or not len(others):
        return mask
    height, width = pixels.shape
    rest = pixels & ~others.window(x, y, x + width, y + height).union().dense()[0]
    return Masks.from_crops([rest], np.array([[x, y]]), mask.size)


def covered(mask: Masks, others: Masks) -> NDArray[np.float64]:
    """(N,) share of one mask's pixels that each of N others covers; zeros for an empty mask."""
    share = np.zeros(len(others))
    _, j, shared = mask.intersection_pairs(others)
    share[j] = shared / max(int(mask.area[0]), 1)
    return share

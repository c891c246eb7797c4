"""Masks as they are expected a moment later: each moved and stretched by its own track's motion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from delineate.core import runs as run
from delineate.core.masks import Masks

NEARLY = 0.02  # a change of size by less is not worth resampling


def moved(masks: Masks, before: NDArray[np.float64], after: NDArray[np.float64]) -> Masks:
    """Each mask carried along from one box to another, by whole pixels.

    Args:
        masks: N masks.
        before: (N, 4) xyxy, where each track's box was when its mask was seen.
        after: (N, 4) xyxy, where it is now. The mask is stretched about the box's corner by the ratio of
            the sizes (nearest pixel) and moved along; what leaves the image is cut off.

    Returns:
        N masks; one that has left the image is empty.

    Example:
        >>> m = Masks.from_label_image(np.array([[1, 1, 0, 0], [1, 1, 0, 0]]))
        >>> moved(m, np.array([[0, 0, 2.0, 2]]), np.array([[1, 0, 3.0, 2]])).boxes.tolist()
        [[1.0, 0.0, 3.0, 2.0]]
    """
    r = masks.runs
    old = np.maximum(before[:, 2:] - before[:, :2], 1e-6)
    stretch = np.where(before[:, 2:] > before[:, :2], (after[:, 2:] - after[:, :2]) / old, 1)
    stretch = np.where(np.abs(stretch - 1) < NEARLY, 1, np.clip(stretch, 0.25, 4))
    # pixel p covers [p, p + 1); its image covers [a p + b, a (p + 1) + b)
    centre = (before[:, :2] + before[:, 2:]) / 2
    offset = (after[:, :2] + after[:, 2:]) / 2 - stretch * centre
    owner = r.owner
    (ax, ay), (bx, by) = stretch[owner].T, offset[owner].T
    left, right = _edge(ax * r.x + bx), _edge(ax * (r.x + 1) + bx)
    top, bottom = _edge(ay * r.y + by), _edge(ay * (r.y + r.length) + by)
    height, width = masks.size
    left, right = np.clip(left, 0, width), np.clip(right, 0, width)
    top, bottom = np.clip(top, 0, height), np.clip(bottom, 0, height)
    number = right - left
    which = np.repeat(np.arange(len(owner)), number)
    x = run.ranges(left, number)
    length = (bottom - top)[which]
    return Masks(masks.size, run.union(owner[which], x, top[which], length, len(masks), masks.size))


def _edge(place: NDArray[np.float64]) -> NDArray[np.int64]:
    """The pixel edge nearest to a place; halves always up, so that neighbours meet without gap or overlap."""
    return np.floor(np.clip(place, -1e9, 1e9) + 0.5).astype(np.int64)

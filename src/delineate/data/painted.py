"""Objects as one picture of numbers, for formats in which a pixel belongs to one object alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from delineate.core.instances import Instances

from .losses import Losses


def paint(truth: Instances, losses: Losses, image: str) -> NDArray[np.int32]:
    """(H, W) int32: 0 background, i + 1 for object i; where objects overlap, the smaller is on top.

    Crowd regions lie below all others.

    Args:
        truth: the objects of one image.
        losses: objects that lose pixels count as ``overlaps``, those without masks as ``boxes only``.
        image: the image's name.

    Example:
        >>> from delineate.core.masks import Masks
        >>> masks = Masks.from_dense(np.array([[[1, 1, 0]], [[1, 1, 1]]]))
        >>> losses = Losses()
        >>> paint(Instances((1, 3), masks=masks), losses, "a.png").tolist(), losses.counts
        ([[1, 1, 2]], {'overlaps': 1})
    """
    if truth.masks is None:
        losses.count("boxes only", image, len(truth))
        return np.zeros(truth.size, np.int32)
    area = truth.masks.area
    order = np.lexsort((-area, ~truth.crowd))
    painted = truth.masks.to_label_image(order)
    shown = np.bincount(painted.ravel(), minlength=len(truth) + 1)[1:]
    losses.count("overlaps", image, int((shown < area).sum()))
    return painted

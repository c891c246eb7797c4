"""What lies around each object: the mean of a ring that belongs to no object, and to it alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

PIXELS_AT_ONCE = 400_000


def rings(
    labels: NDArray[np.int32], width: float
) -> Iterator[tuple[slice, NDArray[np.intp], NDArray[np.int32]]]:
    """The pixels around objects, each with the object that it is nearest to.

    A pixel belongs to the ring of an object when it is in no object, when its centre lies at most ``width``
    pixels from a pixel of the object, and when no other object is nearer (of several as near, one has it).
    Found strip by strip, each with a margin, so that memory stays small and the result exact.

    Args:
        labels: (H, W), 0 background, 1..N objects.
        width: in pixels, at least 1.

    Yields:
        Rows of a strip, the places (P,) of ring pixels in the flat strip, and the label (P,) of each.
    """
    height = labels.shape[0]
    margin = int(np.ceil(width))
    rows = max(2 * margin, PIXELS_AT_ONCE // max(1, labels.shape[1]), 1)
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        above = max(0, top - margin)
        window = labels[above : min(height, bottom + margin)]
        if not window.any():
            continue
        distance, nearest = distance_transform_edt(window == 0, return_indices=True)
        inner = slice(top - above, bottom - above)
        place = np.flatnonzero((distance[inner] > 0) & (distance[inner] <= width))
        row, column = (index[inner].ravel()[place] for index in nearest)
        yield slice(top, bottom), place, window[row, column]


def backgrounds(
    labels: NDArray[np.int32], count: int, image: NDArray[Any], width: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """How many pixels each object's ring has, and their mean.

    Args:
        labels: (H, W), 0 background, i + 1 for object i.
        count: N.
        image: (H, W, C) numbers.
        width: of the ring, in pixels; see :func:`rings`.

    Returns:
        Pixels (N,), and means (N, C) in the image's units, NaN where a ring has no pixels (an object whose
        neighbours are closer on all sides).
    """
    number = np.zeros(count + 1, dtype=np.int64)
    total = np.zeros((count + 1, image.shape[2]))
    for rows, place, owner in rings(labels, width):
        number += np.bincount(owner, minlength=count + 1)
        strip = image[rows].reshape(-1, image.shape[2])[place]
        for channel in range(image.shape[2]):
            total[:, channel] += np.bincount(owner, weights=strip[:, channel], minlength=count + 1)
    known = np.where(number > 0, number, np.nan)
    return number[1:], total[1:] / known[1:, None]

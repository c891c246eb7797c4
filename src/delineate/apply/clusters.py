"""Windows around what is marked in a picture, so that work is done there alone."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray


class Cluster(NamedTuple):
    """A window around marked pixels that lie near each other.

    Attributes:
        rows: of the window.
        columns: of the window.
        own: (h, w) bool, the window's pixels that are nearer to these marked pixels than to others: no pixel
            is the own of two clusters, and every marked pixel is the own of one.
    """

    rows: slice
    columns: slice
    own: NDArray[np.bool_]


def clusters(marked: NDArray[np.bool_], margin: int) -> list[Cluster]:
    """Windows around the marked pixels of (H, W), with a margin; those less than two margins apart are one.

    Example:
        >>> mark = np.zeros((9, 40), np.bool_)
        >>> mark[4, [2, 4, 30]] = True
        >>> [(c.columns.start, c.columns.stop) for c in clusters(mark, 3)]
        [(0, 8), (27, 34)]
    """
    if not marked.any():
        return []
    wide = cv2.dilate(marked.astype(np.uint8), np.ones((2 * margin + 1,) * 2, np.uint8))
    _, parts, about, _ = cv2.connectedComponentsWithStats(wide)
    found = []
    for k, (x, y, w, h, _) in enumerate(about[1:].tolist(), 1):
        rows, columns = slice(y, y + h), slice(x, x + w)
        found.append(Cluster(rows, columns, parts[rows, columns] == k))
    return found

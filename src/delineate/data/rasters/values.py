"""The numbers of a window as plain types, whatever other windows of the file hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def plain_values(pixels: NDArray[Any]) -> NDArray[Any]:
    """The same numbers as uint8, uint16 or float32; NaN and infinity stay.

    Bool becomes 0/255; signed and wider integers become float32, since one window cannot know whether all
    others would fit into uint16 (a file read whole takes uint16 where they do; the numbers are equal).

    Raises:
        ValueError: complex numbers.

    Example:
        >>> plain_values(np.array([[True]])).tolist(), plain_values(np.array([[-3]])).dtype.name
        ([[255]], 'float32')
    """
    kind = pixels.dtype
    if kind.kind == "b":
        return pixels.astype(np.uint8) * np.uint8(255)
    if kind in (np.uint8, np.uint16):
        return pixels.astype(kind.newbyteorder("="), copy=False)
    if kind.kind not in "iuf":
        raise ValueError(f"expected real numbers as pixels, got {kind}")
    with np.errstate(over="ignore"):
        return pixels.astype(np.float32)


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """(height, width) of the upright image, from the stored size and the orientation 1..8."""
    return (size[1], size[0]) if orientation >= 5 else size


def stored_box(
    box: tuple[int, int, int, int], size: tuple[int, int], orientation: int
) -> tuple[int, int, int, int]:
    """Where a box x0, y0, x1, y1 of the upright image of ``size`` lies in the image as stored.

    Undoes :func:`delineate.data.images.upright`.

    Example:
        >>> stored_box((0, 0, 2, 1), (4, 10), 3), stored_box((0, 0, 2, 1), (4, 10), 6)
        ((8, 3, 10, 4), (0, 8, 1, 10))
    """
    x0, y0, x1, y1 = box
    height, width = size
    if orientation in (2, 3, 6, 7):
        x0, x1 = width - x1, width - x0
    if orientation in (3, 4, 7, 8):
        y0, y1 = height - y1, height - y0
    return (y0, x0, y1, x1) if orientation >= 5 else (x0, y0, x1, y1)

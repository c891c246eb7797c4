"""Large images in tiles, with the seams mended: no object cut, none counted twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances

from .agreement import Tile, Window
from .seams import Seams, placed

Predictor = Callable[[NDArray[Any]], Instances]


def predict_tiled(
    predict: Predictor,
    image: NDArray[Any],
    tile: int = 1024,
    overlap: int = 128,
    progress: Callable[[int, int], object] | None = None,
    align: int = 1,
) -> Instances:
    """Predict window by window and join the results as if the image had been seen whole.

    Two detections of neighbouring tiles are one object when their masks agree where both tiles look. Of
    such a group a member that its tile did not cut is taken whole, the one furthest from a cut; where all
    are cut (the object is larger than the overlap) their union is. A detection cut by its tile that lies
    wholly where a neighbour sees it uncut is the neighbour's to report, and is dropped; so is one that a
    neighbour with a better view of its place does not see. Masks stay in runs: memory grows with the objects'
    outlines, not with the image.

    Args:
        predict: any callable from (h, w) or (h, w, C) pixels to the objects in them, in their pixels.
        image: (H, W) or (H, W, C).
        tile: side of the square windows in pixels. Windows are spread evenly; the last ends at the border.
        overlap: pixels that neighbouring windows share at least, 1..tile - 1. As wide as the objects
            usually are is best; larger objects are put together from their parts.
        progress: called with (windows done, windows in all).
        align: windows begin at multiples of so many pixels, so that a network of strides sees the same grid
            in each.

    Returns:
        The objects of the whole image, by descending score.

    Raises:
        InputError: tile or overlap out of range, or a predictor that answers for another size.
    """
    if tile < 2 or not 1 <= overlap < tile:
        raise InputError(
            f"predict_tiled: expected a tile of 2 or more pixels and an overlap in 1..tile - 1, "
            f"got tile {tile}, overlap {overlap}; choose an overlap as wide as one object"
        )
    size = (int(image.shape[0]), int(image.shape[1]))
    rows = windows(size, tile, overlap, align)
    total, done, parts = sum(map(len, rows)), 0, []
    seams = Seams(size)
    for row, below in zip(rows, [*(r[0][1] for r in rows[1:]), size[0]], strict=True):
        for x0, y0, x1, y1 in row:
            found = predict(image[y0:y1, x0:x1])
            if found.size != (y1 - y0, x1 - x0):
                raise InputError(
                    f"predict_tiled: expected objects in the window's pixels {(y1 - y0, x1 - x0)}, "
                    f"got a result for {found.size}; do not resize in the predictor"
                )
            if total == 1:
                return found
            seams.add(Tile((x0, y0, x1, y1), found))
            done += 1
            if progress is not None:
                progress(done, total)
        top, finished = seams.finished(below)
        parts.append(placed(finished, top, size))
    whole = Instances.concatenate(parts)
    return whole[np.argsort(-whole.scores, kind="stable")]


def windows(size: tuple[int, int], tile: int, overlap: int, align: int = 1) -> list[list[Window]]:
    """The windows of an image of ``size``, row by row; arguments as for :func:`starts`."""
    tops, lefts = (starts(length, tile, overlap, align) for length in size)
    ends = [
        [*(begin + tile for begin in at[:-1]), length] for at, length in zip((tops, lefts), size, strict=True)
    ]
    across = list(zip(lefts, ends[1], strict=True))
    return [[(x0, y0, x1, y1) for x0, x1 in across] for y0, y1 in zip(tops, ends[0], strict=True)]


def starts(length: int, tile: int, overlap: int, align: int = 1) -> list[int]:
    """Where windows begin along a side: evenly, first at 0, the last reaches the end.

    Args:
        length: of the side.
        tile: length of a window; the last is shorter by less than ``align``.
        overlap: what neighbours share at least.
        align: all begin at multiples of it; where windows advance by less, it is not heeded.

    Example:
        >>> starts(100, 40, 10), starts(30, 40, 10), starts(100, 40, 10, align=16)
        ([0, 30, 60], [0], [0, 16, 32, 48, 64])
    """
    if length <= tile:
        return [0]
    unit = align if tile - overlap >= align else 1
    furthest = -(-(length - tile) // unit)
    steps = -(-furthest // ((tile - overlap) // unit))
    return [k * furthest // steps * unit for k in range(steps + 1)]

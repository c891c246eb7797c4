"""Large images in tiles, with the seams mended: no object cut, none counted twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances

from .agreement import Tile
from .seams import mend

Predictor = Callable[[NDArray[Any]], Instances]


def predict_tiled(
    predict: Predictor,
    image: NDArray[Any],
    tile: int = 1024,
    overlap: int = 128,
    progress: Callable[[int, int], object] | None = None,
) -> Instances:
    """Predict window by window and join the results as if the image had been seen whole.

    Two detections of neighbouring tiles are one object when their masks agree where both tiles look. Of
    such a group a member that its tile did not cut is taken whole, the one furthest from a cut; where all
    are cut (the object is larger than the overlap) their union is. A detection cut by its tile that lies
    wholly where a neighbour sees it uncut is the neighbour's to report, and is dropped. Masks stay in runs:
    memory grows with the objects' outlines, not with the image.

    Args:
        predict: any callable from (h, w) or (h, w, C) pixels to the objects in them, in their pixels.
        image: (H, W) or (H, W, C).
        tile: side of the square windows in pixels. Windows are spread evenly; the last ends at the border.
        overlap: pixels that neighbouring windows share at least, 1..tile - 1. As wide as the objects
            usually are is best; larger objects are put together from their parts.
        progress: called with (windows done, windows in all).

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
    rows, columns = starts(size[0], tile, overlap), starts(size[1], tile, overlap)
    windows = [(x, y, min(x + tile, size[1]), min(y + tile, size[0])) for y in rows for x in columns]
    seen = []
    for x0, y0, x1, y1 in windows:
        found = predict(image[y0:y1, x0:x1])
        if found.size != (y1 - y0, x1 - x0):
            raise InputError(
                f"predict_tiled: expected objects in the window's pixels {(y1 - y0, x1 - x0)}, "
                f"got a result for {found.size}; do not resize in the predictor"
            )
        seen.append(Tile((x0, y0, x1, y1), found))
        if progress is not None:
            progress(len(seen), len(windows))
    return seen[0].found if len(seen) == 1 else mend(seen, size)


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where windows begin along a side: evenly, first at 0, last flush with the end.

    Example:
        >>> starts(100, 40, 10), starts(30, 40, 10)
        ([0, 30, 60], [0])
    """
    if length <= tile:
        return [0]
    steps = -(-(length - tile) // (tile - overlap))
    return [k * (length - tile) // steps for k in range(steps + 1)]

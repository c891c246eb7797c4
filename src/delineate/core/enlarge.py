"""Small maps of scores in the pixels of the original image: two linear resizings as one pair of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .masks import Masks
from .stages import timed

Floats = NDArray[np.float32]


def resize_matrix(old: int, new: int) -> Floats:
    """(new, old) weights of a bilinear resize along one axis, pixel centres aligned, as torch's."""
    matrix = np.zeros((new, old), dtype=np.float32)
    place = np.maximum(
        (np.arange(new, dtype=np.float32) + np.float32(0.5)) * np.float32(old / new) - np.float32(0.5), 0
    )
    low = np.minimum(place.astype(np.int64), old - 1)
    high = np.minimum(low + 1, old - 1)
    share = place - low
    rows = np.arange(new)
    np.add.at(matrix, (rows, low), 1 - share)
    np.add.at(matrix, (rows, high), share)
    return matrix


def to_original(cells: int, padded: int, inner: int, original: int) -> Floats:
    """(original, cells) weights along one axis: cells -> padded, cut to ``inner`` -> original pixels."""
    enlarged = resize_matrix(cells, padded)[:inner]
    return enlarged if inner == original else resize_matrix(inner, original) @ enlarged


@timed("masks")
def cut_masks(logits: Floats, rows: Floats, columns: Floats) -> tuple[Masks, Floats]:
    """Masks of enlarged logits, and how sure they are.

    Args:
        logits: (N, h, w).
        rows: (H, h) weights, see :func:`to_original`.
        columns: (W, w).

    Returns:
        N masks of H x W, and (N,) the mean probability of their pixels, 0 for an empty mask.
    """
    size = (rows.shape[0], columns.shape[0])
    touched_rows, touched_columns = rows > 0, columns > 0
    crops: list[NDArray[np.bool_]] = []
    corners: list[tuple[int, int]] = []
    sure = np.zeros(len(logits), dtype=np.float32)
    for i, logit in enumerate(logits):
        inside = logit > 0
        above, beside = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        if not len(above):
            crops.append(np.zeros((0, 0), dtype=np.bool_))
            corners.append((0, 0))
            continue
        # output pixels to which a cell above 0 contributes, then all cells that contribute to those
        y = _span(touched_rows[:, above[0] : above[-1] + 1].any(1))
        x = _span(touched_columns[:, beside[0] : beside[-1] + 1].any(1))
        v = _span(touched_rows[y].any(0))
        u = _span(touched_columns[x].any(0))
        values = rows[y, v] @ logit[v, u] @ columns[x, u].T
        crop = values > 0
        crops.append(crop)
        corners.append((x.start, y.start))
        if crop.any():
            sure[i] = (1 / (1 + np.exp(-values[crop]))).sum() / (np.count_nonzero(crop) + 1e-6)
    return Masks.from_crops(crops, np.array(corners, dtype=np.int64).reshape(-1, 2), size), sure


def _span(flags: Any) -> slice:
    """From the first to the last True; empty where there is none."""
    at = np.flatnonzero(flags)
    return slice(int(at[0]), int(at[-1]) + 1) if len(at) else slice(0, 0)

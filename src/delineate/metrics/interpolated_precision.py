"""Average precision of ranked detections, 101-point interpolated, for many weightings of the images at once.

Lin et al., "Microsoft COCO: Common Objects in Context" (ECCV 2014), as pycocotools 2.0.11 accumulates it. An
image of weight 2 counts as if it were in the set twice, which is what a bootstrap draws.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RECALLS: Floats = np.linspace(0, 1, 101)


def average_precision(right: NDArray[np.bool_], objects: Floats, weights: Floats | None = None) -> Floats:
    """(B,) AP in 0..1 of each weighting; NaN where it has no object.

    Args:
        right: (D,) whether each detection is right, highest score first; the others are wrong.
        objects: (B,) number of true objects.
        weights: (B, D) how often each detection counts, 0 for not at all; default once.

    Example:
        >>> average_precision(np.array([True, False, True]), np.array([2.0])).round(4).tolist()
        [0.835]
    """
    weights = np.ones((len(objects), len(right))) if weights is None else weights
    columns = np.flatnonzero(right)
    hits = np.cumsum(weights[:, columns], axis=1)  # (B, R)
    seen = np.cumsum(weights, axis=1)[:, columns]
    some = np.maximum(objects, 1)[:, None]
    precision = np.divide(hits, seen, out=np.zeros(hits.shape), where=seen > 0)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    passed = np.searchsorted(RECALLS, (hits / some).ravel(), side="right").reshape(hits.shape)
    passed = np.where(hits > 0, passed, 0)
    points = np.diff(passed, axis=1, prepend=0)  # recalls that each right detection is the first to reach
    return np.where(objects > 0, (envelope * points).sum(axis=1) / len(RECALLS), np.nan)

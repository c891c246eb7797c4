"""Segments from queries that have won pixels: the last step of a query transformer's panoptic output.

Cheng et al. 2021, "Per-Pixel Classification is Not All You Need for Semantic Segmentation", section 3.4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .labels import Labels
from .panoptic import Panoptic


def segments_of_winners(
    winner: NDArray[np.integer],
    able: NDArray[np.bool_],
    labels: NDArray[np.integer],
    scores: NDArray[np.floating],
    classes: Labels,
) -> Panoptic:
    """Each query that may be a segment becomes one; those of one class of stuff become one together.

    Args:
        winner: (H, W) the query that has each pixel, from 1; 0 where none has.
        able: (Q,) whether a query may be a segment; pixels of the others are nobody's.
        labels: (Q,) classes, 0..K-1.
        scores: (Q,) how sure each is; above 1 counts as 1.
        classes: the K class names, which say what is stuff.

    Returns:
        Segments in the order of their first query.
    """
    classed: NDArray[np.int64] = labels.astype(np.int64)
    number, members = _numbered(able, classed, classes)
    return Panoptic(
        np.concatenate([[0], number]).astype(np.int32)[winner],
        labels=classed[members],
        scores=np.minimum(scores[members], 1).astype(np.float32),
        classes=classes,
    )


def _numbered(
    able: NDArray[np.bool_], labels: NDArray[np.int64], classes: Labels
) -> tuple[NDArray[np.int32], list[int]]:
    """Per query its segment's number from 1, 0 where it has none; and the first query of each segment."""
    number = np.zeros(len(able), dtype=np.int32)
    members: list[int] = []
    stuff: dict[int, int] = {}
    for query in np.flatnonzero(able).tolist():
        label = int(labels[query])
        if label in stuff:
            number[query] = stuff[label]
            continue
        members.append(query)
        number[query] = len(members)
        if not classes.things[label]:
            stuff[label] = len(members)
    return number, members

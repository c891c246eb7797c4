"""COCO's matching and accumulation for overlaps that are already known, equal to pycocotools 2.0.11.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014. For overlaps that
hotcoco does not compute.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .average_precision_report import AREAS, IOU_THRESHOLDS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Bits = NDArray[np.uint16]
RECALLS = np.linspace(0.0, 1.0, 101)
_LIMITS = np.array([min(t, 1 - 1e-10) for t in IOU_THRESHOLDS])
_LOW, _HIGH = np.array(list(AREAS.values())).T
_WEIGHTS = (1 << np.arange(len(_LIMITS))).astype(np.uint16)
_ALL = np.uint16((1 << len(_LIMITS)) - 1)


class Matched(NamedTuple):
    """One class in one image.

    Attributes:
        scores: (D,) float64, descending, at most the largest max_det.
        matched: (A, D) a bit per IoU threshold: the detection has a partner.
        ignored: (A, D) likewise: it neither counts as right nor as wrong.
        counted: (A,) true objects that count.
    """

    scores: Floats
    matched: Bits
    ignored: Bits
    counted: Ints


def match(
    pairs: tuple[Ints, Ints, Floats], true_area: Floats, crowd: Bools, scores: Floats, area: Floats
) -> Matched:
    """Match one class's detections in one image, the highest score first.

    Args:
        pairs: (P,) true object, detection, overlap of those that overlap; of a crowd region the part of the
            detection inside it. Each pair once.
        true_area: (G,) areas that decide the true objects' size classes.
        crowd: (G,) regions that may be matched any number of times and never count.
        scores: (D,) descending.
        area: (D,) areas that decide the detections' size classes.

    Returns:
        What each detection is at each size class and threshold. A true object goes to the detection of the
        highest score, a detection to the best free object that counts, else to the best one that does not.
    """
    ignore = crowd | (true_area < _LOW[:, None]) | (true_area > _HIGH[:, None])  # (A, G)
    counted = (~ignore).sum(axis=1)
    outside = (area < _LOW[:, None]) | (area > _HIGH[:, None])  # (A, D)
    able = pairs[2] >= _LIMITS[0]
    if not able.any():
        return Matched(scores, np.zeros(outside.shape, np.uint16), outside * _ALL, counted)
    shape = (len(_LOW), len(_LIMITS), len(scores))
    matched, ignored = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    g, d, overlap = (p[able] for p in pairs)
    rivals = np.bincount(g, minlength=len(true_area)), np.bincount(d, minlength=len(scores))
    simple = (rivals[1][d] == 1) & ((rivals[0][g] == 1) | crowd[g])
    good = (overlap[simple] >= _LIMITS[:, None])[None]  # (1, T, S)
    matched[:, :, d[simple]] = good
    ignored[:, :, d[simple]] = good & ignore[:, None, g[simple]]
    taken = np.zeros((*shape[:2], len(true_area)), np.bool_)
    rest = np.flatnonzero(~simple)
    rest = rest[np.lexsort((g[rest], d[rest]))]  # by score, then by the truth's order
    for part in np.split(rest, np.flatnonzero(np.diff(d[rest])) + 1):
        if len(part):
            one = d[part[0]]
            matched[:, :, one], ignored[:, :, one] = _choose(g[part], overlap[part], ignore, crowd, taken)
    ignored |= ~matched & outside[:, None]
    return Matched(scores, _bits(matched), _bits(ignored), counted)


def _choose(g: Ints, overlap: Floats, ignore: Bools, crowd: Bools, taken: Bools) -> tuple[Bools, Bools]:
    """(A, T) whether one detection finds a partner among ``g``, and whether that does not count.

    ``taken`` (A, T, G) is changed. Of equal overlaps the later true object wins, as in pycocotools.
    """
    free = (~taken[:, :, g] | crowd[g]) & (overlap >= _LIMITS[:, None])  # (A, T, n)
    counts = free & ~ignore[:, None, g]
    found = np.asarray(counts.any(axis=2))
    usable = np.where(found[:, :, None], counts, free)
    value = np.where(usable, overlap, -1.0)
    best = len(g) - 1 - value[:, :, ::-1].argmax(axis=2)  # the last of the highest
    matched = np.asarray(usable.any(axis=2))
    a, t = np.nonzero(matched)
    taken[a, t, g[best[a, t]]] = True
    return matched, matched & ~found


def _bits(flags: Bools) -> Bits:
    """(A, T, D) flags to (A, D) with a bit per threshold."""
    return (flags * _WEIGHTS[:, None]).sum(axis=1, dtype=np.uint16)


def accumulate(classes: Sequence[Sequence[Matched]], max_dets: Sequence[int]) -> tuple[Floats, Floats]:
    """Precision at 101 recalls, and recall, of all images.

    Args:
        classes: for each of K classes its images with truth or detections, in the order of image ids.
        max_dets: M limits.

    Returns:
        precision (T, R, K, A, M) and recall (T, K, A, M), -1 where there is no truth.
    """
    levels, areas = len(_LIMITS), len(_LOW)
    precision = np.full((levels, len(RECALLS), len(classes), areas, len(max_dets)), -1.0)
    recall = np.full((levels, len(classes), areas, len(max_dets)), -1.0)
    for k, images in enumerate(classes):
        counted = np.sum([m.counted for m in images], axis=0) if images else np.zeros(areas, np.int64)
        if not counted.any():
            continue
        for m, limit in enumerate(max_dets):
            scores = np.concatenate([i.scores[:limit] for i in images])
            order = np.argsort(-scores, kind="stable")
            matched = np.concatenate([i.matched[:, :limit] for i in images], axis=1)[:, order]
            ignored = np.concatenate([i.ignored[:, :limit] for i in images], axis=1)[:, order]
            for a in np.flatnonzero(counted).tolist():
                right = (matched[a] & ~ignored[a])[None] & _WEIGHTS[:, None] != 0  # (T, D)
                wrong = ~(matched[a] | ignored[a])[None] & _WEIGHTS[:, None] != 0
                precision[:, :, k, a, m], recall[:, k, a, m] = curves(right, wrong, int(counted[a]))
    return precision, recall


def curves(right: Bools, wrong: Bools, counted: int) -> tuple[Floats, Floats]:
    """(T, R) the highest precision from each recall on, and (T,) the recall of all detections.

    Args:
        right, wrong: (T, D) detections by falling score.
        counted: true objects, from 1 up.
    """
    true = np.cumsum(right, axis=1).astype(np.float64)
    false = np.cumsum(wrong, axis=1).astype(np.float64)
    reached = true / counted
    value = true / (false + true + np.spacing(1))
    value = np.maximum.accumulate(value[:, ::-1], axis=1)[:, ::-1]
    value = np.concatenate((value, np.zeros((len(value), 1))), axis=1)  # beyond the last recall
    at = np.stack([np.searchsorted(row, RECALLS, side="left") for row in reached])
    last = reached[:, -1] if right.shape[1] else np.zeros(len(right))
    return np.take_along_axis(value, at, axis=1), last

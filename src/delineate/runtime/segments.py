"""From an exported graph's maps to the class of every pixel and to segments, by NumPy alone.

The same as :mod:`delineate.models.whole_image` and :mod:`delineate.models.queries.segments` do with tensors:
the papers are named there. Numbers at the original size are made some rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic
from delineate.core.panoptic_merge import merge
from delineate.core.panoptic_queries import segments_of_winners
from delineate.core.semantic import Semantic
from delineate.core.stuff import things_of

from .objects import Arrays, View

Floats = NDArray[np.float32]
AT_ONCE = 4_000_000
"""So many numbers of a strip of rows are held at once, 16 MB."""
VISIBLE_OF_QUERIES = 0.8
SURE, VISIBLE, LEAST_STUFF = 0.5, 0.5, 0.01


def best_classes(logits: Floats, view: View, table: NDArray[np.int16]) -> NDArray[np.int16]:
    """(H, W) of the original: ``table`` (C,) at the column with the largest of (C, h, w) logits."""
    result = np.empty(view.original, dtype=np.int16)
    for top, strip in _strips(logits, view, 0):
        result[top : top + strip.shape[1]] = table[strip.argmax(axis=0)]
    return result


def classes_of_pixels(logits: Floats, view: View, classes: Labels) -> Semantic:
    """The class of every pixel where each has a map of its own, (K, h, w)."""
    return Semantic(best_classes(logits, view, np.arange(len(classes), dtype=np.int16)), classes)


def merged(
    objects: Instances, stuff: Floats, view: View, visible: float | None, least: float = LEAST_STUFF
) -> Panoptic:
    """Objects on top of stuff.

    Args:
        objects: of the image; things take part.
        stuff: (S + 1, h, w) logits of the classes that are stuff, in order, and of "other".
        view: which image.
        visible: of its mask an object needs so much free, 0..1; None: 0.5.
        least: of the free pixels a class of stuff needs so many, 0..1.
    """
    classes = objects.classes
    table = np.append(np.flatnonzero(~np.array(classes.things, dtype=np.bool_)), -1).astype(np.int16)
    below = best_classes(stuff, view, table)
    return merge(things_of(objects), below, visible=VISIBLE if visible is None else visible, least=least)


def semantic_of_queries(outputs: Arrays, view: View, classes: Labels) -> Semantic:
    """Queries vote with class times mask probability.

    Args:
        outputs: ``shares`` (B, Q, K) and ``masks`` (B, Q, h, w) logits.
        view: which image.
        classes: K names.
    """
    result = np.empty(view.original, dtype=np.int16)
    shares = outputs["shares"][view.index]
    for top, logits in _strips(outputs["masks"][view.index], view, len(classes)):
        votes = shares.T @ _sigmoid(logits).reshape(len(logits), -1)  # (K, R * W)
        result[top : top + logits.shape[1]] = votes.argmax(axis=0).reshape(logits.shape[1:])
    return Semantic(result, classes)


def panoptic_of_queries(
    outputs: Arrays, view: View, classes: Labels, confidence: float, visible: float | None
) -> Panoptic:
    """Each pixel goes to the query with the largest product of score and mask probability, from one half up.

    Args:
        outputs: ``shares`` (B, Q, K), ``sure`` (B, Q) and ``masks`` (B, Q, h, w) logits.
        view: which image.
        classes: K names, which tell things from stuff.
        confidence: queries that are surer take part.
        visible: a query that wins less than this part of its own mask is left out; None: 0.8.
    """
    sure = outputs["sure"][view.index]
    kept = np.flatnonzero(sure > confidence)
    shares = outputs["shares"][view.index][kept]
    label, score = shares.argmax(axis=1), shares.max(axis=1)
    count = len(kept)
    winner = np.zeros(view.original, dtype=np.int32)  # query + 1 where its mask is above one half
    own, won, both = (np.zeros(count, dtype=np.int64) for _ in range(3))  # pixels per query
    for top, logits in _strips(outputs["masks"][view.index][kept], view, 0):
        chance = _sigmoid(logits)
        own += (chance >= 0.5).sum(axis=(1, 2))
        best = (score[:, None, None] * chance).argmax(axis=0)  # (R, W)
        won += np.bincount(best.ravel(), minlength=count)
        inside = np.take_along_axis(chance, best[None], axis=0)[0] >= 0.5
        number = np.where(inside, best + 1, 0)
        both += np.bincount(number.ravel(), minlength=count + 1)[1:]
        winner[top : top + len(number)] = number
    able = (both > 0) & (won / np.maximum(own, 1) >= (VISIBLE_OF_QUERIES if visible is None else visible))
    return segments_of_winners(winner, able, label, sure[kept], classes)


def _strips(maps: Floats, view: View, more: int) -> Iterator[tuple[int, Floats]]:
    """(N, h, w) maps over the graph's input in the original's pixels, a strip of rows at a time.

    Args:
        maps: what is enlarged; where there are none, nothing comes.
        view: which image.
        more: so many further numbers per pixel will be held by whoever asks.

    Yields:
        The strip's first row, and its (N, R, W) numbers.
    """
    if not len(maps):
        return
    rows, columns = view.matrices(maps.shape[1:])
    across = maps @ columns.T  # (N, h, W)
    step = max(1, AT_ONCE // ((len(maps) + more) * view.original[1]))
    for top in range(0, view.original[0], step):
        part = rows[top : top + step]
        used = np.flatnonzero(part.any(axis=0))
        first, last = int(used[0]), int(used[-1]) + 1
        yield top, part[:, first:last] @ across[:, first:last]


def _sigmoid(logits: Floats) -> Floats:
    """In 0..1, without overflow."""
    half = np.float32(0.5)
    return np.asarray(half * np.tanh(half * logits) + half)

"""Results put together from tiles: joined from their parts, and none given twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from delineate.core import boxes as box
from delineate.core.instances import Instances

from .agreement import Tile

Ints = NDArray[np.int64]

TWICE = 0.5  # overlap of two results of one class above which one goes


@dataclass(frozen=True, eq=False)
class Results:
    """K objects in a frame that begins at row ``top``, best first.

    Attributes:
        top: first row of the frame in the whole image.
        found: the objects in the frame.
        source: (K,) x and y of the tile that saw each as one number; -1 where it is of several.
        cut: (K,) whether a tile's border cuts it.
    """

    top: int
    found: Instances
    source: Ints
    cut: NDArray[np.bool_]

    def take(self, chosen: Ints) -> Results:
        """Some of them."""
        return Results(self.top, self.found[chosen], self.source[chosen], self.cut[chosen])


@dataclass(frozen=True, eq=False)
class Choice:
    """M detections that are used.

    Attributes:
        tile: (M,) the tile of each.
        number: (M,) which of its tile's it is.
        boxes: (M, 4) float64 xyxy in the whole image.
        cut: (M,) whether its tile cuts it.
        result: (M,) the result 0..K-1 that it goes into.
    """

    tile: Ints
    number: Ints
    boxes: NDArray[np.float64]
    cut: NDArray[np.bool_]
    result: Ints


def join_results(tiles: list[Tile], frame: tuple[int, int], top: int, choice: Choice) -> Results:
    """The results of chosen detections: the union of their masks, and the class and score of the best.

    Args:
        tiles: the tiles.
        frame: (height, width) of the frame that the results are in.
        top: its first row in the whole image.
        choice: the detections and the result of each.
    """
    order = np.argsort(choice.tile, kind="stable")
    tile, result, at = choice.tile[order], choice.result[order], choice.boxes[order]
    count = int(result.max(initial=-1)) + 1
    parts = [_moved(tiles[t], choice.number[order[tile == t]], frame, top) for t in np.unique(tile).tolist()]
    every = Instances.concatenate([_moved(tiles[0], result[:0], frame, top), *parts])
    by_score = np.lexsort((every.scores, result))
    best = by_score[np.flatnonzero(np.diff(result[by_score], append=-1))]  # each result's best-scored part
    boxes = np.empty((count, 4))
    boxes[:, :2], boxes[:, 2:] = np.inf, -np.inf
    np.minimum.at(boxes[:, :2], result, at[:, :2])
    np.maximum.at(boxes[:, 2:], result, at[:, 2:])
    joined = Instances(
        frame,
        boxes=(boxes - [0, top, 0, top]).astype(np.float32),
        labels=every.labels[best],
        scores=every.scores[best],
        masks=None if every.masks is None else every.masks.merge(result),
        classes=every.classes,
    )
    corner = np.array([(t.window[1] << 32) + t.window[0] for t in tiles], dtype=np.int64)
    source = np.where(np.bincount(result, minlength=count) == 1, corner[tile[best]], -1)
    return Results(top, joined, source, choice.cut[order[best]])


def _moved(tile: Tile, chosen: Ints, frame: tuple[int, int], top: int) -> Instances:
    """Some detections of a tile in a frame of the whole image that begins at row ``top``."""
    x, y = tile.window[0], tile.window[1] - top
    found = tile.found[chosen]
    masks = None if found.masks is None else found.masks.shift(x, y, frame)
    boxes = found.boxes + np.array([x, y, x, y], dtype=np.float32)
    return found.replace(size=frame, boxes=boxes, masks=masks)


def settle(
    waiting: Results | None, found: Results, unfinished: list[Tile], frame: tuple[int, int], top: int
) -> tuple[Instances, Results | None]:
    """Of two results for one object one goes; those that an unfinished detection may yet touch wait.

    Args:
        waiting: results that waited, in any frame.
        found: new ones, in this frame.
        unfinished: the detections that are not finished.
        frame: (height, width) of this frame.
        top: its first row.

    Returns:
        What is settled, by descending score, and what waits.
    """
    every = found if waiting is None else _together(waiting, found, frame, top)
    # the one with the better view, then the better score, comes first
    every = every.take(np.lexsort((-every.found.scores, every.cut)))
    i, j = _twice(every)
    count = len(every.found)
    graph = coo_array((np.ones(len(i), dtype=bool), (i, j)), shape=(count, count))
    _, group = connected_components(graph, directed=False)
    touched = np.zeros(count + 1, dtype=bool)
    touched[group[_touched(every.found, unfinished, top)]] = True
    wait = touched[group]
    keep = ~wait
    for better, worse in zip(i.tolist(), j.tolist(), strict=True):  # sorted by the better one
        if keep[better]:
            keep[worse] = False
    chosen = np.flatnonzero(keep)
    chosen = chosen[np.argsort(-every.found.scores[chosen], kind="stable")]
    return every.found[chosen], every.take(np.flatnonzero(wait)) if wait.any() else None


def _together(waiting: Results, found: Results, frame: tuple[int, int], top: int) -> Results:
    down = waiting.top - top
    masks = None if waiting.found.masks is None else waiting.found.masks.shift(0, down, frame)
    boxes = waiting.found.boxes + np.array([0, down, 0, down], dtype=np.float32)
    moved = waiting.found.replace(size=frame, boxes=boxes, masks=masks)
    return Results(
        top,
        Instances.concatenate([moved, found.found]),
        np.concatenate([waiting.source, found.source]),
        np.concatenate([waiting.cut, found.cut]),
    )


def _twice(every: Results) -> tuple[Ints, Ints]:
    """Pairs i < j of results of one class, not of one tile, that mostly cover each other.

    Masks are compared by the share of the smaller one, boxes (which may nest) by IoU.
    """
    found, source = every.found, every.source
    if found.masks is not None:
        i, j, shared = found.masks.intersection_pairs(found.masks)
        area = found.masks.area.astype(np.float64)
        whole = np.minimum(area[i], area[j])
    else:
        i, j = box.overlapping_pairs(found.boxes, found.boxes)
        corner = np.maximum(found.boxes[i, :2], found.boxes[j, :2])
        shared = np.prod(np.minimum(found.boxes[i, 2:], found.boxes[j, 2:]) - corner, axis=1)
        area = box.area(found.boxes).astype(np.float64)
        whole = area[i] + area[j] - shared
    twice = (i < j) & (found.labels[i] == found.labels[j])
    twice &= (source[i] != source[j]) | (source[i] < 0)
    twice &= shared > TWICE * whole
    return i[twice], j[twice]


def _touched(found: Instances, unfinished: list[Tile], top: int) -> Ints:
    """Which objects share a pixel with an unfinished detection."""
    hit = [np.zeros(0, dtype=np.int64)]
    for tile in unfinished:
        if not len(tile.found) or not len(found):
            continue
        x, y = tile.window[0], tile.window[1] - top
        if found.masks is not None and tile.found.masks is not None:
            i, _, _ = found.masks.intersection_pairs(tile.found.masks.shift(x, y, found.size))
        else:
            moved = tile.found.boxes + np.array([x, y, x, y], dtype=np.float32)
            i, _ = box.overlapping_pairs(found.boxes, moved)
        hit.append(np.unique(i))
    return np.concatenate(hit)

"""What becomes of detections that several overlapping tiles share."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from delineate.core import boxes as box
from delineate.core.instances import Instances
from delineate.core.masks import Masks

from .agreement import Tile, Window, same

Ints = NDArray[np.int64]

EDGE = 2  # a detection within so many pixels of its tile's inner border counts as cut there
INSIDE = 0.9  # share of a detection in the common zone from which it lies there wholly
TWICE = 0.5  # overlap of two results of one class above which one goes


@dataclass(frozen=True)
class _Seen:
    """All D detections of all tiles.

    Attributes:
        first: (tiles + 1,) where each tile's detections begin.
        tile: (D,) the tile of each.
        boxes: (D, 4) float64 xyxy in the whole image.
        room: (D,) pixels between a detection and the nearest inner border of its tile.
        labels: (D,) class indices.
        scores: (D,) float32.
    """

    first: Ints
    tile: Ints
    boxes: NDArray[np.float64]
    room: NDArray[np.float64]
    labels: Ints
    scores: NDArray[np.float32]

    @property
    def cut(self) -> NDArray[np.bool_]:
        """(D,) whether a tile's inner border cuts, or may cut, the detection."""
        return self.room < EDGE


def mend(tiles: list[Tile], size: tuple[int, int]) -> Instances:
    """Join the results of overlapping tiles; see :func:`delineate.engine.tile.predict_tiled`.

    Args:
        tiles: windows that cover an image of ``size``, and what was found in each.
        size: (height, width) of the whole image.
    """
    seen = _gather(tiles, size)
    matches = [np.zeros((0, 2), dtype=np.int64)]
    slivers = np.zeros(len(seen.tile), dtype=bool)
    for a, b in _neighbours(tiles):
        i, j = same(tiles[a], tiles[b])
        matches.append(np.stack([i + seen.first[a], j + seen.first[b]], axis=1))
        slivers[_slivers(tiles, seen, a, b, size)] = True
        slivers[_slivers(tiles, seen, b, a, size)] = True
    pairs = _of_one_class(np.concatenate(matches), seen)
    kept, result = _choose(seen, pairs, slivers)
    return _once(*_join(tiles, size, seen, kept, result))


def _gather(tiles: list[Tile], size: tuple[int, int]) -> _Seen:
    counts = [len(t.found) for t in tiles]
    boxes = [t.found.boxes.astype(np.float64) + np.array([*t.window[:2]] * 2) for t in tiles]
    return _Seen(
        first=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        tile=np.repeat(np.arange(len(tiles)), counts),
        boxes=np.concatenate(boxes),
        room=np.concatenate([_room(b, t.window, size) for b, t in zip(boxes, tiles, strict=True)]),
        labels=np.concatenate([t.found.labels for t in tiles]),
        scores=np.concatenate([t.found.scores for t in tiles]),
    )


def _room(boxes: NDArray[np.float64], window: Window, size: tuple[int, int]) -> NDArray[np.float64]:
    """(N,) pixels between boxes and the nearest inner border of a window; infinite where it has none."""
    x0, y0, x1, y1 = window
    room = np.full(len(boxes), np.inf)
    gaps = (boxes[:, 0] - x0, boxes[:, 1] - y0, x1 - boxes[:, 2], y1 - boxes[:, 3])
    for gap, inner in zip(gaps, (x0 > 0, y0 > 0, x1 < size[1], y1 < size[0]), strict=True):
        if inner:
            room = np.minimum(room, gap)
    return room


def _neighbours(tiles: list[Tile]) -> list[tuple[int, int]]:
    """The pairs of tiles whose windows overlap."""
    windows = np.array([t.window for t in tiles], dtype=np.float64)
    i, j = box.overlapping_pairs(windows, windows)
    return [(int(a), int(b)) for a, b in zip(i, j, strict=True) if a < b]


def _slivers(tiles: list[Tile], seen: _Seen, a: int, b: int, size: tuple[int, int]) -> Ints:
    """Detections of tile ``a`` that it cuts, and that lie wholly where tile ``b`` sees them uncut."""
    window = tiles[b].window
    mine = np.arange(seen.first[a], seen.first[a + 1])
    mine = mine[seen.cut[mine] & (_room(seen.boxes[mine], window, size) >= EDGE)]
    if not len(mine):
        return mine
    masks = tiles[a].found.masks
    if masks is None:
        inside = box.intersection(seen.boxes[mine], np.array([window]))[:, 0]
        return mine[inside >= INSIDE * box.area(seen.boxes[mine])]
    x, y = tiles[a].window[:2]
    chosen = masks[mine - seen.first[a]]
    shown = chosen.window(window[0] - x, window[1] - y, window[2] - x, window[3] - y)
    return mine[shown.area >= INSIDE * chosen.area]


def _of_one_class(pairs: Ints, seen: _Seen) -> Ints:
    """Matches (P, 2) of one class; those of two classes where both saw only a part and nothing better."""
    equal = seen.labels[pairs[:, 0]] == seen.labels[pairs[:, 1]]
    settled = np.zeros(len(seen.tile), dtype=bool)
    settled[pairs[equal].ravel()] = True
    parts = seen.cut[pairs].all(axis=1) & ~settled[pairs].any(axis=1)
    kept: Ints = pairs[equal | parts]
    return kept


def _choose(seen: _Seen, pairs: Ints, slivers: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """The detections that are used, and the result 0..K-1 that each goes into.

    A sliver is used only as a part of something larger.
    """
    count = len(seen.tile)
    graph = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, group = connected_components(graph, directed=False)
    alone = np.bincount(group, minlength=count)[group] == 1
    order = np.flatnonzero(~alone)
    order = order[np.argsort(group[order], kind="stable")]
    bounds = [0, *(np.flatnonzero(np.diff(group[order])) + 1).tolist(), len(order)]
    kept = [np.flatnonzero(alone & ~slivers)]
    into = [np.arange(len(kept[0]))]
    results = len(kept[0])
    for first, last in pairwise(bounds):
        members = order[first:last]
        whole = members[~seen.cut[members]]
        if len(whole):  # what the tile with the best view found, each on its own
            best = whole[np.lexsort((seen.scores[whole], seen.room[whole]))[-1]]
            members = whole[seen.tile[whole] == seen.tile[best]]
            into.append(np.arange(results, results + len(members)))
            results += len(members)
        elif len(members) and not slivers[members].all():
            into.append(np.full(len(members), results))
            results += 1
        else:
            continue
        kept.append(members)
    return np.concatenate(kept), np.concatenate(into)


def _join(
    tiles: list[Tile], size: tuple[int, int], seen: _Seen, kept: Ints, result: Ints
) -> tuple[Instances, Ints]:
    """The results, and for each the tile that saw it, -1 where it was put together from several."""
    count = int(result.max(initial=-1)) + 1
    order = np.lexsort((seen.scores[kept], result))
    last = np.flatnonzero(np.diff(result[order], append=-1))  # the best-scored member of each result
    best = kept[order[last]]
    boxes = np.empty((count, 4))
    boxes[:, :2], boxes[:, 2:] = np.inf, -np.inf
    np.minimum.at(boxes[:, :2], result, seen.boxes[kept, :2])
    np.maximum.at(boxes[:, 2:], result, seen.boxes[kept, 2:])
    masks = None
    if all(t.found.masks is not None for t in tiles):
        moved = [t.found.masks.shift(*t.window[:2], size) for t in tiles]  # type: ignore[union-attr]
        masks = Masks.concatenate(moved)[kept].merge(result)
    joined = Instances(
        size,
        boxes=boxes.astype(np.float32),
        labels=seen.labels[best],
        scores=seen.scores[best],
        masks=masks,
        classes=tiles[0].found.classes,
    )
    source = np.where(np.bincount(result, minlength=count) == 1, seen.tile[best], -1)
    # of two results for one object the one with the better view, then the better score, comes first
    view = np.where(seen.cut[best], 1, 0)
    order = np.lexsort((-joined.scores, view))
    return joined[order], source[order]


def _once(found: Instances, source: Ints) -> Instances:
    """Without results that mostly repeat an earlier one of their class from another tile.

    Masks are compared by the share of the smaller one, boxes (which may nest) by IoU. By descending score.
    """
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
    keep = np.ones(len(found), dtype=bool)
    for better, worse in zip(i[twice].tolist(), j[twice].tolist(), strict=True):  # sorted by the better one
        if keep[better]:
            keep[worse] = False
    chosen = np.flatnonzero(keep)
    return found[chosen[np.argsort(-found.scores[chosen], kind="stable")]]

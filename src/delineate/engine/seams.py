"""What becomes of detections that several overlapping tiles share, row of tiles after row of tiles."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from delineate.core import boxes as box
from delineate.core.instances import Instances

from .agreement import Tile, Window, same
from .seam_results import Choice, Results, join_results, settle

Ints = NDArray[np.int64]

EDGE = 2  # a detection within so many pixels of its tile's inner border counts as cut there
INSIDE = 0.9  # share of a detection in the common zone from which it lies there wholly


@dataclass(frozen=True)
class Seen:
    """All D detections of some tiles.

    Attributes:
        first: (tiles + 1,) where each tile's detections begin.
        tile: (D,) the tile of each.
        boxes: (D, 4) float64 xyxy in the whole image.
        room: (D,) pixels between a detection and the nearest inner border of its tile.
        elsewhere: (D,) the same in the tile, among the others, that has the best view of its place.
        other: (D,) that tile; -1 where there is none.
        sliver: (D,) whether its tile cuts it and it lies wholly where another tile would see it uncut.
        labels: (D,) class indices.
        scores: (D,) float32.
    """

    first: Ints
    tile: Ints
    boxes: NDArray[np.float64]
    room: NDArray[np.float64]
    elsewhere: NDArray[np.float64]
    other: Ints
    sliver: NDArray[np.bool_]
    labels: Ints
    scores: NDArray[np.float32]

    @property
    def cut(self) -> NDArray[np.bool_]:
        """(D,) whether a tile's inner border cuts, or may cut, the detection."""
        return self.room < EDGE

    def take(self, chosen: Ints) -> Seen:
        """Some detections; tiles keep their numbers."""
        counts = np.bincount(self.tile[chosen], minlength=len(self.first) - 1)
        columns = ("tile", "boxes", "room", "elsewhere", "other", "sliver", "labels", "scores")
        some = {name: getattr(self, name)[chosen] for name in columns}
        return Seen(np.concatenate(([0], np.cumsum(counts))).astype(np.int64), **some)


class Seams:
    """Joins the tiles of an image; what is finished is given out, so that little is held at a time.

    Args:
        size: (height, width) of the whole image.

    Attributes:
        final: no object that is yet to be given out reaches above this row.

    Example:
        >>> from delineate.core.masks import Masks
        >>> left = Instances((4, 6), masks=Masks.from_label_image(np.array([[0, 0, 0, 0, 1, 1]] * 4)))
        >>> right = Instances((4, 6), masks=Masks.from_label_image(np.array([[1, 1, 1, 0, 0, 0]] * 4)))
        >>> seams = Seams((4, 10))
        >>> seams.add(Tile((0, 0, 6, 4), left))
        >>> seams.add(Tile((4, 0, 10, 4), right))
        >>> top, found = seams.finished(4)
        >>> top, found.area.tolist()
        (0, [12.0])
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.final = 0
        self._tiles: list[Tile] = []
        self._waiting: Results | None = None

    def add(self, tile: Tile) -> None:
        """One more tile. Tiles that were not looked at are left out: they have no say."""
        self._tiles.append(tile)

    def finished(self, below: int) -> tuple[int, Instances]:
        """The objects that no tile beginning at row ``below`` or further down can change.

        Args:
            below: the first row of the tiles to come; the image's height when there are none.

        Returns:
            The row at which the frame of the objects begins, and the objects in that frame, which is as wide
            as the image; by descending score. No object is given out twice.
        """
        if not self._tiles and self._waiting is None:
            self.final = below
            return 0, Instances.empty((1, self.size[1]))
        tiles = self._tiles
        seen, raw = _gather(tiles, self.size), _matches(tiles)
        graph = coo_array(
            (np.ones(len(raw), dtype=bool), (raw[:, 0], raw[:, 1])), shape=(len(seen.tile),) * 2
        )
        _, group = connected_components(graph, directed=False)
        still = np.zeros(len(group) + 1, dtype=bool)
        still[group[seen.boxes[:, 3] > below]] = True
        if below >= self.size[0]:
            still[:] = False
        done = ~still[group]
        top, frame = self._frame()
        found = join_results(tiles, frame, top, _chosen(seen, raw, done))
        open_ones = [
            _only(t, ~done[a:b]) for t, (a, b) in zip(tiles, pairwise(seen.first.tolist()), strict=True)
        ]
        out, self._waiting = settle(self._waiting, found, open_ones, frame, top)
        lowest = min(seen.boxes[~done, 1].min(initial=np.inf), below)
        self._tiles = [t for t in open_ones if t.window[3] > lowest]
        if self._waiting is not None:
            lowest = min(lowest, self._waiting.found.boxes[:, 1].min() + top)
        self.final = int(lowest)
        return top, out

    def _frame(self) -> tuple[int, tuple[int, int]]:
        """First row and size of the rows that the tiles and what is waiting take."""
        top = min(t.window[1] for t in self._tiles)
        bottom = max(t.window[3] for t in self._tiles)
        if self._waiting is not None:
            top = min(top, self._waiting.top)
            bottom = max(bottom, self._waiting.top + self._waiting.found.size[0])
        return top, (bottom - top, self.size[1])


def mend(tiles: list[Tile], size: tuple[int, int]) -> Instances:
    """Join the results of overlapping tiles; see :func:`delineate.engine.tile.predict_tiled`.

    Args:
        tiles: windows that cover an image of ``size``, and what was found in each.
        size: (height, width) of the whole image.
    """
    seams = Seams(size)
    for tile in tiles:
        seams.add(tile)
    top, found = seams.finished(size[0])
    return placed(found, top, size)


def placed(found: Instances, top: int, size: tuple[int, int]) -> Instances:
    """Objects of a frame that begins at row ``top``, in the whole image of ``size``."""
    if found.size == size and not top:
        return found
    masks = None if found.masks is None else found.masks.shift(0, top, size)
    return found.replace(
        size=size, boxes=found.boxes + np.array([0, top, 0, top], dtype=np.float32), masks=masks
    )


def _only(tile: Tile, chosen: NDArray[np.bool_]) -> Tile:
    return tile if chosen.all() else Tile(tile.window, tile.found[chosen])


def _gather(tiles: list[Tile], size: tuple[int, int]) -> Seen:
    """Where everything lies, and how well each tile sees it."""
    counts = [len(t.found) for t in tiles]
    first = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    boxes = [t.found.boxes.astype(np.float64) + np.array([*t.window[:2]] * 2) for t in tiles]
    room = [_room(b, t.window, size) for b, t in zip(boxes, tiles, strict=True)]
    elsewhere = [np.full(n, -np.inf) for n in counts]
    other = [np.full(n, -1) for n in counts]
    sliver = [np.zeros(n, dtype=bool) for n in counts]
    for pair in _neighbours(tiles):
        for a, b in (pair, pair[::-1]):
            there = _room(boxes[a], tiles[b].window, size)
            other[a][there > elsewhere[a]] = b
            elsewhere[a] = np.maximum(elsewhere[a], there)
            cut = np.flatnonzero((room[a] < EDGE) & (there >= EDGE))
            sliver[a][cut[_inside(tiles[a], cut, tiles[b].window)]] = True
    return Seen(
        first=first,
        tile=np.repeat(np.arange(len(tiles)), counts),
        boxes=np.concatenate(boxes),
        room=np.concatenate(room),
        elsewhere=np.concatenate(elsewhere),
        other=np.concatenate(other),
        sliver=np.concatenate(sliver),
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


def _inside(tile: Tile, which: Ints, window: Window) -> NDArray[np.bool_]:
    """(len(which),) whether detections of a tile lie nearly wholly in another window."""
    if not len(which):
        return np.zeros(0, dtype=bool)
    x, y = tile.window[:2]
    there = (window[0] - x, window[1] - y, window[2] - x, window[3] - y)
    masks = tile.found.masks
    if masks is None:
        boxes = tile.found.boxes[which].astype(np.float64)
        shown = box.intersection(boxes, np.array([there], dtype=np.float64))[:, 0]
        return np.asarray(shown >= INSIDE * box.area(boxes))
    chosen = masks[which]
    return np.asarray(chosen.window(*there).area >= INSIDE * chosen.area)


def _matches(tiles: list[Tile]) -> Ints:
    """(P, 2) detections of neighbouring tiles that show the same object, whatever their class."""
    first = np.concatenate(([0], np.cumsum([len(t.found) for t in tiles]))).astype(np.int64)
    found = [np.zeros((0, 2), dtype=np.int64)]
    for a, b in _neighbours(tiles):
        if len(tiles[a].found) and len(tiles[b].found):
            i, j = same(tiles[a], tiles[b])
            found.append(np.stack([i + first[a], j + first[b]], axis=1))
    return np.concatenate(found)


def _chosen(seen: Seen, raw: Ints, done: NDArray[np.bool_]) -> Choice:
    """What becomes of the detections that are done."""
    numbers = np.flatnonzero(done)
    at = np.cumsum(done) - 1
    mine = seen.take(numbers)
    pairs = _of_one_class(at[raw[done[raw[:, 0]]]], mine)
    kept, result = _choose(mine, pairs)
    used = numbers[kept]
    return Choice(
        tile=seen.tile[used],
        number=used - seen.first[seen.tile[used]],
        boxes=seen.boxes[used],
        cut=seen.cut[used],
        result=result,
    )


def _of_one_class(pairs: Ints, seen: Seen) -> Ints:
    """Matches (P, 2) of one class; those of two classes where both saw only a part and nothing better."""
    equal = seen.labels[pairs[:, 0]] == seen.labels[pairs[:, 1]]
    settled = np.zeros(len(seen.tile), dtype=bool)
    settled[pairs[equal].ravel()] = True
    parts = seen.cut[pairs].all(axis=1) & ~settled[pairs].any(axis=1)
    kept: Ints = pairs[equal | parts]
    return kept


def _choose(seen: Seen, pairs: Ints) -> tuple[Ints, Ints]:
    """The detections that are used, and the result 0..K-1 that each goes into.

    A sliver is used only as a part of something larger. What tiles report is left out where another tile,
    which has a better view of the place, does not see it.
    """
    count = len(seen.tile)
    graph = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, group = connected_components(graph, directed=False)
    alone = np.bincount(group, minlength=count)[group] == 1
    order = np.flatnonzero(~alone)
    order = order[np.argsort(group[order], kind="stable")]
    bounds = [0, *(np.flatnonzero(np.diff(group[order])) + 1).tolist(), len(order)]
    kept = [np.flatnonzero(alone & ~seen.sliver & (seen.elsewhere <= seen.room))]
    into = [np.arange(len(kept[0]))]
    results = len(kept[0])
    for first, last in pairwise(bounds):
        members = order[first:last]
        whole = members[~seen.cut[members]]
        if len(whole):  # what the tile with the best view found, each on its own
            best = whole[np.lexsort((seen.scores[whole], seen.room[whole]))[-1]]
            if seen.elsewhere[best] > seen.room[best] and seen.other[best] not in seen.tile[members]:
                continue
            members = whole[seen.tile[whole] == seen.tile[best]]
            into.append(np.arange(results, results + len(members)))
            results += len(members)
        elif len(members) and not seen.sliver[members].all():
            into.append(np.full(len(members), results))
            results += 1
        else:
            continue
        kept.append(members)
    return np.concatenate(kept), np.concatenate(into)

"""Exact outlines: the rings of pixel edges around every object, all objects at once.

The corner points of a mask made of pixels are where the outline turns. On each horizontal grid line the
corners pair up to horizontal edges, on each vertical line to vertical edges; following the two in turn gives
the rings. Foreground is 4-connected: pixels that touch at a corner only belong to different parts. Where a
ring would visit a point twice it is cut there, so every ring is simple.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .runs import Ints, Runs

Ring = NDArray[np.float64]


def outlines(runs: Runs) -> list[list[tuple[Ring, tuple[Ring, ...]]]]:
    """Per object its parts, each an exterior and its holes: (K, 2) float64 xy, first point not repeated.

    Pixel (x, y) covers [x, x + 1] x [y, y + 1]. Exteriors have positive area in x right, y down coordinates
    (clockwise as seen), holes negative; both turn at every point.
    """
    parts: list[list[tuple[Ring, tuple[Ring, ...]]]] = [[] for _ in range(len(runs.offsets) - 1)]
    if not len(runs.x):
        return parts
    owner, x, y, begins, left = _corners(runs)
    rings = _rings(_successors(owner, x, y, begins, left), x, y)
    order = np.concatenate(rings)
    bounds = np.cumsum([0, *map(len, rings)])
    points = np.stack((x[order], y[order]), axis=1).astype(np.float64)
    ring_owner = owner[order[bounds[:-1]]]
    area = _areas(points, bounds)
    ring_of = np.empty(len(x), dtype=np.int64)
    ring_of[order] = np.repeat(np.arange(len(rings)), np.diff(bounds))
    holes: dict[int, list[Ring]] = {}
    cuts = bounds.tolist()
    for hole, parent in _parents(runs, (owner, x, y, begins, left), ring_of, area).items():
        holes.setdefault(parent, []).append(points[cuts[hole] : cuts[hole + 1]])
    for ring in np.flatnonzero(area > 0).tolist():
        exterior = points[cuts[ring] : cuts[ring + 1]]
        parts[ring_owner[ring]].append((exterior, tuple(holes.get(ring, ()))))
    return parts


Corners = tuple[Ints, Ints, Ints, NDArray[np.bool_], NDArray[np.bool_]]


def _corners(runs: Runs) -> Corners:
    """Owner, x, y of each corner; whether its horizontal edge is a top edge, and whether it is the left end.

    Sorted by (owner, y, begins, x), so that left and right ends alternate.
    """
    owner = np.tile(runs.owner, 4)
    x = np.concatenate((runs.x, runs.x, runs.x + 1, runs.x + 1)).astype(np.int64)
    y = np.tile(np.concatenate((runs.y, runs.y + runs.length)), 2).astype(np.int64)
    begins = np.tile(np.repeat([True, False], len(runs.x)), 2)
    left = np.repeat([True, False], 2 * len(runs.x))
    wide, tall = int(x.max()) + 1, int(y.max()) + 1
    key = (((owner * tall + y) * 2 + begins) * wide + x) * 2 + left
    key.sort()
    # a right end and a left end of the same kind at one point: the edge goes straight on
    straight = np.flatnonzero(key[1:] == key[:-1] + 1)
    straight = straight[key[straight] & 1 == 0]
    keep = np.ones(len(key), dtype=np.bool_)
    keep[straight] = keep[straight + 1] = False
    key = key[keep]
    rest, is_left = key >> 1, key & 1 == 1
    line, column = np.divmod(rest, wide)
    row, top = line >> 1, line & 1 == 1
    who, height = np.divmod(row, tall)
    return who, column, height, top, is_left


def _successors(owner: Ints, x: Ints, y: Ints, begins: NDArray[np.bool_], left: NDArray[np.bool_]) -> Ints:
    """For each corner the next along its ring: (C,) a permutation.

    Top edges run right, bottom edges left, so the object lies on the right hand as seen.
    """
    index = np.arange(len(x))
    horizontal = index ^ 1  # left and right ends lie in pairs
    # on a vertical line the corners pair up in order of y; where two lie on one point, the one that ends a
    # bottom edge belongs to the pixel above
    key = ((owner * (int(x.max()) + 1) + x) * (int(y.max()) + 1) + y) * 2 + begins
    order = np.argsort(key)
    vertical = np.empty_like(index)
    vertical[order[::2]], vertical[order[1::2]] = order[1::2], order[::2]
    # the corner where a horizontal edge ends goes on vertically, and the other way round
    ends_horizontal = begins != left
    return np.where(ends_horizontal, vertical, horizontal)


def _rings(successors: Ints, x: Ints, y: Ints) -> list[Ints]:
    """Corner indices of each ring in order, none visiting a point twice."""
    following = successors.tolist()
    visited = bytearray(len(following))
    rings: list[list[int]] = []
    for start in range(len(following)):
        if not visited[start]:
            ring = []
            at = start
            while not visited[at]:
                visited[at] = 1
                ring.append(at)
                at = following[at]
            rings.append(ring)
    lengths = np.array([len(r) for r in rings])
    flat = np.array([i for r in rings for i in r], dtype=np.int64)
    number = np.repeat(np.arange(len(rings)), lengths)
    key = (number * (int(x.max()) + 1) + x[flat]) * (int(y.max()) + 1) + y[flat]
    key.sort()
    double = key[1:] == key[:-1]
    touching = set((key[1:][double] // ((int(x.max()) + 1) * (int(y.max()) + 1))).tolist())
    simple: list[Ints] = []
    for k, ring in enumerate(rings):
        pieces = _cut(ring, x, y) if k in touching else [ring]
        simple.extend(np.array(p, dtype=np.int64) for p in pieces)
    return simple


def _cut(ring: list[int], x: Ints, y: Ints) -> list[list[int]]:
    """A ring that touches itself, as rings that do not."""
    pieces: list[list[int]] = []
    path: list[int] = []
    seen: dict[tuple[int, int], int] = {}
    for corner in ring:
        point = (int(x[corner]), int(y[corner]))
        if point in seen:
            at = seen[point]
            pieces.append(path[at:])
            for gone in path[at:]:
                del seen[int(x[gone]), int(y[gone])]
            del path[at:]
        seen[point] = len(path)
        path.append(corner)
    pieces.append(path)
    return pieces


def _areas(points: Ring, bounds: Ints) -> NDArray[np.float64]:
    """Signed areas of rings that lie end to end."""
    after = np.arange(1, len(points) + 1)
    after[bounds[1:] - 1] = bounds[:-1]
    cross = points[:, 0] * points[after, 1] - points[after, 0] * points[:, 1]
    total = np.concatenate(([0.0], np.cumsum(cross)))
    return np.asarray(total[bounds[1:]] - total[bounds[:-1]]) / 2


def _parents(runs: Runs, corners: Corners, ring_of: Ints, area: NDArray[np.float64]) -> dict[int, int]:
    """For each hole the exterior ring of the part it lies in.

    The run that ends at the top of a hole belongs to the part; the ring through that run's own top is the
    exterior, or another hole that begins further up.
    """
    owner, x, y, begins, left = corners
    holes = np.flatnonzero(area < 0)
    if not len(holes):
        return {}
    wide, tall = int(x.max()) + 1, int(y.max()) + 1
    # where each hole's highest edge, a bottom edge of the part, sets out: at its right end
    candidates = np.flatnonzero(~begins & ~left & (area[ring_of] < 0))
    candidates = candidates[np.lexsort((y[candidates], ring_of[candidates]))]
    first = np.concatenate(([True], ring_of[candidates][1:] != ring_of[candidates][:-1]))
    top = candidates[first]
    run_owner = runs.owner
    run_key = (run_owner * wide + runs.x) * tall + runs.y
    run = np.searchsorted(run_key, (owner[top] * wide + x[top] - 1) * tall + y[top]) - 1
    edge_key = ((owner * tall + y) * 2 + begins) * wide + x
    edge = (
        np.searchsorted(
            edge_key, ((run_owner[run] * tall + runs.y[run]) * 2 + 1) * wide + runs.x[run], "right"
        )
        - 1
    )
    above = dict(zip(ring_of[top].tolist(), ring_of[edge].tolist(), strict=True))
    parents: dict[int, int] = {}
    for hole in above:
        ring = above[hole]
        while ring in above:
            ring = above[ring]
        parents[hole] = ring
    return parents

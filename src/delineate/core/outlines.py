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
    corners = _corners(runs)
    owner, x, y = corners[:3]
    order, bounds = _rings(corners)
    points = np.stack((x[order], y[order]), axis=1).astype(np.float64)
    points.flags.writeable = False
    area = _areas(points, bounds)
    ring_of = np.empty(len(x), dtype=np.int64)
    ring_of[order] = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    cuts = bounds.tolist()
    holes: dict[int, list[Ring]] = {}
    for hole, parent in _parents(runs, corners, ring_of, area).items():
        holes.setdefault(parent, []).append(points[cuts[hole] : cuts[hole + 1]])
    exteriors = np.flatnonzero(area > 0)
    for ring, who in zip(exteriors.tolist(), owner[order[bounds[exteriors]]].tolist(), strict=True):
        parts[who].append((points[cuts[ring] : cuts[ring + 1]], tuple(holes.get(ring, ()))))
    return parts


Corners = tuple[Ints, Ints, Ints, NDArray[np.bool_], NDArray[np.bool_]]


def _corners(runs: Runs) -> Corners:
    """Owner, x, y of each corner; whether its horizontal edge is a top edge, and whether it is the left end.

    Sorted by (owner, y, begins, x), so that left and right ends alternate.
    """
    end = runs.y + runs.length
    wide, tall = int(runs.x.max()) + 2, int(end.max()) + 1
    line = runs.owner * (2 * tall)  # key: (((owner * tall + y) * 2 + begins) * wide + x) * 2 + left
    top = ((line + 2 * runs.y + 1) * wide + runs.x) * 2 + 1
    bottom = ((line + 2 * end) * wide + runs.x) * 2 + 1
    key = np.concatenate((top, top + 1, bottom, bottom + 1))
    key.sort()
    # a right end and a left end of the same kind at one point: the edge goes straight on
    left = key & 1 == 1
    straight = (key[1:] == key[:-1] + 1) & left[1:]
    keep = np.ones(len(key), dtype=np.bool_)
    keep[:-1] = ~straight
    keep[1:] &= ~straight
    rest = key[keep] >> 1
    line = rest // wide
    row = line >> 1
    owner = row // tall
    return owner, rest - line * wide, row - owner * tall, line & 1 == 1, left[keep]


def _rings(corners: Corners) -> tuple[Ints, Ints]:
    """The corners ring after ring, each in walking order, and the bounds of the rings: (C,) and (R + 1,).

    Top edges are walked to the right, bottom edges to the left, so the object lies on the right hand as seen.
    """
    owner, x, y, begins = corners[:4]
    # on a vertical line the corners pair up in order of y; where two lie on one point, the one that ends a
    # bottom edge belongs to the pixel above
    wide, tall = int(x.max()) + 1, int(y.max()) + 1
    key = ((owner * wide + x) * tall + y) * 2 + begins
    line = np.argsort(key)
    across = np.empty_like(line)
    across[line[::2]], across[line[1::2]] = line[1::2], line[::2]
    edge = np.arange(len(x) // 2)  # a horizontal edge has the corners 2 e (left) and 2 e + 1
    tail = 2 * edge + ~begins[::2]
    leader, rank = _walk(across[tail ^ 1] >> 1)
    walked = np.argsort(leader * len(edge) + rank)
    order = np.stack((tail[walked], tail[walked] ^ 1), axis=1).ravel()
    begin = np.flatnonzero(rank[walked] == 0) * 2
    bounds = np.append(begin, len(order))
    # a ring that visits a point twice: two corners on one point, on one ring
    point = key[line] >> 1
    twice = np.flatnonzero(point[1:] == point[:-1])
    same = leader[line[twice] >> 1] == leader[line[twice + 1] >> 1]
    if not same.any():
        return order, bounds
    touching = set(np.searchsorted(leader[walked[begin // 2]], leader[line[twice[same]] >> 1]).tolist())
    pieces: list[list[int]] = []
    cuts = bounds.tolist()
    for ring in range(len(begin)):
        path = order[cuts[ring] : cuts[ring + 1]].tolist()
        pieces.extend(_cut(path, x, y) if ring in touching else [path])
    flat = np.array([corner for piece in pieces for corner in piece], dtype=np.int64)
    return flat, np.cumsum([0, *map(len, pieces)])


def _walk(following: Ints) -> tuple[Ints, Ints]:
    """For each node of a permutation the least node of its cycle, and a rank along the cycle, 0 for that one.

    By pointer doubling: after k rounds each node knows the least of its next 2**k, and the steps to it.
    """
    count = len(following)
    least, steps, jump, reach = np.arange(count), np.zeros(count, dtype=np.int64), following, 1
    while True:
        ahead = least[jump]
        better = ahead < least
        if not better.any():
            return least, np.where(steps, count - steps, 0)
        steps = np.where(better, steps[jump] + reach, steps)
        least, jump, reach = np.where(better, ahead, least), jump[jump], 2 * reach


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

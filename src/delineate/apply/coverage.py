"""Outlines of neighbours that share their borders, kept so while they get fewer points.

Masks that do not overlap are a coverage: where two touch, the outline of each runs along the other's. Their
borders are simplified once for both sides (shapely's ``coverage_simplify``, which is Visvalingam and Whyatt,
"Line generalisation by repeated elimination of points", Cartographic Journal 30, 1993, on the edges of a
coverage, and keeps it one), so that no gap and no overlap arises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from delineate.core.convert.shapely import Geometries, shapely_package
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon

Ints = NDArray[np.int64]
Ring = NDArray[np.float64]


def disjoint(masks: Masks, scores: NDArray[np.float32]) -> tuple[Masks, int]:
    """The masks without common pixels: each such pixel goes to the mask of higher score.

    Returns:
        The masks, some maybe empty now, and how many pixels were claimed twice.

    Example:
        >>> masks = Masks.from_dense(np.array([[[1, 1, 0]], [[0, 1, 1]]]))
        >>> apart, pixels = disjoint(masks, np.array([0.5, 0.9], np.float32))
        >>> apart.area.tolist(), pixels
        ([1, 2], 1)
    """
    i, j, shared = masks.intersection_pairs(masks)
    twice = i < j
    if not twice.any():
        return masks, 0
    graph = coo_array((np.ones(twice.sum(), np.int8), (i[twice], j[twice])), shape=(len(masks),) * 2)
    _, group = connected_components(graph, directed=False)
    met = np.unique(group[i[twice]])
    crops, corners = {}, {}
    for number in met.tolist():
        members = np.flatnonzero(group == number)
        members = members[np.argsort(scores[members], kind="stable")]  # the surest painted last
        boxes = masks[members].boxes.astype(np.int64)
        x0, y0 = boxes[:, :2].min(axis=0).tolist()
        x1, y1 = boxes[:, 2:].max(axis=0).tolist()
        painted = masks[members].window(x0, y0, x1, y1).to_label_image()
        for k, member in enumerate(members.tolist(), 1):
            crops[member], corners[member] = painted == k, (x0, y0)
    mended = np.isin(group, met)
    order = np.argsort(np.concatenate((np.flatnonzero(~mended), list(crops))), kind="stable")
    moved = Masks.from_crops(list(crops.values()), np.array(list(corners.values())), masks.size)
    return Masks.concatenate([masks[~mended], moved])[order], int(shared[twice].sum())


def noded(outlines: Sequence[Sequence[Polygon]]) -> list[list[Polygon]]:
    """Outlines along pixel edges with a point wherever another outline has one, so that borders match.

    Args:
        outlines: N objects as :meth:`Masks.to_polygons` gives them with a tolerance of 0: points at pixel
            corners, edges along rows and columns.
    """
    rings = [ring for parts in outlines for part in parts for ring in part.rings]
    if not rings:
        return [list(parts) for parts in outlines]
    lengths = np.array([len(ring) for ring in rings])
    at = np.concatenate(rings).astype(np.int64)
    more, count = _between(at, at[_following(lengths)])
    starts = np.cumsum(1 + count) - (1 + count)  # where each old point stands in the new rings
    every = np.empty((len(at) + len(more), 2))
    every[starts] = at
    every[np.setdiff1d(np.arange(len(every)), starts, assume_unique=True)] = more
    ends = np.cumsum(np.add.reduceat(1 + count, np.cumsum(lengths) - lengths))[:-1]
    made = iter(np.split(every, ends))
    return [
        [Polygon(next(made), tuple(next(made) for _ in part.holes)) for part in parts] for parts in outlines
    ]


def _following(lengths: Ints) -> Ints:
    """The next point of each point on its ring."""
    ends = np.cumsum(lengths)
    after = np.arange(1, int(ends[-1]) + 1)
    after[ends - 1] = ends - lengths
    return after


def _between(at: Ints, after: Ints) -> tuple[Ints, Ints]:
    """All points of ``at`` that lie inside edges, edge by edge in their direction; and how many on each edge.

    Args:
        at: (E, 2) where each edge begins.
        after: (E, 2) where it ends, in the same row or column.
    """
    points = np.unique(at, axis=0)
    wide = int(points.max()) + 2
    level = at[:, 1] == after[:, 1]
    first, last = np.zeros(len(at), np.int64), np.zeros(len(at), np.int64)
    keys = (np.sort(points[:, 1] * wide + points[:, 0]), np.sort(points[:, 0] * wide + points[:, 1]))
    across = np.where(level, at[:, 1], at[:, 0])
    begin, end = np.where(level, at[:, 0], at[:, 1]), np.where(level, after[:, 0], after[:, 1])
    for key, own in zip(keys, (level, ~level), strict=True):
        line = across[own] * wide
        first[own] = np.searchsorted(key, line + np.minimum(begin, end)[own], "right")
        last[own] = np.searchsorted(key, line + np.maximum(begin, end)[own], "left")
    count = np.maximum(last - first, 0)
    edge = np.repeat(np.arange(len(at)), count)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    place = np.where(begin[edge] < end[edge], first[edge] + step, last[edge] - 1 - step)
    along = np.where(level[edge], keys[0][place], keys[1][place])
    along = along - across[edge] * wide
    x = np.where(level[edge], along, across[edge])
    y = np.where(level[edge], across[edge], along)
    return np.stack((x, y), axis=1), count


def simplified(shapes: Geometries, tolerance: float) -> Geometries:
    """A coverage of fewer points.

    Args:
        shapes: (N,) polygons and multipolygons that touch at most, with equal points where they do.
        tolerance: in the shapes' unit: corners whose triangle is smaller than its square go.
    """
    if tolerance <= 0 or not len(shapes):
        return shapes
    package = shapely_package()
    full = ~package.is_empty(shapes)
    result = shapes.copy()
    if full.any():
        result[full] = package.coverage_simplify(shapes[full], tolerance)
    return result


def neighbours(shapes: Geometries) -> Ints:
    """(N,) the cluster of shapes, 0.., that touch one another, each directly or through others."""
    package = shapely_package()
    count = len(shapes)
    if not count:
        return np.zeros(0, np.int64)
    i, j = package.STRtree(shapes).query(shapes, predicate="intersects")
    graph: Any = coo_array((np.ones(len(i), np.int8), (i, j)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)

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
    points = np.unique(np.concatenate(rings).astype(np.int64), axis=0)
    wide = int(points.max()) + 2
    by_row = np.sort(points[:, 1] * wide + points[:, 0])
    by_column = np.sort(points[:, 0] * wide + points[:, 1])

    def with_nodes(ring: Ring) -> Ring:
        at = ring.astype(np.int64)
        after = np.roll(at, -1, axis=0)
        level = at[:, 1] == after[:, 1]
        line = np.where(level, at[:, 1], at[:, 0]) * wide
        begin, end = np.where(level, at[:, 0], at[:, 1]), np.where(level, after[:, 0], after[:, 1])
        low, high = line + np.minimum(begin, end), line + np.maximum(begin, end)
        keys = [by_row if k else by_column for k in level.tolist()]
        found: list[Ring] = []
        for k, key in enumerate(keys):
            first, last = np.searchsorted(key, (low[k], high[k]), ("right"))
            inner = key[first : last - 1] - line[k] if last - first > 1 else key[:0]
            inner = inner if begin[k] < end[k] else inner[::-1]
            found.append(at[k : k + 1].astype(np.float64))
            if len(inner):
                fixed = np.full(len(inner), line[k] // wide)
                pair = (inner, fixed) if level[k] else (fixed, inner)
                found.append(np.stack(pair, axis=1).astype(np.float64))
        return np.concatenate(found)

    return [
        [Polygon(with_nodes(p.exterior), tuple(with_nodes(h) for h in p.holes)) for p in parts]
        for parts in outlines
    ]


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

"""Which objects stand beside which: touching, Delaunay neighbours, the nearest, how many within a radius."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay, QhullError, cKDTree

from delineate.core.masks import Masks

Ints = NDArray[np.int64]
ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Contacts:
    """The pairs of N objects that touch, each once.

    Attributes:
        first: (P,) int64 index of one object, below ``second``.
        second: (P,) int64 index of the other.
        border: (P,) int64 pixel edges that they share; 0 where they touch at corners alone.
        overlap: (P,) int64 pixels that both masks cover.
    """

    first: Ints
    second: Ints
    border: Ints
    overlap: Ints

    def counts(self, number: int) -> Ints:
        """(number,) how many objects each one touches."""
        return np.bincount(np.concatenate([self.first, self.second]), minlength=number).astype(np.int64)


def contacts(masks: Masks) -> Contacts:
    """The pairs of masks that touch by an edge or a corner of a pixel, or overlap.

    Where masks overlap, an image painted with all of them, later ones on top, decides what borders on what.
    """
    labels, count = masks.to_label_image(), len(masks)
    key, number = [], []
    for top in range(0, labels.shape[0], ROWS_AT_ONCE):
        strip = labels[top : top + ROWS_AT_ONCE + 1]
        one, two, edge = strip_contacts(strip, top + ROWS_AT_ONCE >= labels.shape[0])
        key.append((one - 1) * count + two - 1)
        number.append(edge)
    i, j, shared = masks.intersection_pairs(masks)
    over = i < j
    key.append(i[over] * count + j[over])
    number.append(np.zeros(int(over.sum()), dtype=np.int64))
    pairs, place = np.unique(np.concatenate(key), return_inverse=True)
    border = np.bincount(place, weights=np.concatenate(number), minlength=len(pairs)).astype(np.int64)
    overlap = np.zeros(len(pairs), dtype=np.int64)
    overlap[np.searchsorted(pairs, i[over] * count + j[over])] = shared[over]
    return Contacts(pairs // max(count, 1), pairs % max(count, 1), border, overlap)


def strip_contacts(strip: NDArray[Any], last: bool) -> tuple[Ints, Ints, Ints]:
    """Where two labels meet in a strip of rows, one entry for each place.

    Args:
        strip: (h, W) labels, 0 background; its last row is the next strip's first.
        last: it is the image's last strip, and its last row its own.

    Returns:
        (K,) the smaller label, the larger one, and 1 where they share an edge, 0 at a corner.
    """
    mine = strip if last else strip[:-1]
    found: list[Ints] = []
    for a, b, edge in (
        (mine[:, :-1], mine[:, 1:], 1),
        (strip[:-1], strip[1:], 1),
        (strip[:-1, :-1], strip[1:, 1:], 0),
        (strip[:-1, 1:], strip[1:, :-1], 0),
    ):
        place = np.flatnonzero((a != b) & (a != 0) & (b != 0))
        one = np.ascontiguousarray(a).ravel()[place].astype(np.int64)
        two = np.ascontiguousarray(b).ravel()[place].astype(np.int64)
        found.append(np.stack([np.minimum(one, two), np.maximum(one, two), np.full(len(one), edge)]))
    one, two, edges = np.concatenate(found, axis=1)
    return one, two, edges


def delaunay_pairs(points: NDArray[np.float64]) -> Ints:
    """(P, 2) pairs of points, i < j, that an edge of the Delaunay triangulation joins.

    On a straight line, where there is no triangle, each point is joined with the next; of points at one
    place, one stands for all.

    Args:
        points: (N, 2) finite.
    """
    if len(points) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    middle = points - points.mean(axis=0)
    try:
        corners = Delaunay(middle).simplices if len(points) > 2 else None
    except QhullError:
        corners = None
    if corners is None:
        direction = np.linalg.svd(middle, full_matrices=False)[2][0]
        order = np.argsort(middle @ direction, kind="stable")
        pairs = np.stack([order[:-1], order[1:]], axis=1)
    else:
        pairs = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]])
    found: Ints = np.unique(np.sort(pairs.astype(np.int64), axis=1), axis=0)
    return found


def neighbour_columns(
    masks: Masks, centroids: NDArray[np.float64], radius: float | None = None
) -> dict[str, NDArray[np.float64]]:
    """Columns about each object's neighbours.

    Args:
        masks: N masks.
        centroids: (N, 2) row and column, NaN for an empty mask.
        radius: in pixels; None leaves ``neighbours_within_radius`` out.

    Returns:
        ``touching`` (objects that it touches or overlaps), ``delaunay_neighbours``, ``nearest_distance``
        (pixels between centroids), ``nearest_label`` (1..N), ``neighbours_within_radius`` (other centroids at
        most ``radius`` away): (N,) float64 each, NaN for an empty mask and where there is no other object.
    """
    touching = contacts(masks).counts(len(masks)) if len(masks) else np.zeros(0, dtype=np.int64)
    return place_columns(touching, centroids, radius)


def place_columns(
    touching: Ints, centroids: NDArray[np.float64], radius: float | None = None
) -> dict[str, NDArray[np.float64]]:
    """:func:`neighbour_columns` from (N, 2) centroids and (N,) how many objects each one touches."""
    count = len(centroids)
    known = np.flatnonzero(np.isfinite(centroids).all(axis=1))
    names = ("touching", "delaunay_neighbours", "nearest_distance", "nearest_label")
    columns = {name: np.full(count, np.nan) for name in names}
    if radius is not None:
        columns["neighbours_within_radius"] = np.full(count, np.nan)
    if not len(known):
        return columns
    points = centroids[known]
    columns["touching"][known] = touching[known]
    pairs = delaunay_pairs(points)
    columns["delaunay_neighbours"][known] = np.bincount(pairs.ravel(), minlength=len(known))
    tree = cKDTree(points)
    if len(known) > 1:
        found = tree.query(points, k=2)
        distance, place = np.asarray(found[0]), np.asarray(found[1])
        self_first = place[:, 0] == np.arange(len(known))  # several at one place come in any order
        columns["nearest_distance"][known] = distance[:, 1]
        columns["nearest_label"][known] = known[np.where(self_first, place[:, 1], place[:, 0])] + 1
    if radius is not None:
        within = tree.query_ball_point(points, radius, return_length=True)
        columns["neighbours_within_radius"][known] = within - 1
    return columns

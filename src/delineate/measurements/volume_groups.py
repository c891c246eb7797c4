"""What is measured of a stack's objects when asked for: neighbours, background, texture in three dimensions.

Distances take the voxels' sides into account. Where a number is given in pixels (``radius``, ``background``),
a pixel is the side of a voxel within a slice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects
from scipy.spatial import Delaunay, QhullError, cKDTree

from .crofton import STEPS, Spacing, facing
from .groups import Groups
from .neighbours import delaunay_pairs
from .texture import FEATURES, haralick, levels_of, ranges_of

Columns = dict[str, NDArray[Any]]
VOXELS_AT_ONCE = 1_000_000


def volume_groups(
    numbered: NDArray[np.int32],
    centres: NDArray[np.float64],
    spacing: Spacing,
    image: NDArray[Any] | None,
    groups: Groups,
) -> Columns:
    """The columns that ``groups`` asks for.

    Args:
        numbered: (Z, Y, X), 0 background, 1..N.
        centres: (N, 3) mean slice, row, column.
        spacing: distances of slices, rows and columns.
        image: (Z, Y, X, C) numbers, or None, which leaves background and texture out.
        groups: what is asked for.

    Returns:
        (N,) each: ``touching``, ``delaunay_neighbours``, ``nearest_distance`` (in the spacing's unit),
        ``nearest_label`` (1..N), ``neighbours_within_radius``; ``background_voxels`` and
        ``background_mean`` (N, C); ``haralick_*`` (N, C).
    """
    columns: Columns = {}
    if groups.neighbours:
        columns |= _neighbours(numbered, centres * np.array(spacing), groups.radius, spacing[1])
    if image is not None and groups.background:
        columns |= _background(numbered, len(centres), image, groups.background, spacing)
    if image is not None and groups.texture:
        columns |= _texture(numbered, image, groups)
    return columns


def touching_voxels(numbered: NDArray[np.int32]) -> NDArray[np.int64]:
    """(P, 3) the pairs of objects that touch by a face, an edge or a corner, and the faces that they share.

    Args:
        numbered: (Z, Y, X), 0 background, 1..N.

    Returns:
        Rows (i, j, faces), i < j.

    Example:
        >>> touching_voxels(np.array([[[1, 1, 2]], [[0, 3, 3]]], np.int32)).tolist()
        [[1, 2, 1], [1, 3, 1], [2, 3, 1]]
    """
    keys, faces = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    number = int(numbered.max(initial=0)) + 1
    for z in range(len(numbered)):
        for across, down, right in STEPS:
            if across and z + 1 == len(numbered):
                continue
            one, two = facing(numbered[z], numbered[z + across], down, right)
            found = (one != two) & (one > 0) & (two > 0)
            a, b = one[found].astype(np.int64), two[found].astype(np.int64)
            keys.append(np.minimum(a, b) * number + np.maximum(a, b))
            faces.append(np.full(len(a), int(abs(across) + abs(down) + abs(right) == 1)))
    pairs, place = np.unique(np.concatenate(keys), return_inverse=True)
    shared = np.bincount(place, weights=np.concatenate(faces), minlength=len(pairs)).astype(np.int64)
    return np.stack([pairs // number, pairs % number, shared], axis=1)


def delaunay_pairs_3d(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """(P, 2) pairs of points, i < j, that an edge of the Delaunay tetrahedra joins.

    Of points in one plane (or on one line) it is the triangulation in that plane.

    Args:
        points: (N, 3) finite.
    """
    if len(points) > 4:
        try:
            corners = Delaunay(points - points.mean(axis=0)).simplices
        except QhullError:
            pass  # all in one plane
        else:
            sides = [(i, j) for i in range(4) for j in range(i)]
            pairs = np.concatenate([corners[:, list(side)] for side in sides])
            found: NDArray[np.int64] = np.unique(np.sort(pairs.astype(np.int64), axis=1), axis=0)
            return found
    if len(points) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    middle = points - points.mean(axis=0)
    _, extent, axes = np.linalg.svd(middle, full_matrices=False)
    if len(points) == 4 and len(extent) == 3 and extent[2] > 1e-9 * max(extent[0], 1e-300):
        return np.array([(i, j) for i in range(4) for j in range(i + 1, 4)])  # one tetrahedron
    plane = middle @ axes[:2].T
    return delaunay_pairs(plane if plane.shape[1] == 2 else np.pad(plane, ((0, 0), (0, 1))))


def _neighbours(
    numbered: NDArray[np.int32], points: NDArray[np.float64], radius: float | None, side: float
) -> Columns:
    count = len(points)
    pairs = touching_voxels(numbered)[:, :2] - 1
    columns: Columns = {
        "touching": np.bincount(pairs.ravel(), minlength=count).astype(np.float64),
        "delaunay_neighbours": np.bincount(delaunay_pairs_3d(points).ravel(), minlength=count) * 1.0,
        "nearest_distance": np.full(count, np.nan),
        "nearest_label": np.full(count, np.nan),
    }
    if count:
        tree = cKDTree(points)
    if count > 1:
        found = tree.query(points, k=2)
        place = np.asarray(found[1])
        self_first = place[:, 0] == np.arange(count)
        columns["nearest_distance"] = np.asarray(found[0])[:, 1]
        columns["nearest_label"] = np.where(self_first, place[:, 1], place[:, 0]) + 1.0
    if radius is not None:
        within = tree.query_ball_point(points, radius * side, return_length=True) if count else np.zeros(0)
        columns["neighbours_within_radius"] = np.asarray(within, dtype=np.float64) - 1
    return columns


def _background(
    numbered: NDArray[np.int32], count: int, image: NDArray[Any], width: float, spacing: Spacing
) -> Columns:
    """Of the shell around each object that is in no object and nearest to this one."""
    sides = tuple(side / spacing[1] for side in spacing)
    number = np.zeros(count + 1, dtype=np.int64)
    total = np.zeros((count + 1, image.shape[3]))
    margins = [int(np.ceil(width / side)) for side in sides]
    for inner, outer in _blocks(numbered.shape, margins):
        window = numbered[outer]
        if not window.any():
            continue
        distance, nearest = distance_transform_edt(window == 0, sampling=sides, return_indices=True)
        middle = tuple(slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))
        ring = (distance[middle] > 0) & (distance[middle] <= width)
        owner = window[tuple(index[middle][ring] for index in nearest)]
        number += np.bincount(owner, minlength=count + 1)
        values = image[inner][ring]
        for channel in range(image.shape[3]):
            total[:, channel] += np.bincount(owner, weights=values[:, channel], minlength=count + 1)
    mean = total[1:] / np.where(number[1:] > 0, number[1:], np.nan)[:, None]
    return {"background_voxels": number[1:], "background_mean": mean}


Block = tuple[slice, ...]


def _blocks(shape: tuple[int, ...], margins: list[int]) -> Iterator[tuple[Block, Block]]:
    """Parts of a stack, slices and rows, that cover it, and each with its margins."""
    rows = max(1, min(shape[1], VOXELS_AT_ONCE // max(1, shape[2])), 2 * margins[1])
    slices = max(1, VOXELS_AT_ONCE // max(1, rows * shape[2]), margins[0])
    steps = (slices, rows, max(1, shape[2]))
    starts = [range(0, n, step) for n, step in zip(shape, steps, strict=True)]
    for z in starts[0]:
        for y in starts[1]:
            inner = (
                slice(z, min(z + steps[0], shape[0])),
                slice(y, min(y + steps[1], shape[1])),
                slice(0, shape[2]),
            )
            outer = tuple(
                slice(max(0, one.start - m), min(n, one.stop + m))
                for one, m, n in zip(inner, margins, shape, strict=True)
            )
            yield inner, outer


def _texture(numbered: NDArray[np.int32], image: NDArray[Any], groups: Groups) -> Columns:
    """Haralick's features of each object, the mean over the 13 directions to a voxel's neighbours."""
    boxes = find_objects(numbered)
    channels, levels = image.shape[3], groups.levels
    columns: Columns = {f"haralick_{name}": np.full((len(boxes), channels), np.nan) for name in FEATURES}
    for channel in range(channels):
        if groups.value_range is None:
            low, high = grey_range(numbered, image[..., channel])
        else:
            low, high = ranges_of(groups.value_range, channels)[channel]
        for i, box in enumerate(boxes):
            if box is None:
                continue
            inside = numbered[box] == i + 1
            grey = levels_of(image[box][..., channel], low, high, levels)
            counts = np.stack([_co_occurrences(inside, grey, levels, step) for step in STEPS])
            if counts.any():
                with_pairs = haralick(counts[counts.any(axis=(1, 2))])
                for name in FEATURES:
                    columns[f"haralick_{name}"][i, channel] = with_pairs[name].mean()
    return columns


def grey_range(numbered: NDArray[np.int32], image: NDArray[Any]) -> tuple[float, float]:
    """The lowest and highest value of the voxels of all objects; 0, 0 of none."""
    found = [image[z][numbered[z] > 0] for z in range(len(numbered))]
    some = [(float(values.min()), float(values.max())) for values in found if len(values)]
    return (min(low for low, _ in some), max(high for _, high in some)) if some else (0.0, 0.0)


def _co_occurrences(
    inside: NDArray[np.bool_], grey: NDArray[np.int64], levels: int, step: tuple[int, int, int]
) -> NDArray[np.float64]:
    """(levels, levels) symmetric counts of neighbouring voxels that are both inside."""
    here, there = [], []
    for n, s in zip(inside.shape, step, strict=True):
        here.append(slice(max(0, -s), n - max(0, s)))
        there.append(slice(max(0, s), n - max(0, -s)))
    one, two = tuple(here), tuple(there)
    both = inside[one] & inside[two]
    cell = grey[one][both] * levels + grey[two][both]
    counts = np.bincount(cell, minlength=levels * levels).reshape(levels, levels).astype(np.float64)
    return counts + counts.T

"""The same fruit in overlapping photographs, or in two stretches of a video: counted once.

Two photographs of one flat scene differ by a homography. It is found from local features (SIFT: Lowe, IJCV
60(2), 2004; ratio test ibid.) by MAGSAC++ (Barath et al., CVPR 2020); objects that then lie on one another
are one. Scenes with much depth, such as trees, break the assumption: use a video there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon

from .draw import display
from .plane_scale import local_scale, transformed

Floats = NDArray[np.float64]
LONGEST = 1000
"""Features are looked for in photographs shrunk to so many pixels on the longer side."""
RATIO = 0.75
AGREE = 25
"""So many features must agree, and a fifth of those that match at all."""
SAME = 0.25
"""IoU from which on two objects are one."""


@dataclass(frozen=True, eq=False)
class Features:
    """Local features of one photograph.

    Attributes:
        points: (N, 2) pixels of the photograph in full size.
        descriptors: (N, 128) float32.
        size: (height, width) of the photograph.
    """

    points: Floats
    descriptors: NDArray[np.float32]
    size: tuple[int, int]


def features_of(image: ArrayLike, count: int = 3000) -> Features:
    """The features of a photograph, (H, W) or (H, W, C)."""
    pixels = display(image)
    size = (int(pixels.shape[0]), int(pixels.shape[1]))
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    shrink = min(1.0, LONGEST / max(size))
    if shrink < 1:
        grey = cv2.resize(grey, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    found, descriptors = cv2.SIFT.create(nfeatures=count).detectAndCompute(grey, None)
    if descriptors is None or not len(found):
        return Features(np.zeros((0, 2)), np.zeros((0, 128), np.float32), size)
    points = (np.array([one.pt for one in found], np.float64) + 0.5) / shrink
    return Features(points, np.asarray(descriptors, np.float32), size)


def register(one: Features, other: Features) -> Floats | None:
    """(3, 3) from the first photograph's pixels to the second's; None where they do not show one scene."""
    if min(len(one.points), len(other.points)) < AGREE:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(one.descriptors, other.descriptors, k=2)
    good = [p[0] for p in pairs if len(p) == 2 and p[0].distance < RATIO * p[1].distance]
    if len(good) < AGREE:
        return None
    source = one.points[[m.queryIdx for m in good]]
    target = other.points[[m.trainIdx for m in good]]
    limit = 2.5 * max(1.0, max(other.size) / LONGEST)
    cv2.setRNGSeed(0)
    matrix, agree = cv2.findHomography(
        source, target, cv2.USAC_MAGSAC, limit, maxIters=5000, confidence=0.9999
    )
    if matrix is None or agree is None or agree.sum() < max(AGREE, 0.2 * len(good)):
        return None
    middle = np.array([[one.size[1] / 2, one.size[0] / 2]])
    found: Floats = np.array(matrix, np.float64)
    growth = local_scale(found, middle)[0]
    return found if 0.2 < growth < 5 else None


def moved(objects: Instances, homography: Floats, size: tuple[int, int]) -> Masks:
    """Masks through a homography, onto an image of ``size`` (height, width); parts outside are cut off.

    Raises:
        InputError: boxes alone.
    """
    if objects.masks is None:
        raise InputError("same fruit: expected masks, got boxes only; use a model that predicts masks")
    outside = Polygon(np.array([[-9.0, -9], [-8, -9], [-8, -8]]))  # of a mask of which nothing is left
    outlines = [
        [Polygon(transformed(homography, p.exterior)) for p in parts if _in_front(homography, p.exterior)]
        or [outside]
        for parts in objects.masks.to_polygons()
    ]
    return Masks.from_polygons(outlines, size)


def _in_front(homography: Floats, points: ArrayLike) -> bool:
    depth = np.asarray(points) @ homography[2, :2] + homography[2, 2]
    return bool((depth * np.sign(homography[2, 2]) > 1e-9).all())


def same_objects(one: Instances, other: Instances, homography: Floats) -> list[tuple[int, int, float]]:
    """Pairs (i, j, IoU) of objects of two photographs that are one, each object once at most.

    Args:
        one: objects of the first.
        other: objects of the second.
        homography: from the first's pixels to the second's.
    """
    from scipy.optimize import linear_sum_assignment

    if not len(one) or not len(other) or other.masks is None:
        return []
    overlap = _common_overlap(one, other, homography)
    rows, columns = linear_sum_assignment(-overlap)
    return [
        (int(i), int(j), float(overlap[i, j]))
        for i, j in zip(rows, columns, strict=True)
        if overlap[i, j] >= SAME
    ]


def _common_overlap(one: Instances, other: Instances, homography: Floats) -> Floats:
    """(N, M) IoU in what both photographs show: a fruit that one of them cuts off is still the same."""
    assert other.masks is not None
    carried = moved(one, homography, other.size)
    height, width = one.size
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    view = Masks.from_polygons([[Polygon(transformed(homography, frame))]], other.size)
    seen = np.zeros(len(other), np.float64)
    for i, _, shared in zip(*other.masks.intersection_pairs(view), strict=True):
        seen[i] = shared
    area = np.asarray(carried.area, np.float64)
    overlap = np.zeros((len(one), len(other)))
    for i, j, shared in zip(*carried.intersection_pairs(other.masks), strict=True):
        overlap[i, j] = shared / max(area[i] + seen[j] - shared, 1.0)
    return overlap


def grouped(
    counts: Sequence[int], links: Sequence[tuple[int, int, int, int, float]]
) -> list[NDArray[np.int64]]:
    """Numbers of fruit, alike for one fruit in several photographs.

    The surest links are taken first; one that would put two objects of one photograph together is not taken.

    Args:
        counts: objects of each photograph.
        links: photograph, object, other photograph, its object, how sure.

    Returns:
        For each photograph (N,) numbers from 1.

    Example:
        >>> [g.tolist() for g in grouped([2, 2], [(0, 1, 1, 0, 0.9)])]
        [[1, 2], [2, 3]]
    """
    start = np.concatenate([[0], np.cumsum(counts)]).astype(int)
    group = list(range(int(start[-1])))
    members: dict[int, list[int]] = {k: [k] for k in group}
    photo = np.repeat(np.arange(len(counts)), counts)
    for a, i, b, j, _ in sorted(links, key=lambda link: (-link[4], link[:4])):
        one, other = group[start[a] + i], group[start[b] + j]
        if one == other or {photo[k] for k in members[one]} & {photo[k] for k in members[other]}:
            continue
        keep, gone = min(one, other), max(one, other)
        for k in members.pop(gone):
            group[k] = keep
            members[keep].append(k)
    numbers = {root: n + 1 for n, root in enumerate(sorted(members))}
    flat = np.array([numbers[root] for root in group], np.int64)
    return [flat[start[k] : start[k + 1]] for k in range(len(counts))]


def joined_tracks(
    places: Floats, sizes: Floats, first: NDArray[Any], last: NDArray[Any], gap: int
) -> NDArray[np.int64]:
    """Tracks that end, and begin again at the same place of the scene, as one.

    Args:
        places: (T, 2) of each track in the frame of the first picture (camera's motion taken out).
        sizes: (T,) diameters there.
        first: (T,) frame in which it begins.
        last: (T,) frame in which it ends.
        gap: most frames between an end and a beginning.

    Returns:
        (T,) numbers from 0 in the order of the tracks, alike for one fruit.

    Example:
        >>> where = np.array([[5.0, 5.0], [5.5, 5.0], [40.0, 5.0]])
        >>> joined_tracks(where, np.full(3, 8.0), np.array([0, 9, 0]), np.array([5, 20, 20]), 10).tolist()
        [0, 0, 1]
    """
    group = np.arange(len(places))
    order = np.argsort(first, kind="stable")
    end = {int(t): int(t) for t in range(len(places))}  # group -> its latest track
    for t in order.tolist():
        best, nearest = -1, 0.5
        for root, latest in end.items():
            wait = first[t] - last[latest]
            if root == t or not 0 < wait <= gap or group[t] != t or first[latest] > first[t]:
                continue
            distance = np.hypot(*(places[t] - places[latest])) / max(min(sizes[t], sizes[latest]), 1e-9)
            if distance < nearest:
                best, nearest = root, float(distance)
        if best >= 0:
            group[t] = best
            end.pop(t)
            end[best] = t
    return np.unique(group, return_inverse=True)[1].astype(np.int64)


__all__ = ["Features", "features_of", "grouped", "joined_tracks", "moved", "register", "same_objects"]

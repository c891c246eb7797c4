"""Which pixels each synthetic object covers: all objects' crops at once, end to end in flat arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from delineate.core.masks import Masks

from .layout import Floats, Ints, Layout
from .shapes import SHAPES, Array

Flat = NDArray[np.float32]


class Cover(NamedTuple):
    """The crops of N objects, P pixels in all, row by row, cut to the image.

    Attributes:
        size: (height, width) of the image.
        boxes: (N, 4) xyxy whole pixels; x1 = x2 where an object lies outside the image.
        offsets: (N + 1,) where each object's pixels begin.
        owner: (P,) the object.
        u: (P,) the pixel's centre in the object's own frame, across, in radii.
        v: (P,) the same, downward.
        distance: (P,) signed distance of the pixel's centre to the outline in pixels, negative inside.
    """

    size: tuple[int, int]
    boxes: Ints
    offsets: Ints
    owner: Ints
    u: Flat
    v: Flat
    distance: Flat

    def window(self, i: int) -> tuple[slice, slice]:
        """Rows and columns of object i's crop."""
        x1, y1, x2, y2 = self.boxes[i].tolist()
        return slice(y1, y2), slice(x1, x2)

    def crop(self, flat: NDArray[Any], i: int) -> NDArray[Any]:
        """Object i's part of ``flat`` (P, ...), as (h, w, ...)."""
        x1, y1, x2, y2 = self.boxes[i].tolist()
        return flat[self.offsets[i] : self.offsets[i + 1]].reshape(y2 - y1, x2 - x1, *flat.shape[1:])

    def masks(self) -> Masks:
        """The whole (amodal) masks: pixels whose centres lie inside, hidden or not."""
        inside = self.distance < 0
        crops = [self.crop(inside, i) for i in range(len(self.boxes))]
        return Masks.from_crops(crops, self.boxes[:, :2], self.size)


def cover(layout: Layout, size: tuple[int, int]) -> Cover:
    """The pixels of a layout's objects on an image of ``size`` (height, width)."""
    coefficients = [SHAPES[name].coefficients(layout.forms) for name in layout.shapes]  # (M, N) each
    cos, sin = np.cos(layout.angles), np.sin(layout.angles)
    half = _extents(layout, coefficients, cos, sin) * layout.radii[:, None] + 1
    limit = size[::-1]
    low = np.clip(np.floor(layout.centers - half), 0, limit).astype(np.int64)
    high = np.clip(np.ceil(layout.centers + half), 0, limit).astype(np.int64)
    low[(high <= low).any(axis=1)] = 0
    high[(high <= low).any(axis=1)] = 0
    sides = high - low
    area = sides.prod(axis=1)
    offsets = np.concatenate([[0], np.cumsum(area)])
    owner = np.repeat(np.arange(len(layout)), area)
    # Along a row u and v grow by a constant; the rows' beginnings grow by constants too.
    step = np.stack([cos, -sin], axis=1) / layout.radii[:, None]  # (N, 2) of (u, v) for one column
    down = np.stack([sin, cos], axis=1) / layout.radii[:, None]  # for one row
    away = low + 0.5 - layout.centers
    start = away[:, :1] * step + away[:, 1:] * down
    row_owner = np.repeat(np.arange(len(layout)), sides[:, 1] * (sides[:, 0] > 0))
    rows = np.arange(len(row_owner)) - np.searchsorted(row_owner, row_owner)
    begin = start[row_owner] + rows[:, None] * down[row_owner]  # (rows, 2)
    widths = sides[row_owner, 0]
    column = np.arange(offsets[-1]) - np.repeat(np.cumsum(widths) - widths, widths)
    u, v = (
        np.repeat(begin[:, k].astype(np.float32), widths)
        + column.astype(np.float32) * np.repeat(step[:, k].astype(np.float32), area)
        for k in (0, 1)
    )
    distance = _distance(layout, coefficients, owner, u, v)
    distance *= np.repeat(layout.radii.astype(np.float32), area)
    return Cover(size, np.concatenate([low, high], axis=1), offsets, owner, u, v, distance)


def _extents(layout: Layout, coefficients: list[Array], cos: Floats, sin: Floats) -> Floats:
    """(N, 2) half width and half height of each object's box, in radii."""
    result = np.zeros((len(layout), 2))
    for kind, name in enumerate(layout.shapes):
        mine = layout.kinds == kind
        result[mine] = SHAPES[name].extent(coefficients[kind][:, mine], cos[mine], sin[mine])
    return result


def _distance(layout: Layout, coefficients: list[Array], owner: Ints, u: Flat, v: Flat) -> Flat:
    """(P,) signed distances in radii."""
    result = np.empty_like(u)
    for kind, name in enumerate(layout.shapes):
        family = SHAPES[name]
        k = coefficients[kind].astype(np.float32)  # (M, N)
        if len(layout.shapes) == 1:
            return family.distance(k.take(owner, axis=1), u, v).astype(np.float32, copy=False)
        mine = np.flatnonzero(layout.kinds[owner] == kind)
        result[mine] = family.distance(k.take(owner[mine], axis=1), u[mine], v[mine])
    return result


def front_to_back(found: Cover, min_visible: float, min_area: int) -> tuple[NDArray[np.int32], Ints]:
    """What shows of each object.

    Args:
        found: objects, the front one first.
        min_visible: an object of which a smaller part shows is left out, as if it were not there.
        min_area: so is one with fewer visible pixels.

    Returns:
        (H, W) int32, 0 background and k + 1 for the k-th of those that stay; which stay (K,), front to back.
    """
    labels = np.zeros(found.size, dtype=np.int32)
    inside = found.distance < 0
    kept = []
    for i in range(len(found.boxes)):
        mask = found.crop(inside, i)
        under = labels[found.window(i)]
        shown = mask & (under == 0)
        pixels = int(np.count_nonzero(shown))
        if pixels >= min_area and pixels >= min_visible * np.count_nonzero(mask):
            kept.append(i)
            under[shown] = len(kept)
    return labels, np.array(kept, dtype=np.int64)

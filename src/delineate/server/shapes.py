"""Exact arithmetic on one object's mask: cut, keep, split, fill. Everything runs on run lengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon, validate
from delineate.core.runs import Runs, union

from .strokes import line_pixels

Ring = NDArray[np.float64]


def minus(mask: Masks, other: Masks) -> Masks:
    """The pixels of one mask that another does not cover.

    Args:
        mask: one mask.
        other: one mask on the same image.

    Example:
        >>> a, b = Masks.from_dense(np.array([[[1, 1, 1]], [[0, 1, 0]]], bool))[0], None
        >>> m = Masks.from_dense(np.array([[[1, 1, 1]], [[0, 1, 0]]], bool))
        >>> minus(m[0], m[1]).dense()[0].astype(int).tolist()
        [[1, 0, 1]]
    """
    height = mask.size[0]
    (a, a_end), (b, b_end) = _ends(mask.runs, height), _ends(other.runs, height)
    at = np.concatenate((a, a_end, b, b_end))
    step_a = np.concatenate((np.ones(len(a)), -np.ones(len(a)), np.zeros(2 * len(b)))).astype(np.int64)
    step_b = np.concatenate((np.zeros(2 * len(a)), np.ones(len(b)), -np.ones(len(b)))).astype(np.int64)
    order = np.argsort(at, kind="stable")
    at, in_a, in_b = at[order], np.cumsum(step_a[order]), np.cumsum(step_b[order])
    kept = np.flatnonzero((in_a[:-1] > 0) & (in_b[:-1] == 0) & (at[1:] > at[:-1]))
    x = at[kept] // (height + 1)
    y, length = at[kept] - x * (height + 1), at[kept + 1] - at[kept]
    return Masks(mask.size, union(np.zeros_like(x), x, y, length, 1, mask.size))


def both(mask: Masks, other: Masks) -> Masks:
    """The pixels that two masks share."""
    return minus(mask, minus(mask, other))


def joined(masks: Sequence[Masks]) -> Masks:
    """One mask of all pixels of several."""
    return Masks.concatenate(masks).union()


def _ends(runs: Runs, height: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where runs begin and end, on one axis that has a gap between columns."""
    begin = runs.x.astype(np.int64) * (height + 1) + runs.y
    return begin, begin + runs.length


def of_rings(rings: Sequence[Ring], size: tuple[int, int]) -> Masks:
    """One mask of rings by the even-odd rule: parts and holes in any order.

    Raises:
        InputError: no rings, or one with fewer than three points or coordinates that are not numbers.
    """
    checked = [validate(ring, f"ring {i}") for i, ring in enumerate(rings)]
    if not checked:
        raise InputError("geometry: expected at least one ring, got none; draw an outline")
    return Masks.from_polygons([[Polygon(checked[0], tuple(checked[1:]))]], size)


def parts(mask: Masks) -> Masks:
    """The parts of one mask, those that hang together by edges, each a mask; largest first."""
    found = mask.to_polygons()[0]
    if len(found) <= 1:
        return mask if found else Masks.empty(mask.size)
    pieces = Masks.from_polygons([[polygon] for polygon in found], mask.size)
    return pieces[np.argsort(-pieces.area, kind="stable")]


def filled(mask: Masks) -> Masks:
    """The mask without its holes."""
    outer = [Polygon(polygon.exterior) for polygon in mask.to_polygons()[0]]
    return Masks.from_polygons([outer], mask.size) if outer else mask


def split(mask: Masks, line: Ring) -> Masks:
    """The pieces of one mask cut along a line; without a line its parts.

    The pixels under the line go to a piece beside them; parts that the line does not touch stay with the
    largest piece. Together the pieces cover what the mask covered, each pixel once.

    Args:
        mask: one mask.
        line: (K, 2) xy, a broken line from outside the object to outside; (0, 2) for none.

    Returns:
        two masks or more, the largest first.

    Raises:
        InputError: the line does not go from side to side.
    """
    size = mask.size
    if not len(line):
        pieces = parts(mask)
        if len(pieces) < 2:
            raise InputError(
                "split: expected an object of several parts, got one part; draw a line across it"
            )
        return pieces
    under = line_pixels(line, size)
    ones = np.ones(len(under), np.int64)
    barrier = both(mask, Masks(size, union(0 * ones, under[:, 0], under[:, 1], ones, 1, size)))
    pieces = parts(minus(mask, barrier))
    owner = _adopt(_pixels(barrier), pieces)
    touched = np.zeros(len(pieces), np.bool_)
    touched[_beside(_pixels(barrier), pieces)] = True
    cut = np.flatnonzero(touched)
    if len(cut) < 2:
        raise InputError(
            "split: expected a line across the object, got one that does not part it; begin and end outside"
        )
    group = np.zeros(len(pieces), np.int64)  # untouched parts stay with the largest
    group[cut] = np.arange(len(cut))
    given = _pixels(barrier)
    extra = union(group[owner], given[:, 0], given[:, 1], np.ones(len(given), np.int64), len(cut), size)
    whole = Masks.concatenate([pieces.merge(group), Masks(size, extra)]).merge(
        np.tile(np.arange(len(cut)), 2)
    )
    return whole[np.argsort(-whole.area, kind="stable")]


def _pixels(mask: Masks) -> NDArray[np.int64]:
    """The pixels (P, 2) xy of a small mask."""
    r = mask.runs
    down = np.arange(int(r.length.sum())) - np.repeat(np.cumsum(r.length) - r.length, r.length)
    return np.stack((np.repeat(r.x, r.length), np.repeat(r.y, r.length) + down), axis=1).astype(np.int64)


_AROUND = np.array([[0, -1], [0, 1], [-1, 0], [1, 0], [-1, -1], [1, -1], [-1, 1], [1, 1]])


def _owner_at(pixels: NDArray[np.int64], pieces: Masks) -> NDArray[np.int64]:
    """Which of some disjoint masks covers each pixel (P,), -1 where none does."""
    height = pieces.size[0]
    begin, end = _ends(pieces.runs, height)
    order = np.argsort(begin)
    key = pixels[:, 0] * (height + 1) + pixels[:, 1]
    at = np.searchsorted(begin[order], key, side="right") - 1
    inside = (at >= 0) & (pixels[:, 1] >= 0) & (pixels[:, 1] < height) & (pixels[:, 0] >= 0)
    run = order[np.maximum(at, 0)] if len(order) else np.zeros(len(at), np.int64)
    if not len(order):
        return np.full(len(pixels), -1)
    return np.where(inside & (key < end[run]), pieces.runs.owner[run], -1)


def _beside(pixels: NDArray[np.int64], pieces: Masks) -> NDArray[np.int64]:
    """The masks that share an edge with some of the pixels."""
    found = [_owner_at(pixels + step, pieces) for step in _AROUND[:4]]
    owners = np.unique(np.concatenate(found))
    return owners[owners >= 0]


def _adopt(pixels: NDArray[np.int64], pieces: Masks) -> NDArray[np.int64]:
    """A mask for every pixel: one beside it, or beside its neighbour, and so on; the first where none is."""
    owner = np.full(len(pixels), -1)
    known = pieces
    while (owner < 0).any():
        open_at = np.flatnonzero(owner < 0)
        near = np.full(len(open_at), -1)
        for step in _AROUND:
            near = np.where(near < 0, _owner_at(pixels[open_at] + step, known), near)
        got = near >= 0
        if not got.any():
            owner[open_at] = 0
            break
        owner[open_at[got]] = near[got]
        new, at = owner[open_at[got]], pixels[open_at[got]]
        grown = union(new, at[:, 0], at[:, 1], np.ones(len(at), np.int64), len(pieces), pieces.size)
        every = np.tile(np.arange(len(pieces)), 2)
        known = Masks.concatenate([known, Masks(pieces.size, grown)]).merge(every)
    return owner


def within(rings: Sequence[Ring], size: tuple[int, int]) -> bool:
    """Whether all points of all rings lie on the image."""
    height, width = size
    return all(
        (ring >= 0).all() and (ring[:, 0] <= width).all() and (ring[:, 1] <= height).all() for ring in rings
    )


def rings_of(mask: Masks, tolerance: float = 0.0) -> list[list[float]]:
    """The outlines of one mask as flat lists x0, y0, x1, y1, ..; exteriors and holes alike (even-odd)."""
    return [ring.ravel().tolist() for polygon in mask.to_polygons(tolerance)[0] for ring in polygon.rings]

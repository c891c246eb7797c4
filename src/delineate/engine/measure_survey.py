"""A first walk through a label image of any size: which objects there are, where, and which touch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.masks import Masks
from delineate.data.rasters import Raster
from delineate.measurements.neighbours import strip_contacts

Ints = NDArray[np.int64]
PIXELS_AT_ONCE = 6_000_000
GRAIN = 256
"""Bands begin at multiples of so many rows, as the tiles of files mostly do."""


@dataclass(frozen=True)
class Survey:
    """The N objects of a label image.

    Attributes:
        ids: (N,) their labels, ascending.
        boxes: (N, 4) min row, min column, max row, max column, maxima exclusive.
        areas: (N,) pixels.
        pairs: (P, 3) labels that touch, the smaller first, and the pixel edges that they share.
        ranges: lowest and highest value under objects, channel by channel; empty where not asked for.
    """

    ids: Ints
    boxes: Ints
    areas: Ints
    pairs: Ints
    ranges: tuple[tuple[float, float], ...] = ()


def survey(labels: Raster, image: Raster | None = None, touching: bool = False) -> Survey:
    """Walks through bands of rows, of which one is held at a time.

    Args:
        labels: of whole numbers.
        image: whose values under objects are looked at.
        touching: look for pairs that touch.
    """
    parts: list[Ints] = [np.zeros((0, 6), dtype=np.int64)]
    pairs: list[Ints] = [np.zeros((0, 3), dtype=np.int64)]
    low, high = np.inf, -np.inf
    above: NDArray[Any] | None = None
    for top, bottom in bands(labels.size):
        band = labels.window(0, top, labels.size[1], bottom)
        parts.append(_objects(band, top))
        if touching:
            strip = band if above is None else np.concatenate([above, band])
            pairs.append(_meetings(strip, bottom == labels.size[0]))
            above = band[-1:].copy()
        if image is not None:
            values = image.window(0, top, labels.size[1], bottom)[band > 0]
            if len(values):
                low = np.minimum(low, values.min(axis=0))
                high = np.maximum(high, values.max(axis=0))
    ids, boxes, areas = _joined(np.concatenate(parts))
    ranges = [(float(a), float(b)) for a, b in zip(np.atleast_1d(low), np.atleast_1d(high), strict=True)]
    known = image is not None and len(ids) > 0
    return Survey(ids, boxes, areas, _merged(np.concatenate(pairs)), tuple(ranges) if known else ())


def bands(size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """First and last (exclusive) rows of bands that cover an image (height, width)."""
    rows = max(1, PIXELS_AT_ONCE // size[1])
    rows = max(rows // GRAIN, 1) * GRAIN if rows >= GRAIN // 4 else rows
    for top in range(0, size[0], rows):
        yield top, min(top + rows, size[0])


def _objects(band: NDArray[Any], top: int) -> Ints:
    """(K, 6) label, box and area of each object's part in a band."""
    masks = Masks.from_label_image(band)
    first = masks.runs.offsets[:-1]
    ids = band[masks.runs.y[first], masks.runs.x[first]].astype(np.int64)
    boxes = masks.boxes.astype(np.int64)[:, [1, 0, 3, 2]] + np.array([top, 0, top, 0])
    return np.concatenate([ids[:, None], boxes, masks.area[:, None]], axis=1)


def _meetings(strip: NDArray[Any], last: bool) -> Ints:
    one, two, edge = strip_contacts(strip, last)
    return _merged(np.stack([one, two, edge], axis=1))


def _merged(pairs: Ints) -> Ints:
    """Each pair once, with the sum of its edges."""
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    pairs = pairs[order]
    new = np.ones(len(pairs), dtype=bool)
    new[1:] = (pairs[1:, :2] != pairs[:-1, :2]).any(axis=1)
    start = np.flatnonzero(new)
    edges = np.add.reduceat(pairs[:, 2], start) if len(start) else pairs[:0, 2]
    return np.concatenate([pairs[start, :2], edges[:, None]], axis=1)


def _joined(parts: Ints) -> tuple[Ints, Ints, Ints]:
    """Labels, boxes and areas of whole objects from those of their parts."""
    parts = parts[np.argsort(parts[:, 0], kind="stable")]
    start = np.flatnonzero(np.diff(parts[:, 0], prepend=-1))
    if not len(start):
        return parts[:, 0], parts[:, 1:5], parts[:, 5]
    low = np.minimum.reduceat(parts[:, 1:3], start)
    high = np.maximum.reduceat(parts[:, 3:5], start)
    return parts[start, 0], np.concatenate([low, high], axis=1), np.add.reduceat(parts[:, 5], start)

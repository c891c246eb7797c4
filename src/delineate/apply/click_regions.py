"""Clicks to a mask without a network: regions grown from the clicks; the one with the sharpest edge wins.

From each seed two maps tell how unlike its surroundings are: the difference of colour, and the cost of the
cheapest path, which pays for every change of colour on its way (the geodesic distance of Bai and Sapiro 2007,
"A geodesic framework for fast interactive image segmentation"). Both, cut at many levels, give candidate
regions; the one whose outline runs along the strongest edges is taken, as maximally stable regions are chosen
among all thresholds (Matas et al. 2002). It works on any picture, and is what is used where no trained
network fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .geodesic import path_costs

Mask = NDArray[np.bool_]
Map = NDArray[np.float32]
Point = tuple[float, float, bool]  # x, y in pixels of the crop, and whether on the object
LEVELS = 28
STEP = 0.02  # the cost of a path's pixel where nothing changes; the image's values lie in 0..1
LEAST = 12  # pixels of a candidate
CLEAR = 0.1  # sharpness of an outline that is one
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def grow(
    pixels: Map,
    clicks: Sequence[Point],
    before: Mask | None = None,
    box: tuple[float, float, float, float] | None = None,
) -> Mask:
    """The region that the clicks mean.

    Args:
        pixels: (H, W, 3) in 0..1, a crop around the clicks; some hundred pixels a side.
        clicks: x, y and whether positive, the last one last.
        before: (H, W) the mask so far, or None; the last click then corrects it.
        box: x1, y1, x2, y2 around the object, or None.

    Returns:
        (H, W) the mask. Where no outline is clear, all pixels (or those in the box), or the mask so far.

    Example:
        >>> image = np.zeros((40, 40, 3), np.float32)
        >>> image[10:30, 12:32] = 1
        >>> 380 <= int(grow(image, [(20.5, 20.5, True)]).sum()) <= 400  # corners are rounded
        True
    """
    smooth = np.asarray(cv2.GaussianBlur(pixels, (0, 0), 0.8), np.float32)
    edges = _edges(smooth)
    seeds = list(clicks)
    if box is not None and not any(c[2] for c in clicks):
        seeds.append(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, True))
    inside = np.ones(edges.shape, bool) if box is None else _box_mask(edges.shape, box)
    best, score = np.zeros(edges.shape, bool), -np.inf
    for candidate in _candidates(smooth, seeds, before, inside):
        value = _sharpness(candidate, edges, box)
        if value > score and _keeps(candidate, clicks):
            best, score = candidate, value
    if before is not None and score == -np.inf:
        return before
    if before is None and score < CLEAR and any(s[2] for s in seeds):
        return inside  # no edge in sight: the object is larger than the crop
    return best


def _candidates(smooth: Map, seeds: Sequence[Point], before: Mask | None, inside: Mask) -> Iterator[Mask]:
    """Regions anew from all positive clicks, and those that the last click adds to or takes from the mask."""
    positive = [s for s in seeds if s[2]]
    if before is not None and seeds:
        x, y, adds = seeds[-1]
        if bool(before[int(y), int(x)]) != adds:
            allowed = ~before if adds else before
            for region in _levels(smooth, [seeds[-1]], allowed):
                changed = before | region if adds else before & ~region
                yield _tidy(changed, positive)
            return
        yield before
    barred = inside.copy()
    for x, y, on in seeds:
        if not on:
            cv2.circle(barred.view(np.uint8), (int(x), int(y)), 1, 0, -1)
    for region in _levels(smooth, positive, barred):
        yield _tidy(region, positive)


def _levels(smooth: Map, seeds: Sequence[Point], allowed: Mask) -> Iterator[Mask]:
    """What is like the seeds, by more and more generous levels, and connected to one of them."""
    for unlike in (_difference(smooth, seeds), path_costs(smooth, _at(seeds, allowed.shape), allowed, STEP)):
        values = unlike[allowed & np.isfinite(unlike)]
        if not len(values):
            continue
        for level in np.unique(np.quantile(values, np.geomspace(0.002, 0.95, LEVELS))):
            yield _touching((unlike <= level) & allowed, seeds)


def _difference(smooth: Map, seeds: Sequence[Point]) -> Map:
    """(H, W) distance of each pixel's colour to the nearest seed's, the mean of 3 x 3 pixels."""
    even = np.asarray(cv2.blur(smooth, (3, 3)))
    colours = [even[int(y), int(x)] for x, y, _ in seeds]
    return np.asarray(np.min([np.linalg.norm(smooth - c, axis=2) for c in colours], axis=0), np.float32)


def _at(seeds: Sequence[Point], shape: tuple[int, ...]) -> Mask:
    """(H, W) True at the seeds' pixels."""
    mask = np.zeros(shape, bool)
    for x, y, _ in seeds:
        mask[int(y), int(x)] = True
    return mask


def _touching(region: Mask, seeds: Sequence[Point]) -> Mask:
    """The parts of a region on which seeds lie."""
    _, parts = cv2.connectedComponents(region.astype(np.uint8), connectivity=4)
    wanted = {int(parts[int(y), int(x)]) for x, y, _ in seeds} - {0}
    return np.isin(parts, list(wanted))


def _tidy(region: Mask, seeds: Sequence[Point]) -> Mask:
    """Without threads and holes, and only the parts on which seeds lie."""
    opened = np.asarray(cv2.morphologyEx(region.astype(np.uint8), cv2.MORPH_OPEN, CROSS)) > 0
    part = _touching(opened, seeds) if seeds else opened
    contours, _ = cv2.findContours(part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(part.shape, np.uint8)
    cv2.drawContours(filled, contours, -1, 1, -1)
    return filled > 0


def _edges(smooth: Map) -> Map:
    """(H, W) strength of the change of colour, at least a little everywhere."""
    across, down = (np.asarray(cv2.Sobel(smooth, cv2.CV_32F, *d, ksize=3)) for d in ((1, 0), (0, 1)))
    strength = np.sqrt((across**2 + down**2).sum(axis=2)).astype(np.float32)
    return np.asarray(np.sqrt(strength / max(float(np.quantile(strength, 0.95)), 1e-6)), np.float32)


def _sharpness(region: Mask, edges: Map, box: tuple[float, float, float, float] | None) -> float:
    """Mean edge strength along a region's outline less that inside it; the crop's border is no edge."""
    area = int(region.sum())
    if area < LEAST or area > 0.9 * region.size:
        return -np.inf
    solid = region.astype(np.uint8)
    rim = (np.asarray(cv2.dilate(solid, CROSS)) - np.asarray(cv2.erode(solid, CROSS))) > 0
    border = int(region[0].sum() + region[-1].sum() + region[:, 0].sum() + region[:, -1].sum())
    outline = float(edges[rim].sum()) / (int(rim.sum()) + 2 * border)
    core = region & ~rim
    value = outline - 0.5 * (float(edges[core].mean()) if core.any() else outline)
    if box is not None:
        rows, columns = (np.flatnonzero(region.any(axis=k)) for k in (1, 0))
        own = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        value -= sum(abs(a - b) for a, b in zip(own, box, strict=True)) / (box[2] - box[0] + box[3] - box[1])
    return value


def _keeps(region: Mask, clicks: Sequence[Point]) -> bool:
    return all(bool(region[int(y), int(x)]) == on for x, y, on in clicks)


def _box_mask(shape: tuple[int, ...], box: tuple[float, float, float, float]) -> Mask:
    inside = np.zeros(shape, bool)
    x1, y1, x2, y2 = (max(0, round(v)) for v in box)
    inside[y1:y2, x1:x2] = True
    return inside

"""Masks from prototypes and coefficients, straight into runs at the original size.

YOLACT (Bolya et al., ICCV 2019, section 3) makes each mask of a linear combination of P prototypes at a
quarter of the image's size. Enlarging N such masks to the image costs N x H x W pixels, and is where most
one-stage models spend their time. Here nothing of that size is made. A bilinear enlargement is piecewise
linear down each column, so where a mask begins and ends in a column follows from the zero crossings between
neighbouring prototype cells: only (columns of the box) x (cells down the box) numbers are looked at.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import MaskError
from .masks import Masks
from .runs import Runs, join, pack, union
from .stages import timed

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
RULES = ("logits", "yolact")
PORTION = 1 << 17
"""Numbers that are worked on at once: what the processor's cache holds."""
BAND = 64
"""Columns of pixels that are enlarged by one product."""


class Axis(NamedTuple):
    """One axis of the image over the prototype grid.

    Attributes:
        pixels: the image's pixels along the axis.
        ratio: cells a pixel.
        last: the last cell that the image touches.
    """

    pixels: int
    ratio: float
    last: int

    def cell(self, pixel: NDArray[Any]) -> Floats:
        """Where pixel centres lie between cell centres, within 0..last (as torch without aligned corners)."""
        return np.minimum(np.maximum((pixel + 0.5) * self.ratio - 0.5, 0.0), self.last)

    def pixel(self, cell: NDArray[Any]) -> Floats:
        """The inverse of :meth:`cell`."""
        return (cell + 0.5) / self.ratio - 0.5


class Spans(NamedTuple):
    """Along one axis, per object: pixels [begin, end) to fill and cells [low, high) that decide them.

    ``before`` and ``after`` (0 or 1) say how many cells at either end count as blank.
    """

    begin: Ints
    end: Ints
    low: Ints
    high: Ints
    before: Ints
    after: Ints


@timed("masks")
def assemble(
    prototypes: ArrayLike,
    coefficients: ArrayLike,
    boxes: ArrayLike,
    size: tuple[int, int],
    *,
    region: tuple[float, float] | None = None,
    rule: str = "logits",
) -> Masks:
    """Masks of N objects of one image from its prototypes.

    Args:
        prototypes: (P, h, w) float32.
        coefficients: (N, P) float32.
        boxes: (N, 4) xyxy in pixels of the original image; what lies outside is cut off.
        size: (height, width) of the original image.
        region: (height, width) of the part of the grid that the image covers, in cells, from its top left;
            the rest is padding. Default: the whole grid.
        rule: "logits": the combination, enlarged bilinearly to the original pixels, is above 0, at pixels
            whose centre lies in the box. "yolact": the sigmoid of the combination, set to 0 outside the box
            grown by one cell, enlarged bilinearly, is above 0.5 (the original's post-processing; the mask
            may reach a little out of the box).

    Returns:
        N masks, some of which may be empty: the pixels that ``torch.nn.functional.interpolate(...,
        mode="bilinear", align_corners=False)`` would give, up to rounding at the threshold.

    Raises:
        MaskError: shapes that do not fit, boxes that are not finite, or an unknown rule.

    Example:
        >>> disc = [[[-1, -1, -1, -1], [-1, 1, 1, -1], [-1, 1, 1, -1], [-1, -1, -1, -1]]]
        >>> assemble(disc, [[1.0]], [[0, 0, 16, 16]], (16, 16)).boxes.tolist()
        [[4.0, 4.0, 12.0, 12.0]]
    """
    grid = np.asarray(prototypes, dtype=np.float32)
    weights = np.asarray(coefficients, dtype=np.float32)
    corners = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    if grid.ndim != 3 or weights.shape != (len(corners), len(grid)) or 0 in grid.shape:
        raise MaskError(
            "assemble: expected prototypes (P, h, w), coefficients (N, P) and boxes (N, 4), got "
            f"{grid.shape}, {weights.shape} and {corners.shape}; give one row of coefficients per box"
        )
    return _assembled(grid, weights, corners, size, region, rule)


@timed("masks")
def assemble_maps(
    maps: ArrayLike,
    boxes: ArrayLike,
    size: tuple[int, int],
    *,
    region: tuple[float, float] | None = None,
    rule: str = "logits",
) -> Masks:
    """As :func:`assemble`, of N objects whose combinations are there already.

    Args:
        maps: (N, h, w) float32 logits, one map of the whole grid for each object.
        boxes: (N, 4), as there.
        size: as there.
        region: as there.
        rule: as there.

    Raises:
        MaskError: as there.

    Example:
        >>> disc = [[[-1, -1, -1, -1], [-1, 1, 1, -1], [-1, 1, 1, -1], [-1, -1, -1, -1]]]
        >>> assemble_maps(disc, [[0, 0, 16, 16]], (16, 16)).boxes.tolist()
        [[4.0, 4.0, 12.0, 12.0]]
    """
    values = np.asarray(maps, dtype=np.float32)
    corners = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    if values.ndim != 3 or len(values) != len(corners) or 0 in values.shape[1:]:
        raise MaskError(
            f"assemble_maps: expected maps (N, h, w) and boxes (N, 4), got {values.shape} and "
            f"{corners.shape}; give one map per box"
        )
    return _assembled(values, None, corners, size, region, rule)


def _assembled(
    grid: NDArray[np.float32],
    weights: NDArray[np.float32] | None,
    corners: NDArray[np.float32],
    size: tuple[int, int],
    region: tuple[float, float] | None,
    rule: str,
) -> Masks:
    """Prototypes and their weights, or without weights a map for each object, as masks."""
    rows, columns = _axes(grid, corners, size, region, rule)
    if rule == "logits":
        y, x = _spans_of_pixels(rows, corners[:, 1::2]), _spans_of_pixels(columns, corners[:, ::2])
    else:
        y, x = _spans_of_cells(rows, corners[:, 1::2]), _spans_of_cells(columns, corners[:, ::2])
    cost = (x.end - x.begin) * (y.high - y.low + 2)
    parts = []
    begin = 0
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        while begin < len(corners):
            end = begin + max(1, int(np.searchsorted(np.cumsum(cost[begin:]), PORTION, side="right")))
            part = slice(begin, end)
            some_y, some_x = (Spans(*(field[part] for field in spans)) for spans in (y, x))
            values, begins = _columns(
                grid[part] if weights is None else grid,
                None if weights is None else weights[part],
                some_y, some_x, columns, rule,
            )  # fmt: skip
            parts.append(_runs(values, begins, some_y, some_x, rows, size))
            begin = end
    return Masks(size, join(parts)) if parts else Masks.empty(size)


def _axes(
    grid: NDArray[np.float32],
    boxes: NDArray[np.float32],
    size: tuple[int, int],
    region: tuple[float, float] | None,
    rule: str,
) -> tuple[Axis, Axis]:
    """Rows and columns of the image over the grid, after a check of what was given."""
    if not np.isfinite(boxes).all():
        raise MaskError("assemble: expected finite boxes, got NaN or infinity; drop those detections")
    if rule not in RULES:
        raise MaskError(f"assemble: expected rule 'logits' or 'yolact', got {rule!r}; choose one")
    region = (float(grid.shape[1]), float(grid.shape[2])) if region is None else region
    if not all(0 < r <= g for r, g in zip(region, grid.shape[1:], strict=True)):
        raise MaskError(
            f"assemble: expected a region within the grid of {grid.shape[1]} x {grid.shape[2]} cells, "
            f"got {region[0]:g} x {region[1]:g}; give (height, width) in cells"
        )
    rows, columns = (Axis(int(n), r / n, int(np.ceil(r)) - 1) for n, r in zip(size, region, strict=True))
    return rows, columns


def _spans_of_pixels(axis: Axis, ends: NDArray[np.float32]) -> Spans:
    """The pixels whose centres lie in [ends[:, 0], ends[:, 1]), and the cells around them."""
    clipped = np.minimum(np.maximum(ends, 0), axis.pixels)
    begin = np.ceil(clipped[:, 0] - 0.5).astype(np.int64)
    end = np.maximum(np.ceil(clipped[:, 1] - 0.5).astype(np.int64), begin)
    low = axis.cell(begin).astype(np.int64)
    high = np.minimum(axis.cell(np.maximum(end - 1, begin)).astype(np.int64) + 1, axis.last) + 1
    blank = np.zeros_like(begin)
    return Spans(begin, end, low, high, blank, blank)


def _spans_of_cells(axis: Axis, ends: NDArray[np.float32]) -> Spans:
    """The cells in a box grown by one cell, and the pixels on which they bear."""
    cells = ends.astype(np.float64) * axis.ratio
    low = np.ceil(np.maximum(cells[:, 0] - 1, 0)).astype(np.int64)
    high = np.ceil(np.minimum(cells[:, 1] + 1, axis.last + 1)).astype(np.int64)
    full = (high > low) & (ends[:, 1] > ends[:, 0])
    low, high = np.where(full, low, 0), np.where(full, high, 0)
    before, after = (low > 0) & full, (high <= axis.last) & full
    begin = np.where(before, np.floor(axis.pixel(low - 1.0)) + 1, 0)
    end = np.where(after, np.ceil(axis.pixel(high * 1.0)), np.where(full, axis.pixels, 0))
    begin, end = (np.clip(v, 0, axis.pixels).astype(np.int64) for v in (begin, end))
    return Spans(begin, end, low - before, high + after, before.astype(np.int64), after.astype(np.int64))


def _columns(
    grid: NDArray[np.float32],
    weights: NDArray[np.float32] | None,
    y: Spans,
    x: Spans,
    columns: Axis,
    rule: str,
) -> tuple[NDArray[np.float32], Ints]:
    """What each cell row contributes to each column of pixels, above 0 for foreground.

    Returns:
        The values of the objects end to end and where each begins, (N + 1,). An object's values are
        (end - begin of x, 2 + high - low of y), with a background cell added at the top and the bottom.
    """
    widths, heights = x.end - x.begin, y.high - y.low + 2
    begins = np.concatenate(([0], np.cumsum(widths * heights)))
    values = np.full(begins[-1], -1, dtype=np.float32)
    first = int(x.begin.min())
    bands = _bands(columns, first, int(x.end.max()))
    dense = grid if weights is None else None  # (N, h, w)
    tall = 2 * (y.high - y.low).sum() > len(widths) * grid.shape[1]
    if weights is not None and tall:  # one product for all is faster
        dense = (weights @ grid.reshape(len(grid), -1)).reshape(-1, *grid.shape[1:])
    bounds = np.stack((*y[2:], *x, widths, heights, begins[:-1]), axis=1).tolist()
    for i, (top, bottom, up, down, x0, x1, left, right, back, on, width, height, at) in enumerate(bounds):
        if not width or height == 2:
            continue
        if dense is None:
            assert weights is not None
            cells = (weights[i] @ grid[:, top:bottom].reshape(len(grid), -1)).reshape(bottom - top, -1)
        else:
            cells = dense[i, top:bottom]  # (bottom - top, w)
        if rule == "yolact":
            cells = _soft(cells, (up, bottom - top - down), (left + back, right - on))
        into = values[at : at + width * height].reshape(width, height)[:, 1:-1]  # (width, bottom - top)
        for band in range((x0 - first) // BAND, (x1 - 1 - first) // BAND + 1):
            low, high, shares = bands[band]
            begin = first + band * BAND
            a, b = max(x0, begin), min(x1, begin + BAND)
            np.matmul(shares[a - begin : b - begin], cells[:, low:high].T, out=into[a - x0 : b - x0])
    return values, begins


def _bands(axis: Axis, begin: int, end: int) -> list[tuple[int, int, NDArray[np.float32]]]:
    """Bilinear weights of the pixels begin .. end - 1, BAND pixels at a time.

    Returns:
        Per band the cells [low, high) it needs and their weights, (up to BAND, high - low).
    """
    result = []
    for start in range(begin, end, BAND):
        source = axis.cell(np.arange(start, min(start + BAND, end)))
        here = source.astype(np.int64)
        following = np.minimum(here + 1, axis.last)
        low, high = int(here[0]), int(following[-1]) + 1
        weights = np.zeros((len(source), high - low), dtype=np.float32)
        row = np.arange(len(source))
        weights[row, here - low] = 1 - (source - here)
        weights[row, following - low] += source - here
        result.append((low, high, weights))
    return result


def _soft(
    logits: NDArray[np.float32], rows: tuple[int, int], columns: tuple[int, int]
) -> NDArray[np.float32]:
    """sigmoid - 0.5 of logits in the given ranges, 0 - 0.5 elsewhere."""
    soft = np.full_like(logits, -0.5)
    inside = slice(*rows), slice(*columns)
    soft[inside] = np.float32(0.5) * np.tanh(np.float32(0.5) * logits[inside])
    return soft


def _runs(
    values: NDArray[np.float32], begins: Ints, y: Spans, x: Spans, rows: Axis, size: tuple[int, int]
) -> Runs:
    """Runs between the zero crossings of :func:`_columns`."""
    above = values > 0
    edges = np.flatnonzero(above[1:] != above[:-1])  # alternating: a run's begin, its end
    count = len(begins) - 1
    owner = np.repeat(np.arange(count), np.diff(np.searchsorted(edges, begins)))
    height = y.high - y.low + 2
    # edge = begins + column * height + cell, where cell 0 is the background one at the top
    column = ((edges - begins[owner] + 0.5) * (1 / height)[owner]).astype(np.int64)
    cell = edges - (begins[:-1][owner] + column * height[owner])
    before, after = values[edges], values[edges + 1]
    share = before / (before - after)
    crossing = (cell + (y.low - 0.5)[owner] + share) / rows.ratio - 0.5  # in pixels, see Axis.pixel
    crossing[np.isnan(crossing)] = 0
    # what begins lies below the crossing, what ends above it; at the object's ends the pixels decide
    top, bottom = y.begin[owner], y.end[owner]
    place = np.ceil(crossing)
    place[::2] = np.floor(crossing[::2]) + 1
    np.copyto(place, top, where=cell == 0)
    np.copyto(place, bottom, where=cell == height[owner] - 2)
    place = np.minimum(np.maximum(place, top), bottom).astype(np.int64)
    owner, start, length = owner[::2], place[::2], place[1::2] - place[::2]
    along = x.begin[owner] + column[::2]
    if not (length > 0).all():  # too thin to hold the centre of a pixel
        some = length > 0
        owner, along, start, length = owner[some], along[some], start[some], length[some]
    if ((start[1:] <= start[:-1] + length[:-1]) & (along[1:] == along[:-1])).any():  # gaps as thin
        return union(owner, along, start, length, count, size)
    return pack(owner, along, start, length, count)

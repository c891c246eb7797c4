"""True masks on the prototypes' grid: how much of each cell an object covers, in its own box only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from delineate.core.instances import Instances
from delineate.core.runs import ranges

MARGIN = 1  # cells around each box that are learnt too: predicted boxes are not exact


class Cells(NamedTuple):
    """The cells of G objects of a batch, object by object, row by row.

    Attributes:
        corner: (G, 2) int64, x, y of each object's first cell.
        size: (G, 2) int64, width and height of each object's part of the grid, in cells.
        offsets: (G,) int64, where each object's values begin.
        values: (V,) float32, 0..1: how much of each cell the object covers.
    """

    corner: Tensor
    size: Tensor
    offsets: Tensor
    values: Tensor


def mask_cells(truth: Sequence[Instances], stride: int, grid: tuple[int, int]) -> Cells:
    """The objects of all images of a batch on the prototypes' grid.

    Args:
        truth: one per image, in pixels of the network's input; all with masks.
        stride: pixels a cell.
        grid: (height, width) of the prototypes.
    """
    limit = np.array([grid[1], grid[0]])
    boxes = np.concatenate([np.zeros((0, 4), np.float32), *(t.boxes for t in truth)])
    first = np.clip(np.floor(boxes[:, :2] / stride).astype(np.int64) - MARGIN, 0, limit - 1)
    last = np.clip(np.ceil(boxes[:, 2:] / stride).astype(np.int64) + MARGIN, first + 1, limit)
    size = last - first
    ends = np.cumsum(size.prod(1))
    offsets = ends - size.prod(1)
    total = int(ends[-1]) if len(ends) else 0
    values = _coverage(truth, stride, first, size, offsets, total)
    arrays = (first, size, offsets, values)
    return Cells(*(torch.from_numpy(a) for a in arrays))


def _coverage(
    truth: Sequence[Instances],
    stride: int,
    first: NDArray[np.int64],
    size: NDArray[np.int64],
    offsets: NDArray[np.int64],
    total: int,
) -> NDArray[np.float32]:
    """(V,) part of each cell that is covered, from the masks' runs alone."""
    parts = [t.masks.runs for t in truth if t.masks is not None and len(t)]
    if not parts or not total:
        return np.zeros(total, np.float32)
    numbers = np.concatenate([np.diff(p.offsets) for p in parts])  # runs of each object
    owner = np.repeat(np.arange(len(numbers)), numbers)
    x, y, length = (np.concatenate([p[k] for p in parts]).astype(np.int64) for k in range(3))
    top = y // stride
    count = (y + length - 1) // stride - top + 1  # cells that each run passes
    run = np.repeat(np.arange(len(x)), count)
    row = ranges(top, count)
    begin, end = np.maximum(y[run], row * stride), np.minimum((y + length)[run], (row + 1) * stride)
    column, row = x[run] // stride - first[owner[run], 0], row - first[owner[run], 1]
    width, height = size[owner[run], 0], size[owner[run], 1]
    seen = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    place = (offsets[owner[run]] + row * width + column)[seen]
    pixels = np.bincount(place, (end - begin)[seen], total)
    return (pixels / stride**2).astype(np.float32)

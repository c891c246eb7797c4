"""Where neighbours are: cells that count more in the mask loss, so that masks end at the neighbour.

The idea is the weight map of U-Net (Ronneberger et al. 2015, section 3), which gives the gaps between
touching cells more weight. Here a cell counts more for an object if another object covers it, or if two
objects meet near it: the first teaches a mask to stay out of the neighbour; the second, which holds on both
sides of the border and in the gap, keeps the first from teaching masks that end too early.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .mask_cells import Cells

REACH = 2  # cells from a meeting place that count more


class Neighbourhood(NamedTuple):
    """Of every cell of the images of a batch, image by image, row by row.

    Attributes:
        covered: (B * h * w,) how much of it objects cover, together: more than 1 where they overlap.
        meeting: (B * h * w,) 1 where two objects are within ``REACH`` cells, else 0.
    """

    covered: Tensor
    meeting: Tensor


def neighbourhood(cells: Cells, image: Tensor, grid: tuple[int, int, int]) -> Neighbourhood:
    """Find where neighbours are.

    Args:
        cells: of the G objects of a batch.
        image: (G,) int64, the image that each lies in.
        grid: (images, height, width) in cells.
    """
    count, height, width = grid
    counts = cells.size.prod(1)
    owner = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)  # (V,)
    step = torch.arange(len(owner), device=counts.device) - cells.offsets[owner]
    x = step % cells.size[owner, 0] + cells.corner[owner, 0]
    y = step // cells.size[owner, 0] + cells.corner[owner, 1]
    place = (image[owner] * height + y) * width + x
    covered = cells.values.new_zeros(count * height * width).index_add_(0, place, cells.values)
    most = cells.values > 0.5
    name = torch.zeros_like(covered)  # of the object that covers most of the cell, from 1 up; 0: none
    name[place[most]] = owner[most].to(name.dtype) + 1
    highest = _around(name, grid)
    lowest = -_around(torch.where(name > 0, -name, -torch.inf), grid)
    return Neighbourhood(covered, ((highest > 0) & (lowest < highest)).to(covered.dtype))


def cell_weights(found: Neighbourhood, place: Tensor, own: Tensor, strength: float) -> Tensor:
    """(N,) how much cells count: 1, and ``strength`` more for a neighbour in it and for a meeting near it.

    Args:
        found: of the batch.
        place: (N,) int64 indices of cells.
        own: (N,) how much of each the object covers that the cell is looked at for.
        strength: 0 or more.
    """
    others = (found.covered[place] - own).clamp(0, 1)
    return 1 + strength * (others + found.meeting[place])


def _around(values: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """The largest value within ``REACH`` cells of each."""
    maps = values.view(grid[0], 1, *grid[1:])
    return F.max_pool2d(maps, 2 * REACH + 1, stride=1, padding=REACH).flatten()

"""Attention to a few sampled points of several feature maps, in plain PyTorch.

Zhu et al. 2021, "Deformable DETR", section 4.1 and appendix A. Each query looks at P points on each of L
maps; where they lie and how much they weigh is read off the query. The usual way samples each map with
``grid_sample`` and adds up what it found. Here the four cells around every point are rows of one table, and
a query's answer is one weighted sum of rows (:mod:`.weighted_rows`), computed without storing the rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .weighted_rows import weighted_rows

Size = tuple[int, int]


class DeformableAttention(nn.Module):
    """Multi-scale deformable attention.

    Args:
        channels: C, of queries, values and result; a multiple of ``heads``.
        levels: L feature maps.
        heads: M.
        points: P sampled points per head and level.

    Attributes:
        sample: one of this file's ``sample_by_...``; None: what is fastest where it runs, or exports.
    """

    sample: Callable[..., Tensor] | None = None

    def __init__(self, channels: int = 256, levels: int = 4, heads: int = 8, points: int = 4) -> None:
        super().__init__()
        self.levels, self.heads, self.points = levels, heads, points
        self.offsets = nn.Linear(channels, heads * levels * points * 2)
        self.weights = nn.Linear(channels, heads * levels * points)
        self.value = nn.Linear(channels, channels)
        self.output = nn.Linear(channels, channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Each head starts by looking its own way, point k at k cells' distance, all alike in weight."""
        nn.init.zeros_(self.offsets.weight)
        angle = torch.arange(self.heads, dtype=torch.float32) * (2 * math.pi / self.heads)
        ways = torch.stack([angle.cos(), angle.sin()], 1)  # (M, 2) x, y
        ways = ways / ways.abs().amax(1, keepdim=True)
        steps = torch.arange(1, self.points + 1, dtype=torch.float32)
        start = (ways[:, None, None] * steps[:, None]).expand(-1, self.levels, -1, -1)  # (M, L, P, 2)
        with torch.no_grad():
            self.offsets.bias.copy_(start.reshape(-1))
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
        for layer in (self.value, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, queries: Tensor, references: Tensor, values: Tensor, sizes: Sequence[Size]) -> Tensor:
        """What the queries find.

        Args:
            queries: (B, Q, C).
            references: (B or 1, Q, 2) x, y or (B or 1, Q, 4) centre x, y, width, height; all in 0..1 of the
                maps. Offsets are in cells of each map from a point, in eighths of a box (its half over P = 4)
                from a box's centre.
            values: (B, S, C) all maps' cells, map by map, row by row.
            sizes: L (height, width); the sum of their areas is S.

        Returns:
            (B, Q, C).
        """
        batch, count = queries.shape[:2]
        levels_points = self.levels * self.points
        weights = self.weights(queries).view(batch, count, self.heads, levels_points).softmax(3)
        x, y = self.positions(queries, references, sizes)
        table = self.value(values).view(batch, values.shape[1], self.heads, values.shape[2] // self.heads)
        usual = sample_by_grid if torch.compiler.is_exporting() or table.is_cuda else sample_by_rows
        found = (self.sample or usual)(table, x, y, weights.flatten(2), sizes)
        answer: Tensor = self.output(found)
        return answer

    def positions(self, queries: Tensor, references: Tensor, sizes: Sequence[Size]) -> tuple[Tensor, Tensor]:
        """x and y of the points, (B, Q, M * L * P) each, in cells of their map; 0.5 is a cell's centre."""
        points = self.points
        axes = []
        for axis in (0, 1):  # the layer's outputs alternate between x and y
            offset = F.linear(queries, self.offsets.weight[axis::2], self.offsets.bias[axis::2])
            extents = [size[1 - axis] for size in sizes for _ in range(points)] * self.heads
            extent = queries.new_tensor(extents)  # (M * L * P,) of each point's map, in cells
            if references.shape[2] == 4:
                side = references[..., 2 + axis, None] * (0.5 / points)
                axes.append((references[..., axis, None] + offset * side) * extent)
            else:
                axes.append(references[..., axis, None] * extent + offset)
        return axes[0], axes[1]


def sample_by_rows(table: Tensor, x: Tensor, y: Tensor, weights: Tensor, sizes: Sequence[Size]) -> Tensor:
    """Weighted bilinear samples as weighted sums of table rows.

    Args:
        table: (B, S, M, D) values of M heads.
        x: (B, Q, M * L * P) in cells of the point's map.
        y: likewise.
        weights: (B, Q, M * L * P).
        sizes: L (height, width).

    Returns:
        (B, Q, M * D). Beyond its map a point finds zeros, as ``grid_sample`` with zero padding.
    """
    batch, _, heads, channels = table.shape
    count, each = x.shape[1], x.shape[2] // heads // len(sizes)
    rows = _bordered(table, sizes)  # (B, cells, M, D)

    def per_point(values: Sequence[int]) -> Tensor:  # (M * L * P,) from one value a level
        return x.new_tensor([v for v in values for _ in range(each)] * heads)

    wide, high = per_point([w for _, w in sizes]), per_point([h for h, _ in sizes])
    areas = [(h + 2) * (w + 2) for h, w in sizes]
    zero = x.new_zeros(())
    x, y = (x + 0.5).clamp(zero, wide + 1), (y + 0.5).clamp(zero, high + 1)  # in the bordered map's cells
    with torch.no_grad():
        left, top = x.floor(), y.floor()
        whole = torch.int64 if rows.numel() // channels >= 2**31 else torch.int32
        first = left + per_point([sum(areas[:i]) for i in range(len(areas))])
        cell = torch.addcmul(first, top, wide + 2).to(whole)
        head = torch.arange(heads, device=x.device, dtype=whole).repeat_interleave(each * len(sizes))
        image = torch.arange(batch, device=x.device, dtype=whole) * (rows.shape[1] * heads)
        corner = cell * heads + head + image[:, None, None]  # rows of the upper left cells
        down = ((wide + 2) * heads).to(whole)
        index = _by_bag((corner, corner + heads, corner + down, corner + down + heads), heads)
    right, below = x - left, y - top
    lower = weights * below
    upper = weights - lower
    upper_right, lower_right = upper * right, lower * right
    share = _by_bag((upper - upper_right, upper_right, lower - lower_right, lower_right), heads)
    found = weighted_rows(rows.view(-1, channels), index, share)
    return found.view(batch, count, heads * channels)


def _bordered(table: Tensor, sizes: Sequence[Size]) -> Tensor:
    """(B, S, M, D) maps, each in a border of zero cells, so that no neighbour of a point is missing."""
    batch, _, heads, channels = table.shape
    parts = []
    for level, (height, width) in zip(torch.split(table, [h * w for h, w in sizes], 1), sizes, strict=True):
        grid = level.reshape(batch, height, width, heads * channels)
        parts.append(F.pad(grid, (0, 0, 1, 1, 1, 1)).flatten(1, 2))
    beyond = max(width for _, width in sizes) + 4  # what a corner of weight 0 may name past the last map
    parts.append(table.new_zeros(batch, beyond, heads * channels))
    rows = torch.cat(parts, 1)
    return rows.view(batch, rows.shape[1], heads, channels)


def _by_bag(corners: tuple[Tensor, ...], heads: int) -> Tensor:
    """Four (B, Q, M * L * P) of the points' corners -> (B * Q * M, 4 * L * P)."""
    batch, count, points = corners[0].shape
    apart = [corner.reshape(batch * count * heads, points // heads) for corner in corners]
    return torch.cat(apart, 1)


def sample_by_grid(table: Tensor, x: Tensor, y: Tensor, weights: Tensor, sizes: Sequence[Size]) -> Tensor:
    """The same as :func:`sample_by_rows` by ``grid_sample``: what exporters know, and what GPUs do well."""
    batch, _, heads, channels = table.shape
    count, each = x.shape[1], x.shape[2] // heads // len(sizes)
    shape = (batch, count, heads, len(sizes), each)
    x, y, weights = x.view(shape), y.view(shape), weights.view(shape)
    total = table.new_zeros(batch * heads, channels, count)
    for i, level in enumerate(torch.split(table, [h * w for h, w in sizes], 1)):
        height, width = sizes[i]
        grid = level.permute(0, 2, 3, 1).reshape(batch * heads, channels, height, width)
        place = torch.stack([x[:, :, :, i] * (2 / width) - 1, y[:, :, :, i] * (2 / height) - 1], 4)
        place = place.transpose(1, 2).reshape(batch * heads, count, each, 2)
        found = F.grid_sample(grid, place, mode="bilinear", padding_mode="zeros", align_corners=False)
        weight = weights[:, :, :, i].transpose(1, 2).reshape(batch * heads, 1, count, each)
        total = total + (found * weight).sum(3)  # (B * M, D, Q)
    return total.view(batch, heads * channels, count).transpose(1, 2)


def sample_by_gathers(table: Tensor, x: Tensor, y: Tensor, weights: Tensor, sizes: Sequence[Size]) -> Tensor:
    """The same as :func:`sample_by_rows` by plain look-ups: for runtimes whose ``grid_sample`` goes wrong."""
    batch, _, heads, channels = table.shape
    count, each = x.shape[1], x.shape[2] // heads // len(sizes)
    shape = (batch, count, heads, len(sizes), each)
    x, y, weights = (v.view(shape).transpose(1, 2) for v in (x - 0.5, y - 0.5, weights))  # (B, M, Q, L, P)
    total = table.new_zeros(batch * heads, count, channels)
    for i, level in enumerate(torch.split(table, [h * w for h, w in sizes], 1)):
        height, width = sizes[i]
        rows = level.transpose(1, 2).reshape(batch * heads * height * width, channels)
        first = torch.arange(batch * heads, device=x.device).view(batch, heads, 1, 1) * (height * width)
        left, top = x[:, :, :, i].floor(), y[:, :, :, i].floor()
        right, below = x[:, :, :, i] - left, y[:, :, :, i] - top
        columns = [_inside(*corner, width) for corner in ((left, 1 - right), (left + 1, right))]
        lines = [_inside(*corner, height) for corner in ((top, 1 - below), (top + 1, below))]
        for across, share_x in columns:
            for down, share_y in lines:
                cell = down * width + across
                found = rows.index_select(0, (cell.long() + first).flatten())
                share = weights[:, :, :, i] * share_x * share_y
                found = found.view(-1, each, channels) * share.reshape(-1, each, 1)
                total = total + found.sum(1).view_as(total)
    return total.view(batch, heads, count, channels).transpose(1, 2).reshape(batch, count, heads * channels)


def _inside(place: Tensor, share: Tensor, extent: int) -> tuple[Tensor, Tensor]:
    """Places along one axis kept within 0..``extent`` - 1, and their shares, 0 where they were beyond."""
    return place.clamp(0, extent - 1), share * ((place >= 0) & (place < extent))

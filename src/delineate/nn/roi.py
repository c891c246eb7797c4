"""Features of regions of interest: the pyramid level each box reads, and RoIAlign there.

He et al. 2017, "Mask R-CNN", section 3 (RoIAlign); Lin et al. 2017, "Feature Pyramid Networks", equation 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align


def stack_rois(boxes: Sequence[Tensor]) -> Tensor:
    """Per image (P_i, 4) boxes -> (R, 5): the image's index in the batch, then xyxy in pixels."""
    rows = [F.pad(b, (1, 0), value=float(i)) for i, b in enumerate(boxes)]
    return torch.cat(rows) if rows else torch.zeros(0, 5)


def assign_levels(boxes: Tensor, levels: int, canonical_size: float = 224, finest: int = 2) -> Tensor:
    """(R,) int64 index 0..levels-1 of the map each box reads: level 4 for a box of the canonical size.

    Args:
        boxes: (R, 4) xyxy, in pixels of the network input.
        levels: how many maps there are, finest first.
        canonical_size: square root of the area of a box that reads the map of stride 16 (k = 4).
        finest: k of the finest map, whose stride is 2 to the power of k.

    Example:
        >>> assign_levels(torch.tensor([[0., 0, 224, 224], [0, 0, 10, 10], [0, 0, 900, 900]]), 4).tolist()
        [2, 0, 3]
    """
    side = torch.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    level = torch.floor(4 + torch.log2(side / canonical_size) + 1e-6)  # 1e-6: exact powers of two round up
    return level.clamp(finest, finest + levels - 1).to(torch.int64) - finest


@dataclass(frozen=True)
class PyramidRoiAlign:
    """RoIAlign on the pyramid level that fits each box.

    Attributes:
        size: side of the square output grid.
        strides: of the maps read, finest first, each twice the one before.
        sampling: each output cell is the mean of ``sampling`` x ``sampling`` bilinear samples.
        canonical_size: see :func:`assign_levels`.
    """

    size: int
    strides: tuple[int, ...] = (4, 8, 16, 32)
    sampling: int = 2
    canonical_size: float = 224

    def __call__(self, features: Sequence[Tensor], rois: Tensor) -> Tensor:
        """Pool every region; differentiable with respect to the features.

        Args:
            features: one (B, C, H_l, W_l) map per stride; further, coarser maps are not read.
            rois: (R, 5) as :func:`stack_rois` gives.

        Returns:
            (R, C, size, size), float32.
        """
        maps = features[: len(self.strides)]
        finest = self.strides[0].bit_length() - 1
        level = assign_levels(rois[:, 1:], len(maps), self.canonical_size, finest)
        gather = self._bags if _bags_apply(maps) else self._align
        pooled = rois.new_zeros((len(rois), maps[0].shape[1], self.size, self.size))
        if maps[0].is_contiguous(memory_format=torch.channels_last):
            pooled = pooled.contiguous(memory_format=torch.channels_last)
        for k, (feature, stride) in enumerate(zip(maps, self.strides, strict=True)):
            at = torch.where(level == k)[0]
            pooled = pooled.index_copy(0, at, gather(feature.float(), rois[at], 1.0 / stride))
        return pooled

    def _align(self, feature: Tensor, rois: Tensor, scale: float) -> Tensor:
        pooled: Tensor = roi_align(feature, rois, self.size, scale, self.sampling, aligned=False)
        return pooled

    def _bags(self, feature: Tensor, rois: Tensor, scale: float) -> Tensor:
        return roi_align_bags(feature, rois, self.size, scale, self.sampling)


def _bags_apply(maps: Sequence[Tensor]) -> bool:
    """Whether the gather by rows is the faster way: CPU, channels last, nothing to differentiate."""
    return not torch.is_grad_enabled() and all(
        m.device.type == "cpu" and m.is_contiguous(memory_format=torch.channels_last) for m in maps
    )


def roi_align_bags(feature: Tensor, rois: Tensor, size: int, scale: float, sampling: int = 2) -> Tensor:
    """RoIAlign (``aligned=False``) of a channels-last map as one weighted sum of its rows a cell.

    A cell's value is a fixed blend of 4 x sampling^2 pixels, the same for all channels, and in channels-last
    order a pixel's channels lie together: the blend is an embedding bag. On a CPU this is several times
    faster than the scalar loop and needs no copy of the map to channels-first.

    Args:
        feature: (B, C, H, W) float32, channels last in memory.
        rois: (R, 5) image index and xyxy, in pixels of the network input.
        size: side of the output grid.
        scale: feature pixels per input pixel.
        sampling: samples a cell and axis.

    Returns:
        (R, C, size, size) float32, channels last in memory.
    """
    images, channels, height, width = feature.shape
    count = len(rois)
    if count == 0:
        return feature.new_zeros((0, channels, size, size))
    rows = feature.permute(0, 2, 3, 1).reshape(images * height * width, channels)
    box = rois[:, 1:] * scale
    y, wy = _axis_taps(box[:, 1], box[:, 3], height, size, sampling)  # (R, size, taps) index and weight
    x, wx = _axis_taps(box[:, 0], box[:, 2], width, size, sampling)
    first = rois[:, 0].to(torch.int32) * (height * width)
    y = first[:, None, None] + y * width
    # every pair of a row tap and a column tap of the cell: (R, size, size, taps, taps)
    index = (y[:, :, None, :, None] + x[:, None, :, None, :]).reshape(count * size * size, -1)
    weight = (wy[:, :, None, :, None] * wx[:, None, :, None, :]).reshape(count * size * size, -1)
    bags = F.embedding_bag(index, rows, mode="sum", per_sample_weights=weight)
    return bags.view(count, size, size, channels).permute(0, 3, 1, 2)


def _axis_taps(low: Tensor, high: Tensor, length: int, size: int, sampling: int) -> tuple[Tensor, Tensor]:
    """Pixels (int32) and weights of every cell along one axis, both (R, size, 2 * sampling)."""
    step = (high - low).clamp(min=1.0) / size  # at least one feature pixel in all
    offset = (torch.arange(size * sampling, device=low.device) + 0.5) / sampling  # in cells
    at = low[:, None] + offset * step[:, None]  # (R, size * sampling)
    inside = ((at >= -1) & (at <= length)).to(at.dtype) / sampling
    at = at.clamp(min=0, max=length - 1)  # beyond the outer pixels' centres: the outer pixel
    below = at.floor()
    part = at - below
    below = below.to(torch.int32)
    above = (below + 1).clamp(max=length - 1)
    index = torch.stack([below, above], dim=-1)
    weight = torch.stack([(1 - part) * inside, part * inside], dim=-1)
    return index.view(len(low), size, -1), weight.view(len(low), size, -1)

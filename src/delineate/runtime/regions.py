"""Sampling inside a graph: RoIAlign over a pyramid for a fixed number of boxes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from delineate.nn.roi import PyramidRoiAlign, assign_levels


def pooled(pool: PyramidRoiAlign, features: Sequence[Tensor], boxes: Tensor, plain: bool) -> Tensor:
    """As ``pool``, on boxes of equal number an image.

    Args:
        pool: tells size, strides and sampling.
        features: its maps, and maybe further ones.
        boxes: (B, P, 4) xyxy in pixels of the network input; empty ones may be among them.
        plain: every box is read from every map and the right one is taken, in place of lists of the boxes of
            each map, whose lengths nobody knows beforehand.

    Returns:
        (B * P, C, size, size).
    """
    maps = features[: len(pool.strides)]
    batch, count = boxes.shape[:2]
    image = torch.arange(batch, dtype=boxes.dtype, device=boxes.device)[:, None, None].expand(-1, count, 1)
    rois = torch.cat([image, boxes], 2).view(-1, 5)
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3).view(-1, 2)  # empty rows have no logarithm
    finest = pool.strides[0].bit_length() - 1
    level = assign_levels(F.pad(sides, (2, 0)), len(maps), pool.canonical_size, finest)
    if plain:
        return _from_every_level(pool, maps, rois, level)
    result = rois.new_zeros((rois.shape[0], maps[0].shape[1], pool.size, pool.size))
    for k, (feature, stride) in enumerate(zip(maps, pool.strides, strict=True)):
        at = torch.where(level == k)[0]
        some = roi_align(feature, rois[at], pool.size, 1.0 / stride, pool.sampling, aligned=False)
        result = result.index_copy(0, at, some)
    return result


def _from_every_level(pool: PyramidRoiAlign, maps: Sequence[Tensor], rois: Tensor, level: Tensor) -> Tensor:
    """(R, C, size, size) of (R, 5) regions, each from its own of the maps."""
    result = rois.new_zeros((rois.shape[0], maps[0].shape[1], pool.size, pool.size))
    for k, (feature, stride) in enumerate(zip(maps, pool.strides, strict=True)):
        every = roi_align(feature, rois, pool.size, 1.0 / stride, pool.sampling, aligned=False)
        result = torch.where((level == k)[:, None, None, None], every, result)
    return result

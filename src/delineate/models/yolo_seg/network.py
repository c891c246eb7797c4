"""Backbone, neck and prototypes of the YOLO-like segmenter.

A cross-stage partial backbone, a path aggregation neck (Liu et al. 2018, "PANet", figure 1) and prototype
masks (Bolya et al. 2019, "YOLACT", section 3.1) that also see the backbone's stride 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from delineate.nn.csp import ConvAct, CSPBlock, PyramidPooling


class Size(NamedTuple):
    """How large a variant is.

    Attributes:
        channels: at strides 2, 4, 8, 16 and 32.
        depths: bottlenecks of the backbone's stages at strides 4, 8, 16 and 32.
        neck_depth: bottlenecks in each block of the neck.
        shape_width: channels of the head's tower of boxes and coefficients.
        prototype_width: channels of the prototype branch.
    """

    channels: tuple[int, int, int, int, int]
    depths: tuple[int, int, int, int]
    neck_depth: int
    shape_width: int
    prototype_width: int


class Backbone(nn.Module):
    """Images to maps of strides 4, 8, 16 and 32."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.stem = ConvAct(3, size.channels[0], 3, 2)
        steps = zip(size.channels[:-1], size.channels[1:], size.depths, strict=True)
        self.stages = nn.ModuleList(
            [
                nn.Sequential(ConvAct(inside, outside, 3, 2), CSPBlock(outside, outside, depth))
                for inside, outside, depth in steps
            ]
        )
        self.pooling = PyramidPooling(size.channels[-1])

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> 4 x (B, C, H / s, W / s), s = 4, 8, 16, 32."""
        x = self.stem(images)
        maps: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        maps[-1] = self.pooling(maps[-1])
        return maps


class Neck(nn.Module):
    """Top-down, then bottom-up: every level sees all others.

    Args:
        channels: of the levels, finest first.
        depth: bottlenecks in each block.
    """

    def __init__(self, channels: Sequence[int], depth: int) -> None:
        super().__init__()
        pairs = list(pairwise(channels))  # (finer, coarser)
        self.down = nn.ModuleList([CSPBlock(fine + coarse, fine, depth, False) for fine, coarse in pairs])
        self.shrink = nn.ModuleList([ConvAct(fine, fine, 3, 2) for fine, _ in pairs])
        self.up = nn.ModuleList([CSPBlock(fine + coarse, coarse, depth, False) for fine, coarse in pairs])

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """L maps, finest first -> as many of the same shapes."""
        levels = list(maps)
        for i in range(len(levels) - 2, -1, -1):
            above = F.interpolate(levels[i + 1], scale_factor=2.0, mode="nearest")
            levels[i] = self.down[i](torch.cat([above, levels[i]], 1))
        for i in range(len(levels) - 1):
            levels[i + 1] = self.up[i](torch.cat([self.shrink[i](levels[i]), levels[i + 1]], 1))
        return levels


class Prototypes(nn.Module):
    """Maps that all objects of an image share; a mask is a weighted sum of them.

    Args:
        level: channels of the neck's stride 8.
        lateral: channels of the backbone's stride 4.
        width: channels of the branch.
        count: P prototypes.
        stride: of the prototypes: 8, 4 or 2.
    """

    def __init__(self, level: int, lateral: int, width: int, count: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.reduce = ConvAct(level, width, 3)
        self.lateral = ConvAct(lateral, width) if stride <= 4 else None
        self.refine = ConvAct(width, width, 3)
        self.fine = ConvAct(width // 2, width // 2, 3) if stride == 2 else None
        self.raise_ = nn.ConvTranspose2d(width, width // 2, 2, 2) if stride == 2 else None
        self.last = nn.Conv2d(width // 2 if stride == 2 else width, count, 1)

    def forward(self, level: Tensor, lateral: Tensor) -> Tensor:
        """(B, C, H/8, W/8), (B, C', H/4, W/4) -> (B, P, H / stride, W / stride)."""
        x = self.reduce(level)
        if self.lateral is not None:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest") + self.lateral(lateral)
        x = self.refine(x)
        if self.fine is not None and self.raise_ is not None:
            x = self.fine(self.raise_(x))
        prototypes: Tensor = self.last(x)
        return prototypes

"""The convolution block that pyramids and heads are made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from delineate.core.errors import InputError

NORMS = ("none", "batch", "group")


class ConvNorm(nn.Module):
    """Convolution of stride 1 that keeps the size, then norm, then ReLU, the latter two if asked for.

    Args:
        inputs: channels in.
        outputs: channels out.
        kernel: side of the kernel, odd.
        norm: "none" (the convolution has a bias), "batch" (eps 1e-5) or "group" (Wu and He 2018: 32 groups,
            or as many as divide the channels).
        relu: end with a ReLU.

    Raises:
        InputError: an unknown norm.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, norm: str = "none", relu: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=norm == "none")
        self.norm = make_norm(norm, outputs)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        x = self.norm(self.conv(x))
        return torch.relu_(x) if self.relu else x


def make_norm(name: str, channels: int) -> nn.Module:
    """The norm layer of that name over ``channels``; "none" is the identity."""
    if name == "none":
        return nn.Identity()
    if name == "batch":
        return nn.BatchNorm2d(channels)
    if name == "group":
        groups = next(g for g in (32, 16, 8, 4, 2, 1) if channels % g == 0)
        return nn.GroupNorm(groups, channels)
    raise InputError(f"norm: expected one of {', '.join(NORMS)}, got {name!r}; choose one of them")


class Residual(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al. 2016, figure 2)."""

    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outside)
        same = inside == outside and stride == 1
        # On CPUs, channels-last, the backward pass of a strided 1 x 1 convolution of fewer than 16 channels
        # writes past its memory (uxlfoundation/oneDNN #6035). Skipping pixels beforehand comes to the same.
        self.skip = stride if inside < 16 else 1
        self.shortcut = (
            nn.Identity() if same else nn.Conv2d(inside, outside, 1, stride // self.skip, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inside, h, w) -> (B, outside, h / stride, w / stride)."""
        y: Tensor = F.relu(self.norm1(self.conv1(x)), inplace=True)
        x = x if self.skip == 1 else x[:, :, :: self.skip, :: self.skip]
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x), inplace=True)

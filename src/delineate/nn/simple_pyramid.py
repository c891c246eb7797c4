"""Feature maps of four strides from the one map of a plain vision transformer.

Li, Mao, Girshick and He 2022, "Exploring Plain Vision Transformer Backbones for Object Detection", section 3
("simple feature pyramid"): strides 4, 8 and 32 are made from the last map of stride 16 by transposed
convolutions and pooling; no map of an earlier block is used. Attention is global in every block; the paper's
windows, which save memory on large images, are not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn

from .swin import FeatureInfo

PATCH = 16


class SimplePyramid(nn.Module):
    """A plain transformer of patches of 16 pixels, and maps made from what it ends with.

    Args:
        body: a timm vision transformer that takes images of any size.
        width: C of its tokens.
        strides: of the maps to give, some of 4, 8, 16, 32.
        channels: of every map.
    """

    def __init__(self, body: Any, width: int, strides: Sequence[int], channels: int = 256) -> None:
        super().__init__()
        self.body = body
        self.scales = nn.ModuleList(
            [
                nn.Sequential(*resize(stride, width), *smooth(scaled(stride, width), channels))
                for stride in strides
            ]
        )
        self.feature_info = FeatureInfo([channels] * len(strides), strides)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W), sides multiples of 32 -> maps (B, C, H / s_l, W / s_l)."""
        (last,) = self.body.forward_intermediates(images, indices=1, norm=False, intermediates_only=True)
        return [scale(last) for scale in self.scales]  # last: (B, width, H / 16, W / 16)


def scaled(stride: int, width: int) -> int:
    """Channels after :func:`resize`."""
    return {4: width // 4, 8: width // 2}.get(stride, width)


def resize(stride: int, width: int) -> list[nn.Module]:
    """From stride 16 to another."""
    half = width // 2
    if stride == 4:
        first = nn.ConvTranspose2d(width, half, 2, 2)
        return [first, LayerNorm2d(half), nn.GELU(), nn.ConvTranspose2d(half, half // 2, 2, 2)]
    if stride == 8:
        return [nn.ConvTranspose2d(width, half, 2, 2)]
    return [nn.MaxPool2d(2, 2)] if stride == 32 else []


def smooth(inputs: int, channels: int) -> list[nn.Module]:
    """A 1 x 1 and a 3 x 3 convolution, each with its norm."""
    return [
        nn.Conv2d(inputs, channels, 1, bias=False), LayerNorm2d(channels),
        nn.Conv2d(channels, channels, 3, padding=1, bias=False), LayerNorm2d(channels),
    ]  # fmt: skip

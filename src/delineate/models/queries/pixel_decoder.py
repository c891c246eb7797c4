"""From backbone features to the maps that queries read and the map that masks are cut from.

Cheng et al. 2022, "Mask2Former", section 3.2 and appendix B; the encoder is Zhu et al. 2021, "Deformable
DETR".
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from delineate.nn.deformable import DeformableAttention, Size
from delineate.nn.recompute import recomputed
from delineate.nn.sine_position import sine_position


class Pyramid(NamedTuple):
    """What the pixel decoder gives.

    Attributes:
        levels: (B, C, h, w) maps in the encoder's order.
        masks: (B, C, H / 4, W / 4) mask features; a mask is their product with a query's vector.
    """

    levels: list[Tensor]
    masks: Tensor


class EncoderLayer(nn.Module):
    """Every cell looks at a few points of all maps, then a feed-forward network; norms come last."""

    def __init__(self, channels: int, levels: int, hidden: int) -> None:
        super().__init__()
        self.attention = DeformableAttention(channels, levels)
        self.norm1 = nn.LayerNorm(channels)
        self.linear1 = nn.Linear(channels, hidden)
        self.linear2 = nn.Linear(hidden, channels)
        self.norm2 = nn.LayerNorm(channels)
        for linear in (self.linear1, self.linear2):
            nn.init.xavier_uniform_(linear.weight)

    def forward(self, x: Tensor, position: Tensor, references: Tensor, sizes: list[Size]) -> Tensor:
        """(B, S, C) cells of all maps, their position codes and centres -> (B, S, C)."""
        x = self.norm1(x + self.attention(x + position, references, x, sizes))
        result: Tensor = self.norm2(x + self.linear2(F.relu(self.linear1(x))))
        return result


class PixelDecoder(nn.Module):
    """Deformable encoder over the coarse maps, then one step of a feature pyramid to stride 4.

    Args:
        inputs: channels of the backbone's features at strides 4, 8, 16, 32.
        channels: C.
        layers: of the encoder.
        hidden: width of its feed-forward networks.
        order: strides in the order in which the encoder lines up its maps; 64 is made from the features at
            32 by a strided convolution.
    """

    def __init__(
        self,
        inputs: list[int],
        channels: int = 256,
        layers: int = 6,
        hidden: int = 1024,
        order: tuple[int, ...] = (32, 16, 8),
    ) -> None:
        super().__init__()
        self.order = order
        self.checkpointing = False
        by_stride = dict(zip((4, 8, 16, 32), inputs, strict=True)) | {64: inputs[3]}
        self.project = nn.ModuleDict()
        for stride in order:
            kernel = nn.Conv2d(by_stride[stride], channels, 3, 2, 1) if stride == 64 else nn.Conv2d(
                by_stride[stride], channels, 1
            )  # fmt: skip
            nn.init.xavier_uniform_(kernel.weight)
            nn.init.zeros_(kernel.bias)  # type: ignore[arg-type]
            self.project[str(stride)] = nn.Sequential(kernel, nn.GroupNorm(32, channels))
        self.level_code = nn.Parameter(torch.randn(len(order), channels))
        self.layers = nn.ModuleList([EncoderLayer(channels, len(order), hidden) for _ in range(layers)])
        self.lateral = nn.Sequential(
            nn.Conv2d(inputs[0], channels, 1, bias=False), nn.GroupNorm(32, channels)
        )
        self.smooth = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.GroupNorm(32, channels), nn.ReLU()
        )
        self.to_masks = nn.Conv2d(channels, channels, 1)

    def forward(self, features: list[Tensor]) -> Pyramid:
        """Backbone features at strides 4, 8, 16, 32 -> maps and mask features."""
        by_stride = dict(zip((4, 8, 16, 32), features, strict=True)) | {64: features[3]}
        maps = [self.project[str(stride)](by_stride[stride]) for stride in self.order]
        sizes: list[Size] = [(m.shape[2], m.shape[3]) for m in maps]
        x = torch.cat([m.flatten(2).transpose(1, 2) for m in maps], 1)  # (B, S, C)
        codes = [
            sine_position(size, x.shape[2], x) + code
            for size, code in zip(sizes, self.level_code, strict=True)
        ]
        position = torch.cat(codes)  # (S, C)
        references = torch.cat([centres(size, x) for size in sizes])[None]  # (1, S, 2)
        for layer in self.layers:
            x = recomputed(self.checkpointing, layer, x, position, references, sizes)
        levels = [
            torch.unflatten(part.transpose(1, 2), 2, size)
            for part, size in zip(torch.split(x, [h * w for h, w in sizes], 1), sizes, strict=True)
        ]
        finest = levels[self.order.index(8)]
        return Pyramid(levels, recomputed(self.checkpointing, self.mask_features, features[0], finest))

    def mask_features(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """(B, C_0, H / 4, W / 4) features and the encoder's map of stride 8 -> (B, C, H / 4, W / 4)."""
        lateral = self.lateral(fine)
        raised = F.interpolate(coarse, size=lateral.shape[2:], mode="bilinear", align_corners=False)
        result: Tensor = self.to_masks(self.smooth(lateral + raised))
        return result


def centres(size: Size, like: Tensor) -> Tensor:
    """(height * width, 2) x, y of every cell's centre in 0..1, row by row."""
    y, x = ((torch.arange(n, dtype=like.dtype, device=like.device) + 0.5) / n for n in size)
    return torch.stack([x.expand(size), y[:, None].expand(size)], 2).view(-1, 2)

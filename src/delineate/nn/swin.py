"""Swin Transformer's stages as feature maps of images of any size.

Liu et al. 2021, "Swin Transformer", section 3, as its authors run it for detection: maps are padded to whole
windows, then shifted (timm shifts first, which differs in the last row and column of windows), windows are
shifted on every map however small, and each map that is given out is normalised. The blocks are timm's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .recompute import recomputed

BLOCKED = -100.0  # added to the attention between parts of a window that the shift brought together


class FeatureInfo:
    """Channels and strides of the maps, as timm's feature extractors tell them."""

    def __init__(self, channels: Sequence[int], strides: Sequence[int]) -> None:
        self._channels, self._strides = list(channels), list(strides)

    def channels(self) -> list[int]:
        """C_l of every map."""
        return self._channels

    def reduction(self) -> list[int]:
        """Pixels of the input between neighbouring features of every map."""
        return self._strides


class SwinFeatures(nn.Module):
    """A timm Swin Transformer that gives its stages.

    Args:
        swin: timm's ``SwinTransformer``, made with ``always_partition=True, strict_img_size=False``.
        strides: of the maps to give, some of 4, 8, 16, 32, rising.
    """

    def __init__(self, swin: Any, strides: Sequence[int]) -> None:
        super().__init__()
        self.patch_embed = swin.patch_embed
        given = [info["reduction"] for info in swin.feature_info]
        last = max((i for i, stride in enumerate(given) if stride in strides), default=-1)
        self.layers = nn.ModuleList(list(swin.layers)[: last + 1])
        kept = [(i, swin.feature_info[i]) for i in range(last + 1) if given[i] in strides]
        self.norms = nn.ModuleDict({str(i): nn.LayerNorm(info["num_chs"]) for i, info in kept})
        self.feature_info = FeatureInfo(
            [info["num_chs"] for _, info in kept], [info["reduction"] for _, info in kept]
        )
        self.checkpointing = False

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> maps (B, C_l, H / s_l, W / s_l), finest first."""
        x = self.patch_embed(images)  # (B, H / 4, W / 4, C)
        maps = []
        for i, stage in enumerate(self.layers):
            x = stage.downsample(x)  # type: ignore[operator]
            size = (x.shape[1], x.shape[2])
            blocks: Any = stage.blocks
            apart = shift_mask(size, blocks[-1], x) if any(any(b.shift_size) for b in blocks) else None
            for block in blocks:
                mask = apart if any(block.shift_size) else None
                x = recomputed(self.checkpointing, block_forward, block, x, mask)
            if str(i) in self.norms:
                maps.append(self.norms[str(i)](x).permute(0, 3, 1, 2).contiguous())
        return maps


def block_forward(block: Any, x: Tensor, mask: Tensor | None) -> Tensor:
    """(B, h, w, C) through a timm block: attention in windows, then the feed-forward network."""
    x = x + block.drop_path1(attend(block, block.norm1(x), mask))
    result: Tensor = x + block.drop_path2(block.mlp(block.norm2(x)))
    return result


def attend(block: Any, x: Tensor, mask: Tensor | None) -> Tensor:
    """(B, h, w, C) -> what each cell finds in its window; ``mask`` as :func:`shift_mask` gives it."""
    batch, height, width, channels = x.shape
    (high, wide), (down, right) = block.window_size, block.shift_size
    x = F.pad(x, (0, 0, 0, -width % wide, 0, -height % high))
    if down or right:
        x = x.roll((-down, -right), (1, 2))
    rows, columns = x.shape[1] // high, x.shape[2] // wide
    x = x.view(batch, rows, high, columns, wide, channels).transpose(2, 3)
    x = block.attn(x.reshape(-1, high * wide, channels), mask=mask)
    x = x.view(batch, rows, columns, high, wide, channels).transpose(2, 3)
    x = x.reshape(batch, rows * high, columns * wide, channels)
    if down or right:
        x = x.roll((down, right), (1, 2))
    return x[:, :height, :width]


def shift_mask(size: tuple[int, int], block: Any, like: Tensor) -> Tensor:
    """(windows, cells, cells) added to the attention of a shifted map: cells that were apart do not meet."""
    parts = []
    for length, window, shift in zip(size, block.window_size, block.shift_size, strict=True):
        at = torch.arange(length + -length % window, device=like.device)
        end = len(at)
        parts.append((at >= end - window).int() + (at >= end - shift).int())
    part = parts[0][:, None] * 3 + parts[1]  # nine parts of the padded, shifted map
    (high, wide), (h, w) = block.window_size, part.shape
    cells = part.view(h // high, high, w // wide, wide).transpose(1, 2).reshape(-1, high * wide)
    apart = cells[:, None] != cells[:, :, None]
    return torch.zeros(apart.shape, dtype=like.dtype, device=like.device).masked_fill(apart, BLOCKED)

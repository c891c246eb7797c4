"""Queries that read the maps through their own masks (Cheng et al. 2022, "Mask2Former", section 3.2)."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from delineate.nn.recompute import recomputed
from delineate.nn.sine_position import sine_position

from .pixel_decoder import Pyramid


class Prediction(NamedTuple):
    """What the queries say after one layer.

    A mask is a product of two things that are kept apart: resizing and sampling are linear, so whoever needs
    a small map, a few points or a few masks resizes, samples or chooses first and multiplies then.

    Attributes:
        classes: (B, Q, K + 1) logits; the last class is "no object".
        vectors: (B, Q, C) of the masks.
        features: (B, C, H / 4, W / 4).
        boxes: (B, Q, 4) centre x, y, width, height in 0..1 of the padded image, where the family has them.
    """

    classes: Tensor
    vectors: Tensor
    features: Tensor
    boxes: Tensor | None = None

    def masks(self) -> Tensor:
        """(B, Q, H / 4, W / 4) logits."""
        return torch.unflatten(self.vectors @ self.features.flatten(2), 2, self.features.shape[2:])


class Attention(nn.MultiheadAttention):
    """Multi-head attention, then the residual and its norm."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__(channels, heads, batch_first=True)
        self.norm = nn.LayerNorm(channels)

    def attend(self, x: Tensor, query: Tensor, key: Tensor, value: Tensor, blocked: Tensor | None) -> Tensor:
        """(B, Q, C) x plus what ``query`` finds in (B, S, C) ``key`` and ``value``.

        ``blocked`` (B, Q, S) is True where a query must not look.
        """
        heads, (batch, count, channels) = self.num_heads, query.shape
        weight_q, weight_k, weight_v = self.in_proj_weight.chunk(3)
        bias_q, bias_k, bias_v = self.in_proj_bias.chunk(3)

        def split(tokens: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            return torch.unflatten(F.linear(tokens, weight, bias), 2, (heads, -1)).transpose(1, 2)

        found = F.scaled_dot_product_attention(
            split(query, weight_q, bias_q),
            split(key, weight_k, bias_k),
            split(value, weight_v, bias_v),
            None if blocked is None else ~blocked[:, None],
        )
        found = found.transpose(1, 2).reshape(batch, count, channels)
        normed: Tensor = self.norm(x + self.out_proj(found))
        return normed


class FeedForward(nn.Module):
    """Two linear layers, the residual and its norm."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(channels, hidden)
        self.linear2 = nn.Linear(hidden, channels)
        self.norm = nn.LayerNorm(channels)
        for linear in (self.linear1, self.linear2):
            nn.init.xavier_uniform_(linear.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, Q, C) -> (B, Q, C)."""
        normed: Tensor = self.norm(x + self.linear2(F.relu(self.linear1(x))))
        return normed


class DecoderLayer(nn.Module):
    """Look at one map where the mask is, talk to the other queries, think."""

    def __init__(self, channels: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.cross = Attention(channels, heads)
        self.own = Attention(channels, heads)
        self.feed_forward = FeedForward(channels, hidden)

    def forward(self, x: Tensor, place: Tensor, key: Tensor, value: Tensor, blocked: Tensor) -> Tensor:
        """(B, Q, C) queries and their place codes; (B, S, C) keys and values; (B, Q, S) -> (B, Q, C)."""
        x = self.cross.attend(x, x + place, key, value, blocked)
        x = self.own.attend(x, x + place, x + place, x, None)
        result: Tensor = self.feed_forward(x)
        return result


def mlp(channels: int, hidden: int, outputs: int, layers: int) -> nn.Sequential:
    """Linear layers with ReLUs between."""
    widths = [channels, *[hidden] * (layers - 1), outputs]
    parts: list[nn.Module] = []
    for inside, outside in pairwise(widths):
        parts += [nn.Linear(inside, outside), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


class MaskedDecoder(nn.Module):
    """Q learnt queries, refined layer by layer.

    Args:
        classes: K.
        queries: Q.
        layers: N; each reads one map, in turn.
        channels: C.
        hidden: width of the feed-forward networks.
        levels: maps.
    """

    def __init__(
        self,
        classes: int,
        queries: int = 100,
        layers: int = 9,
        channels: int = 256,
        hidden: int = 2048,
        levels: int = 3,
    ) -> None:
        super().__init__()
        self.checkpointing = False
        self.content = nn.Embedding(queries, channels)
        self.place = nn.Embedding(queries, channels)
        self.level_code = nn.Embedding(levels, channels)
        self.layers = nn.ModuleList([DecoderLayer(channels, 8, hidden) for _ in range(layers)])
        self.norm = nn.LayerNorm(channels)
        self.to_classes = nn.Linear(channels, classes + 1)
        self.to_masks = mlp(channels, channels, channels, 3)

    def forward(self, pyramid: Pyramid) -> list[Prediction]:
        """The predictions of the untouched queries and after each layer, N + 1 in all."""
        keys, values = [], []
        for level, code in zip(pyramid.levels, self.level_code.weight, strict=True):
            value = level.flatten(2).transpose(1, 2) + code  # (B, S, C)
            keys.append(value + sine_position((level.shape[2], level.shape[3]), value.shape[2], value))
            values.append(value)
        sizes = [(level.shape[2], level.shape[3]) for level in pyramid.levels]
        small = [resized(pyramid.masks, size).flatten(2) for size in sizes]  # (B, C, S) of each level
        batch = pyramid.masks.shape[0]
        x = self.content.weight.expand(batch, -1, -1)
        place = self.place.weight.expand(batch, -1, -1)
        predictions = [self.predict(x, pyramid.masks)]
        for i, layer in enumerate(self.layers):
            at = i % len(keys)
            blocked = outside(predictions[-1].vectors.detach() @ small[at])
            x = recomputed(self.checkpointing, layer, x, place, keys[at], values[at], blocked)
            predictions.append(self.predict(x, pyramid.masks))
        return predictions

    def predict(self, x: Tensor, features: Tensor) -> Prediction:
        """(B, Q, C) queries, (B, C, h, w) mask features -> classes and masks."""
        x = self.norm(x)
        return Prediction(self.to_classes(x), self.to_masks(x), features)


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) maps bilinearly on another grid, without gradient."""
    return F.interpolate(maps.detach(), size=size, mode="bilinear", align_corners=False)


def outside(logits: Tensor) -> Tensor:
    """Where each query must not look: cells of its mask below one half; a query with no cell sees all.

    Args:
        logits: (B, Q, S) of the masks on the map that is read.

    Returns:
        (B, Q, S) True where blocked.
    """
    blocked = logits < 0
    return blocked & ~blocked.all(2, keepdim=True)

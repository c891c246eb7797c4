"""The dense head: at every point class logits, four distances, and the coefficients of a mask."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from delineate.nn.box_losses import boxes_from_distances, expected_distances
from delineate.nn.csp import ConvAct

from .ellipse import TERMS

PRIOR = 0.01  # class probability before training (Lin et al. 2017, "Focal Loss", section 3.3)


class Raw(NamedTuple):
    """What the head says of A points.

    Attributes:
        distances: (B, A, 4 * bins) logits.
        logits: (B, A, K) class logits.
        coefficients: (B, A, P) of the prototypes, with 6 more of the ellipse where the model has it.
    """

    distances: Tensor
    logits: Tensor
    coefficients: Tensor


class Level(nn.Module):
    """The head of one level: a tower for shape (boxes and coefficients) and a cheap one for classes.

    The class tower is depthwise 3 x 3 and 1 x 1, twice.

    Args:
        channels: of the level.
        classes: K.
        width: of the shape tower.
        bins: of each distance.
        prototypes: P.
        ellipse: whether 6 more coefficients follow.
    """

    def __init__(
        self, channels: int, classes: int, width: int, bins: int, prototypes: int, ellipse: bool
    ) -> None:
        super().__init__()
        self.bins, self.prototypes, self.ellipse = bins, prototypes, ellipse
        self.shape = nn.Sequential(ConvAct(channels, width, 3), ConvAct(width, width, 3))
        self.distances = nn.Conv2d(width, 4 * bins, 1)
        self.coefficients = nn.Conv2d(width, prototypes + (TERMS if ellipse else 0), 1)
        narrow = max(channels, min(classes, 100))
        self.class_tower = nn.Sequential(
            ConvAct(channels, channels, 3, groups=channels),
            ConvAct(channels, narrow),
            ConvAct(narrow, narrow, 3, groups=narrow),
            ConvAct(narrow, narrow),
        )
        self.logits = nn.Conv2d(narrow, classes, 1)

    def start(self, typical: float) -> None:
        """Biases to begin with: rare classes, boxes of ``typical`` strides to each side, no ellipses."""
        bias = [layer.bias for layer in (self.distances, self.logits, self.coefficients)]
        with torch.no_grad():
            if self.bins == 1:
                bias[0].fill_(math.log(math.expm1(typical)))  # type: ignore[union-attr]
            else:  # a geometric distribution of mean about `typical`
                steps = torch.arange(self.bins, dtype=torch.float32) * math.log(1 + 1 / typical)
                bias[0].copy_(-steps.repeat(4))  # type: ignore[union-attr]
            bias[1].fill_(-math.log((1 - PRIOR) / PRIOR))  # type: ignore[union-attr]
            if self.ellipse:
                # From nothing: boxes have to be learnt before ellipses in them mean something.
                bias[2][-TERMS:] = 0  # type: ignore[index]
                self.coefficients.weight[-TERMS:] *= 0.1

    def forward(self, x: Tensor) -> Raw:
        """(B, C, h, w) -> the head's words at h * w points, row by row."""
        shape = self.shape(x)
        maps = self.distances(shape), self.logits(self.class_tower(x)), self.coefficients(shape)
        return Raw(*(m.flatten(2).transpose(1, 2) for m in maps))


class Head(nn.Module):
    """One :class:`Level` per level of the neck.

    Args:
        channels: of the levels, finest first.
        classes: K.
        width: of the shape towers.
        bins: of each distance.
        prototypes: P.
        ellipse: whether masks have an ellipse term.
        typical: distance of a box's sides from its point before training, in strides.
    """

    def __init__(
        self,
        channels: Sequence[int],
        classes: int,
        *,
        width: int,
        bins: int,
        prototypes: int,
        ellipse: bool,
        typical: float = 2.5,
    ) -> None:
        super().__init__()
        self.bins = bins
        self.levels = nn.ModuleList([Level(c, classes, width, bins, prototypes, ellipse) for c in channels])
        for level in self.levels:
            assert isinstance(level, Level)
            level.start(typical)

    def forward(self, maps: Sequence[Tensor]) -> Raw:
        """L maps -> the words of all their A points."""
        parts = [level(x) for level, x in zip(self.levels, maps, strict=True)]
        return Raw(*(torch.cat(p, 1) for p in zip(*parts, strict=True)))

    def boxes(self, distances: Tensor, points: Tensor, strides: Tensor) -> Tensor:
        """(..., A, 4) xyxy in pixels of (..., A, 4 * bins) distance logits."""
        return boxes_from_distances(points, expected_distances(distances, self.bins) * strides)

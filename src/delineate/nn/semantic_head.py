"""From a feature pyramid to scores of every pixel.

Kirillov et al. 2019, "Panoptic Feature Pyramid Networks", section 3.1 and figure 3: each level is brought to
the finest one's size in steps of 3 x 3 convolution, group norm, ReLU and doubling; the levels are summed; a
1 x 1 convolution gives the scores.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from .layers import ConvNorm


class SemanticHead(nn.Module):
    """L levels, each of half the size of the one before -> scores at the finest level's size.

    Args:
        inputs: channels of the levels, one number for all or one for each.
        outputs: scores per pixel.
        levels: L.
        channels: inside.
        norm: of the convolutions, "group" as published, "batch" or "none".
    """

    def __init__(
        self,
        inputs: int | Sequence[int],
        outputs: int,
        levels: int = 4,
        channels: int = 128,
        norm: str = "group",
    ) -> None:
        super().__init__()
        each = [inputs] * levels if isinstance(inputs, int) else list(inputs)
        self.scales = nn.ModuleList(
            nn.ModuleList(
                ConvNorm(each[level] if step == 0 else channels, channels, 3, norm)
                for step in range(max(1, level))
            )
            for level in range(levels)
        )
        self.scores = nn.Conv2d(channels, outputs, 1)
        for module in self.scales.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.scores.weight, std=0.01)
        nn.init.zeros_(self.scores.bias)  # type: ignore[arg-type]

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """L maps (B, C_l, H / 2**l, W / 2**l), finest first -> (B, outputs, H, W)."""
        total: Tensor | None = None
        for level, convs in enumerate(self.scales):
            x = features[level]
            steps: nn.ModuleList = convs  # type: ignore[assignment]
            for step in range(len(steps)):
                x = steps[step](x)
                if level:  # to the next finer level's size: twice, where sides are even
                    size = features[level - 1 - step].shape[-2:]
                    x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
            total = x if total is None else total + x
        scores: Tensor = self.scores(total)
        return scores

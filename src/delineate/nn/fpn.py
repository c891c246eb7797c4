"""Feature pyramid: top-down pathway with lateral connections.

Lin et al. 2017, "Feature Pyramid Networks for Object Detection", section 3 and figure 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from .layers import ConvNorm


class FeaturePyramid(nn.Module):
    """L feature maps of falling resolution -> L + 1 maps of equal channels; the last is the top one, halved.

    Args:
        inputs: channels of the L input maps, finest first.
        channels: channels of every output map.
        norm: of both kinds of convolution, "none", "batch" or "group"; there is no activation.
    """

    def __init__(self, inputs: Sequence[int], channels: int = 256, norm: str = "none") -> None:
        super().__init__()
        self.lateral = nn.ModuleList(ConvNorm(c, channels, 1, norm, relu=False) for c in inputs)
        self.output = nn.ModuleList(ConvNorm(channels, channels, 3, norm, relu=False) for _ in inputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """L maps (B, C_l, H_l, W_l), finest first -> L + 1 maps (B, channels, H_l, W_l)."""
        inner = [conv(x) for conv, x in zip(self.lateral, features, strict=True)]
        for level in range(len(inner) - 2, -1, -1):  # from the top down
            above = F.interpolate(inner[level + 1], size=inner[level].shape[-2:], mode="nearest")
            inner[level] = inner[level] + above
        levels = [conv(x) for conv, x in zip(self.output, inner, strict=True)]
        return [*levels, F.max_pool2d(levels[-1], kernel_size=1, stride=2)]

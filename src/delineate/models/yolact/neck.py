"""The body of the network and its pyramid: maps of equal channels at strides 8 to 128.

Bolya et al. 2019, "YOLACT", section 4 ("Backbone Detector") and figure 2; Lin et al. 2017, "Feature Pyramid
Networks".
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from delineate.core.errors import InputError
from delineate.nn.darknet import DarkNet
from delineate.nn.layers import ConvNorm
from delineate.nn.norms import freeze_batch_norm
from delineate.nn.timm_features import timm_features

STRIDES = (8, 16, 32)
BODY_NORMS = ("frozen", "batch")


class Body(nn.Module):
    """Images -> C3, C4, C5 at strides 8, 16, 32.

    Args:
        name: "darknet53", or a timm model whose features have those strides.
        norm: "batch" (trained) or "frozen" (fixed statistics, for pretrained weights).
        pretrained: timm's ImageNet weights, which are downloaded.

    Raises:
        InputError: unknown norm or network, or a download that is not possible.
    """

    def __init__(self, name: str, norm: str = "batch", pretrained: bool = False) -> None:
        super().__init__()
        if norm not in BODY_NORMS:
            raise InputError(f"backbone_norm: expected one of {', '.join(BODY_NORMS)}, got {norm!r}")
        if name == "darknet53" and pretrained:
            raise InputError(
                "backbone 'darknet53': expected random weights, got pretrained_backbone; "
                "nobody publishes them for it here, load a whole YOLACT instead"
            )
        self.net: nn.Module
        if name == "darknet53":
            self.net = DarkNet()
            self.channels = self.net.channels
        else:
            self.net = timm_features(name, STRIDES, pretrained)
            self.channels = list(self.net.feature_info.channels())  # type: ignore[operator, union-attr]
        if norm == "frozen":
            freeze_batch_norm(self.net)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> three maps (B, C_l, H / s, W / s), finest first."""
        features: list[Tensor] = self.net(images)
        return features


class Pyramid(nn.Module):
    """Three maps -> L maps of equal channels: P3, P4, P5 top-down, then each next one a strided convolution.

    What differs from Lin et al.: the way down is bilinear, a ReLU follows each output, and P6, P7 are 3 x 3
    convolutions of stride 2 without one.

    Args:
        inputs: channels of the input maps, finest first.
        channels: of every output map.
        levels: L, at least as many as inputs.
        norm: of the lateral and output convolutions, "none", "batch" or "group".
    """

    def __init__(
        self, inputs: Sequence[int], channels: int = 256, levels: int = 5, norm: str = "none"
    ) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(ConvNorm(c, channels, 1, norm, relu=False) for c in inputs)
        self.output = nn.ModuleList(ConvNorm(channels, channels, 3, norm) for _ in inputs)
        self.extra = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, 2, 1) for _ in range(levels - len(self.lateral))
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Maps (B, C_l, H_l, W_l), finest first -> L maps (B, channels, H_l, W_l)."""
        inner = [conv(x) for conv, x in zip(self.lateral, features, strict=True)]
        for level in range(len(inner) - 2, -1, -1):
            size = inner[level].shape[-2:]
            above = F.interpolate(inner[level + 1], size=size, mode="bilinear", align_corners=False)
            inner[level] = inner[level] + above
        levels = [conv(x) for conv, x in zip(self.output, inner, strict=True)]
        for conv in self.extra:
            levels.append(conv(levels[-1]))
        return levels

"""The body of the network: a timm backbone and a feature pyramid on its stages.

He et al. 2016, "Deep Residual Learning", table 1; Lin et al. 2017, "Feature Pyramid Networks", section 3.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from delineate.core.errors import InputError
from delineate.nn.fpn import FeaturePyramid
from delineate.nn.norms import freeze_batch_norm
from delineate.nn.timm_features import timm_features

STRIDES = (4, 8, 16, 32)
BODY_NORMS = ("frozen", "batch")


class Backbone(nn.Module):
    """Images -> five maps of equal channels at strides 4, 8, 16, 32, 64.

    Args:
        name: a timm model whose features have the strides 4, 8, 16 and 32 (every
            ResNet, ConvNeXt and others).
        channels: of the pyramid's maps.
        norm: of the body, "frozen" (fixed batch norm) or "batch" (trained).
        norm_eps: of the body's batch norms; None keeps timm's, 1e-5 for ResNets.
        pyramid_norm: "none", "batch" or "group".
        trainable_stages: of a ResNet's five stages (stem and four layers) how many train, counted from
            the top.
        pretrained: start from timm's ImageNet weights, which are downloaded.

    Raises:
        InputError: an unknown backbone or one without those strides, an unknown norm, a download while
            ``DELINEATE_OFFLINE=1``.
    """

    def __init__(
        self,
        name: str,
        channels: int = 256,
        *,
        norm: str = "batch",
        norm_eps: float | None = None,
        pyramid_norm: str = "none",
        trainable_stages: int = 5,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        if norm not in BODY_NORMS:
            raise InputError(
                f"norm: expected one of {', '.join(BODY_NORMS)}, got {norm!r}; choose one of them"
            )
        self.body = timm_features(name, STRIDES, pretrained)
        info: Any = self.body.feature_info
        self.fpn = FeaturePyramid(info.channels(), channels, pyramid_norm)
        if norm == "frozen":
            freeze_batch_norm(self.body, norm_eps)
        elif norm_eps is not None:
            for module in self.body.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eps = norm_eps
        _freeze_stages(self.body, trainable_stages)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> five (B, channels, H / s, W / s), finest first."""
        levels: list[Tensor] = self.fpn(self.body(images))
        return levels


def _freeze_stages(body: nn.Module, trainable: int) -> None:
    """Stop the gradient of a ResNet's stem and first layers; ``trainable`` of its five stages remain."""
    if not 0 <= trainable <= 5:
        raise InputError(f"trainable_stages: expected 0..5, got {trainable}; 5 trains the whole body")
    if trainable == 5:
        return
    learning = ("layer4", "layer3", "layer2", "layer1", "conv1")[:trainable]
    for name, parameter in body.named_parameters():
        if not name.startswith(learning):
            parameter.requires_grad_(False)

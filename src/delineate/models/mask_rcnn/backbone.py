"""The body of the network: a timm backbone and a feature pyramid on its stages.

He et al. 2016, "Deep Residual Learning", table 1; Lin et al. 2017, "Feature Pyramid Networks", section 3.
"""

from __future__ import annotations

import os
from typing import Any

import timm
from torch import Tensor, nn

from delineate.core.errors import InputError
from delineate.nn.fpn import FeaturePyramid
from delineate.nn.norms import freeze_batch_norm

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
        self.body = _timm_body(name, pretrained)
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


def _timm_body(name: str, pretrained: bool) -> Any:
    """timm's feature extractor with the four strides of :data:`STRIDES`."""
    if pretrained and os.environ.get("DELINEATE_OFFLINE") == "1":
        raise InputError(
            f"backbone {name!r}: expected no download while DELINEATE_OFFLINE=1, got pretrained=True; "
            "unset the variable or start from random weights"
        )
    try:
        body: Any = timm.create_model(name, features_only=True)  # only to learn its strides
        at = [i for i, stride in enumerate(body.feature_info.reduction()) if stride in STRIDES]
        body = timm.create_model(name, pretrained=pretrained, features_only=True, out_indices=at)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise InputError(
            f"backbone {name!r}: expected a timm model that gives features, got an error ({error}); "
            "choose one from timm.list_models('*resnet*')"
        ) from error
    if tuple(body.feature_info.reduction()) != STRIDES:
        raise InputError(
            f"backbone {name!r}: expected features of strides {STRIDES}, "
            f"got {body.feature_info.reduction()}; choose a ResNet or another four-stage network"
        )
    return body


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

"""The stages of a timm network as feature maps, by the network's name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import timm
from timm.models import model_entrypoint, split_model_name_tag

from delineate.core.errors import InputError

from .swin import SwinFeatures


def timm_features(name: str, strides: Sequence[int], pretrained: bool = False) -> Any:
    """A timm network that returns its feature maps of the given strides, finest first.

    Args:
        name: timm's name, for example "resnet18".
        strides: pixels of the input between neighbouring features, rising.
        pretrained: start from timm's ImageNet weights, which are downloaded.

    Returns:
        A module: (B, 3, H, W) -> list of (B, C_l, H / s_l, W / s_l); ``feature_info.channels()`` tells C_l.

    Raises:
        InputError: unknown name, a network without those strides, or a download while
            ``DELINEATE_OFFLINE=1``.
    """
    if pretrained and os.environ.get("DELINEATE_OFFLINE") == "1":
        raise InputError(
            f"backbone {name!r}: expected no download while DELINEATE_OFFLINE=1, got pretrained weights; "
            "unset the variable or start from random weights"
        )
    try:
        body = _features(name, strides, pretrained)
    except (RuntimeError, AttributeError, TypeError, KeyError) as error:
        raise InputError(
            f"backbone {name!r}: expected a timm model that gives features, got an error ({error}); "
            "choose one from timm.list_models('*resnet*')"
        ) from error
    if tuple(body.feature_info.reduction()) != tuple(strides):
        raise InputError(
            f"backbone {name!r}: expected features of strides {tuple(strides)}, "
            f"got {body.feature_info.reduction()}; choose a ResNet or another four-stage network"
        )
    return body


def _features(name: str, strides: Sequence[int], pretrained: bool) -> Any:
    """The network; what it gives is not checked."""
    if model_entrypoint(split_model_name_tag(name)[0]).__module__ == "timm.models.swin_transformer":
        options: dict[str, Any] = {"always_partition": True, "strict_img_size": False, "num_classes": 0}
        return SwinFeatures(timm.create_model(name, pretrained=pretrained, **options), strides)
    body: Any = timm.create_model(name, features_only=True)  # only to learn its strides
    at = [i for i, stride in enumerate(body.feature_info.reduction()) if stride in strides]
    return timm.create_model(name, pretrained=pretrained, features_only=True, out_indices=at)

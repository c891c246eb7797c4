"""The stages of a timm network as feature maps, by the network's name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import timm
from timm.models import model_entrypoint, split_model_name_tag

from delineate.core.errors import InputError

from .simple_pyramid import PATCH, SimplePyramid
from .swin import SwinFeatures

Colour = tuple[float, float, float]
UNFIT = (RuntimeError, AttributeError, TypeError, KeyError, AssertionError, ValueError)


def timm_features(name: str, strides: Sequence[int], pretrained: bool = False) -> Any:
    """A timm network that returns its feature maps of the given strides, finest first.

    ResNets, ConvNeXts and others of several stages give their stages, Swin Transformers (of the first
    version) as :class:`.swin.SwinFeatures`, plain vision transformers of 16-pixel patches as
    :class:`.simple_pyramid.SimplePyramid`.

    Args:
        name: timm's name, for example "resnet18".
        strides: pixels of the input between neighbouring features, rising.
        pretrained: start from timm's ImageNet weights, which are downloaded.

    Returns:
        A module: (B, 3, H, W) -> list of (B, C_l, H / s_l, W / s_l); ``feature_info.channels()`` tells C_l.

    Raises:
        InputError: unknown name, a network without those strides, weights that cannot be had, or a download
            while ``DELINEATE_OFFLINE=1``.
    """
    if pretrained and os.environ.get("DELINEATE_OFFLINE") == "1":
        raise InputError(
            f"backbone {name!r}: expected no download while DELINEATE_OFFLINE=1, got pretrained weights; "
            "unset the variable or start from random weights"
        )
    try:
        body = _features(name, strides)
    except UNFIT as error:
        raise InputError(
            f"backbone {name!r}: expected a timm model that gives features, got an error ({error}); "
            "choose one from timm.list_models('*resnet*')"
        ) from error
    if tuple(body.feature_info.reduction()) != tuple(strides):
        raise InputError(
            f"backbone {name!r}: expected features of strides {tuple(strides)}, "
            f"got {body.feature_info.reduction()}; choose a ResNet, ConvNeXt, Swin Transformer, or a vision "
            "transformer of 16-pixel patches"
        )
    return _with_weights(name, strides) if pretrained else body


def normalisation(name: str) -> tuple[Colour, Colour]:
    """Mean and standard deviation, of RGB in 0..1, for which timm's weights of that name were trained.

    Raises:
        InputError: timm has no weights of that name.

    Example:
        >>> normalisation("vit_small_patch16_224")
        ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    """
    try:
        known: Any = timm.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError as error:
        raise InputError(
            f"backbone {name!r}: expected one with pretrained weights in timm, got none ({error}); choose "
            "one from timm.list_pretrained(), or start from random weights"
        ) from None
    (r, g, b), (dr, dg, db) = known.mean, known.std
    return (r, g, b), (dr, dg, db)


def _with_weights(name: str, strides: Sequence[int]) -> Any:
    """The network with timm's weights."""
    try:
        return _features(name, strides, pretrained=True)
    except Exception as error:  # timm, the hub's client and the network each raise their own
        reason = (str(error).strip() or type(error).__name__).split("\n")[0][:120]
        raise InputError(
            f"backbone {name!r}: expected timm's pretrained weights, got none ({reason}); connect to the "
            "network, or start from random weights"
        ) from error


def _features(name: str, strides: Sequence[int], pretrained: bool = False) -> Any:
    """The network; what it gives is not checked."""
    if model_entrypoint(split_model_name_tag(name)[0]).__module__ == "timm.models.swin_transformer":
        swin: dict[str, Any] = {"always_partition": True, "strict_img_size": False, "num_classes": 0}
        return SwinFeatures(timm.create_model(name, pretrained=pretrained, **swin), strides)
    body: Any = timm.create_model(name, features_only=True)  # only to learn its strides
    if str(getattr(body, "output_fmt", "NCHW")).rsplit(".", 1)[-1] != "NCHW":
        raise TypeError("its maps have their channels last and need images of one size")
    given = body.feature_info.reduction()
    if len(given) > 1 and set(given) == {PATCH}:
        plain: dict[str, Any] = {"dynamic_img_size": True, "num_classes": 0}
        width = body.feature_info.channels()[-1]
        return SimplePyramid(timm.create_model(name, pretrained=pretrained, **plain), width, strides)
    at = [i for i, stride in enumerate(given) if stride in strides]
    if not at:
        raise ValueError(f"its maps have the strides {given}")
    return timm.create_model(name, pretrained=pretrained, features_only=True, out_indices=at)

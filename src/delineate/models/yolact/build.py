"""The builder: every number of a variant in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import partial
from typing import Any, TypeVar

from delineate.core.batch import InputSpec
from delineate.core.errors import InputError
from delineate.core.suppress import Suppression

from ..given import ClassesLike, InputLike, classes_of, input_of
from ..whole_image import StuffBranch
from .choose import Limits
from .head import PredictionHead
from .losses import Training
from .model import Yolact
from .neck import STRIDES, Body, Pyramid
from .priors import Priors
from .prototypes import MaskRater, PrototypeNet
from .stuff import YolactStuff

T = TypeVar("T")
MEAN = (123.68 / 255, 116.78 / 255, 103.94 / 255)  # of the released ResNets, in RGB order
STD = (58.40 / 255, 57.12 / 255, 57.38 / 255)


def yolact(
    backbone: str = "resnet50",
    classes: ClassesLike = None,
    input: InputLike = None,
    *,
    image_size: int = 550,
    channels: int = 256,
    prototypes: int = 32,
    anchor_sizes: Sequence[Sequence[float]] | None = None,
    anchor_ratios: Sequence[float] = (1.0, 0.5, 2.0),
    square_anchors: bool = True,
    anchor_steps: int = 1,
    norm: str = "none",
    backbone_norm: str = "batch",
    pretrained_backbone: bool = False,
    mask_rating: bool = False,
    limits: Limits | Mapping[str, Any] | None = None,
    suppression: Suppression | Mapping[str, Any] | None = None,
    training: Training | Mapping[str, Any] | None = None,
    stuff: bool = False,
) -> Yolact:
    """YOLACT on DarkNet-53 or any timm backbone with strides 8, 16, 32; weights are random unless asked for.

    Args:
        backbone: "darknet53" or timm's name, for example "resnet18", "resnet50", "resnet101".
        classes: what to find; default COCO's 80 things.
        input: how images become the input; default: stretched to a square of ``image_size``, normalised as
            the original does (DarkNet-53: only divided by 255), or as the pretrained weights were.
        image_size: side of that square; the default anchors grow with it.
        channels: of the pyramid and the heads.
        prototypes: how many prototype masks are mixed.
        anchor_sizes: per pyramid level (strides 8, 16, 32, 64, ...; three levels or more) the anchors' sides
            in pixels of the network's input; default 24, 48, 96, 192, 384 at 550.
        anchor_ratios: width / height.
        square_anchors: squares of side size * sqrt(ratio), as the released YOLACT; False in YOLACT++.
        anchor_steps: sizes between one level's and its double: 3 stands for size * 2 ** (0, 1/3, 2/3).
        norm: of pyramid and prototype network, "none" (as published), "batch" or "group"; training from
            random weights needs one.
        backbone_norm: "batch" (trained) or "frozen" (fixed statistics; for pretrained weights).
        pretrained_backbone: download timm's ImageNet weights.
        mask_rating: YOLACT++'s network that rates masks; detections are ranked by score times rating.
        limits: default confidence, suppression and number of detections; see :class:`Limits`.
        suppression: in place of Fast NMS, another rule with its own threshold and number of candidates; see
            :class:`Suppression`. None: Fast NMS, as published.
        training: loss weights, matching, limits of training; see :class:`Training`.
        stuff: a branch for stuff on the levels of strides 8 to 32: semantic and panoptic results too.

    Returns:
        A model in training mode whose ``settings`` build it again.

    Raises:
        InputError: an unknown backbone or norm, anchors that do not fit, numbers out of range.
    """
    settings = {k: v for k, v in locals().items() if k not in ("classes", "input", "pretrained_backbone")}
    _check(channels=channels, prototypes=prototypes, image_size=image_size, anchor_steps=anchor_steps)
    labels = classes_of(classes)
    priors = _priors(anchor_sizes, anchor_ratios, square_anchors, anchor_steps, image_size)
    body = Body(backbone, backbone_norm, pretrained_backbone)
    branch = StuffBranch(labels, channels, len(STRIDES)) if stuff else None
    model = (Yolact if branch is None else partial(YolactStuff, stuff=branch))(
        labels,
        input_of(input, _default_input(backbone, image_size), backbone if pretrained_backbone else None),
        body,
        Pyramid(body.channels, channels, len(priors.sizes), norm),
        PredictionHead(channels, priors.per_location, len(labels) + 1, prototypes),
        PrototypeNet(channels, prototypes, norm),
        priors,
        _record(Limits, limits, "limits"),
        _record(Training, training, "training"),
        None if suppression is None else _record(Suppression, suppression, "suppression"),
        MaskRater(len(labels)) if mask_rating else None,
    )
    model.settings = {name: _plain(value) for name, value in settings.items() if value is not None}
    return model


def _check(**counts: int) -> None:
    for name, value in counts.items():
        if type(value) is not int or not 1 <= value <= 16384:
            raise InputError(f"{name}: expected a whole number in 1..16384, got {value!r}; correct it")


def _priors(
    sizes: Sequence[Sequence[float]] | None,
    ratios: Sequence[float],
    square: bool,
    steps: int,
    image_size: int,
) -> Priors:
    if sizes is None:
        sizes = [[side / 550 * image_size] for side in (24, 48, 96, 192, 384)]
    if len(sizes) < len(STRIDES):
        raise InputError(
            f"anchor_sizes: expected three levels or more (strides 8, 16, 32, ...), got {len(sizes)}; "
            "give for example [[16], [32], [64]]"
        )
    every = tuple(tuple(s * 2 ** (k / steps) for s in level for k in range(steps)) for level in sizes)
    return Priors(every, tuple(ratios), square)


def _default_input(backbone: str, image_size: int) -> InputSpec:
    dark = backbone == "darknet53"
    return InputSpec(
        stretch=image_size,
        divisor=1,
        mean=(0.0, 0.0, 0.0) if dark else MEAN,
        std=(1.0, 1.0, 1.0) if dark else STD,
    )


def _record(kind: type[T], value: T | Mapping[str, Any] | None, where: str) -> T:
    """A settings record from itself, from its plain form, or its defaults.

    Raises:
        InputError: a field that the record does not have.
    """
    if isinstance(value, kind):
        return value
    given = dict(value) if isinstance(value, Mapping) else {}
    try:
        return kind(**given)
    except TypeError as error:
        known = ", ".join(kind.__dataclass_fields__)  # type: ignore[attr-defined]
        raise InputError(f"{where}: expected fields of {known}, got {', '.join(given)}; {error}") from error


def _plain(value: Any) -> Any:
    """JSON-able form of a setting."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(v) for v in value]
    return value

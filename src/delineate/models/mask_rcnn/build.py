"""Builders: one function a variant, with its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from delineate.core.batch import InputSpec
from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.nn.anchors import Anchors
from delineate.nn.roi import PyramidRoiAlign

from ..coco import COCO
from ..given import ClassesLike, InputLike, classes_of, input_of
from ..whole_image import StuffBranch
from .backbone import STRIDES, Backbone
from .boxes import BoxBranch, ConvHead, Limits, LinearHead, SamplingSettings
from .masks import MaskBranch
from .model import FasterRCNN, MaskRCNN
from .proposals import ProposalNetwork, ProposalSettings

T = TypeVar("T")
_MASKS_ALONE = ("mask_width", "stuff", "stuff_width", "stuff_weight")
M = TypeVar("M", bound=FasterRCNN)


def mask_rcnn(
    backbone: str = "resnet50",
    classes: ClassesLike = None,
    input: InputLike = None,
    *,
    channels: int = 256,
    norm: str = "batch",
    norm_eps: float | None = None,
    trainable_stages: int = 5,
    pretrained_backbone: bool = False,
    neck_norm: str = "none",
    anchor_sizes: Sequence[Sequence[float]] = ((32,), (64,), (128,), (256,), (512,)),
    anchor_ratios: Sequence[float] = (0.5, 1.0, 2.0),
    proposal_depth: int = 1,
    proposals: ProposalSettings | Mapping[str, Any] | None = None,
    sampling: SamplingSettings | Mapping[str, Any] | None = None,
    canonical_size: float = 224,
    box_head: str = "linear",
    box_width: int = 1024,
    mask_width: int = 256,
    head_norm: str = "none",
    columns: Sequence[int] | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    stuff: bool = False,
    stuff_width: int = 128,
    stuff_weight: float = 0.5,
) -> MaskRCNN:
    """Mask R-CNN on any timm backbone with strides 4 to 32; weights are random unless asked for.

    Args:
        backbone: timm's name, for example "resnet18", "resnet50", "convnext_tiny".
        classes: what to find; default COCO's 80 things.
        input: how images become the input; default 800 to 1333 pixels, as the paper. Its mean and std are
            the pretrained weights', if any, where they are not given.
        channels: of the pyramid.
        norm: of the backbone: "frozen" (fixed batch norm; for pretrained weights) or "batch" (trained).
        norm_eps: of the backbone's batch norms; None: timm's own.
        trainable_stages: how many of a ResNet's five stages train, from the top.
        pretrained_backbone: download timm's ImageNet weights.
        neck_norm: of the pyramid: "none", "batch" or "group".
        anchor_sizes: per pyramid level (strides 4, 8, 16, 32, 64) square roots of anchor areas, in pixels.
        anchor_ratios: height / width of the anchors.
        proposal_depth: 3 x 3 convolutions in the proposal head.
        proposals: see :class:`ProposalSettings`.
        sampling: see :class:`SamplingSettings`.
        canonical_size: side in pixels of a box that reads the map of stride 16; smaller for small objects.
        box_head: "linear" (two fully connected layers) or "conv" (four convolutions and one).
        box_width: of the fully connected layers.
        mask_width: channels of the mask head.
        head_norm: of convolutional heads: "none", "batch" or "group".
        columns: output column of each class where weights have gaps; default 1..K.
        limits: default confidence, suppression and number of detections; see :class:`Limits`.
        stuff: a branch for stuff on the same pyramid, which makes it Panoptic FPN (Kirillov et al. 2019).
        stuff_width: channels of that branch.
        stuff_weight: of its loss; 0.5 as published for COCO.

    Returns:
        A model in training mode whose ``settings`` build it again.

    Raises:
        InputError: an unknown backbone, norm or head, or anchors that do not fit.
    """
    settings = {k: v for k, v in locals().items() if k not in ("classes", "input")}
    parts = _parts(settings, classes_of(classes), input)
    pool = PyramidRoiAlign(14, STRIDES, canonical_size=canonical_size)
    masks = MaskBranch(channels, parts["boxes"].columns.tolist(), pool, mask_width, head_norm)
    branch = StuffBranch(parts["classes"], channels, 4, stuff_width, stuff_weight) if stuff else None
    return _finish(MaskRCNN(**parts, masks=masks, stuff=branch), "mask_rcnn", settings)


def faster_rcnn(
    backbone: str = "resnet50", classes: ClassesLike = None, input: InputLike = None, **settings: Any
) -> FasterRCNN:
    """Faster R-CNN: :func:`mask_rcnn` without masks and stuff; the same settings but those of these two."""
    defaults = {k: v for k, v in (mask_rcnn.__kwdefaults__ or {}).items() if k not in _MASKS_ALONE}
    unknown = sorted(set(settings) - set(defaults))
    if unknown:
        raise TypeError(f"faster_rcnn() got unexpected settings: {', '.join(unknown)}")
    settings = {**defaults, **settings, "backbone": backbone}
    return _finish(FasterRCNN(**_parts(settings, classes_of(classes), input)), "faster_rcnn", settings)


def maskrcnn_resnet50_fpn(
    classes: ClassesLike = None,
    input: InputLike = None,
    *,
    norm_eps: float = 1e-5,
    trainable_stages: int = 3,
    limits: Limits | Mapping[str, Any] | None = None,
) -> MaskRCNN:
    """He et al. 2017 with ResNet-50-FPN, as torchvision's v1: 44.4 M parameters, COCO mask AP 34.6.

    Args:
        classes: default COCO's 80 things, in the 91 columns of the published weights.
        input: default 800 to 1333 pixels.
        norm_eps: 0.0 for the published COCO weights, whose statistics already hold it.
        trainable_stages: of the ResNet's five.
        limits: see :class:`Limits`.
    """
    return _named("maskrcnn_resnet50_fpn", mask_rcnn, classes, input, norm_eps, trainable_stages, limits, V1)


def maskrcnn_resnet50_fpn_v2(
    classes: ClassesLike = None,
    input: InputLike = None,
    *,
    norm_eps: float = 1e-5,
    trainable_stages: int = 5,
    limits: Limits | Mapping[str, Any] | None = None,
) -> MaskRCNN:
    """The longer trained variant of Li et al. 2021, as torchvision's v2: 46.4 M parameters, mask AP 41.8.

    Batch norm everywhere, two convolutions in the proposal head, four in the box head.

    Args:
        classes: default COCO's 80 things, in the 91 columns of the published weights.
        input: default 800 to 1333 pixels.
        norm_eps: of the backbone.
        trainable_stages: of the ResNet's five.
        limits: see :class:`Limits`.
    """
    return _named(
        "maskrcnn_resnet50_fpn_v2", mask_rcnn, classes, input, norm_eps, trainable_stages, limits, V2
    )


def fasterrcnn_resnet50_fpn(
    classes: ClassesLike = None,
    input: InputLike = None,
    *,
    norm_eps: float = 1e-5,
    trainable_stages: int = 3,
    limits: Limits | Mapping[str, Any] | None = None,
) -> FasterRCNN:
    """Ren et al. 2015 with ResNet-50-FPN, as torchvision's v1; arguments as :func:`maskrcnn_resnet50_fpn`."""
    return _named(
        "fasterrcnn_resnet50_fpn", faster_rcnn, classes, input, norm_eps, trainable_stages, limits, V1
    )


def fasterrcnn_resnet50_fpn_v2(
    classes: ClassesLike = None,
    input: InputLike = None,
    *,
    norm_eps: float = 1e-5,
    trainable_stages: int = 5,
    limits: Limits | Mapping[str, Any] | None = None,
) -> FasterRCNN:
    """As torchvision's v2; arguments as :func:`maskrcnn_resnet50_fpn_v2`."""
    return _named(
        "fasterrcnn_resnet50_fpn_v2", faster_rcnn, classes, input, norm_eps, trainable_stages, limits, V2
    )


V1 = {"backbone": "resnet50", "norm": "frozen"}
V2 = {
    "backbone": "resnet50",
    "norm": "batch",
    "neck_norm": "batch",
    "proposal_depth": 2,
    "box_head": "conv",
    "head_norm": "batch",
}


def _named(
    family: str,
    builder: Callable[..., M],
    classes: ClassesLike,
    input: InputLike,
    norm_eps: float,
    trainable_stages: int,
    limits: Limits | Mapping[str, Any] | None,
    numbers: Mapping[str, Any],
) -> M:
    labels = classes_of(classes)
    columns = COCO.ids if labels == COCO else None
    given = {"norm_eps": norm_eps, "trainable_stages": trainable_stages, "limits": limits}
    model = builder(classes=labels, input=input, columns=columns, **given, **numbers)
    return _finish(model, family, given)


def _parts(settings: Mapping[str, Any], classes: Labels, input: InputLike) -> dict[str, Any]:
    """What Faster and Mask R-CNN share."""
    channels = settings["channels"]
    weights = settings["backbone"] if settings["pretrained_backbone"] else None
    columns = settings["columns"] or range(1, len(classes) + 1)
    if len(columns) != len(classes):
        raise InputError(
            f"columns: expected one per class ({len(classes)}), got {len(columns)}; leave them out for 1..K"
        )
    sizes = tuple(tuple(level) for level in settings["anchor_sizes"])
    anchors = Anchors(sizes, tuple(settings["anchor_ratios"]))
    pool = PyramidRoiAlign(7, STRIDES, canonical_size=settings["canonical_size"])
    head: LinearHead | ConvHead
    if settings["box_head"] == "linear":
        head = LinearHead(channels, pool.size, settings["box_width"])
    elif settings["box_head"] == "conv":
        head = ConvHead(channels, pool.size, settings["box_width"], settings["head_norm"])
    else:
        raise InputError(
            f"box_head: expected linear or conv, got {settings['box_head']!r}; choose one of them"
        )
    proposing = _record(ProposalSettings, settings["proposals"])
    return {
        "classes": classes,
        "input": input_of(input, InputSpec(), weights),
        "backbone": Backbone(
            settings["backbone"],
            channels,
            norm=settings["norm"],
            norm_eps=settings["norm_eps"],
            pyramid_norm=settings["neck_norm"],
            trainable_stages=settings["trainable_stages"],
            pretrained=settings["pretrained_backbone"],
        ),
        "proposals": ProposalNetwork(channels, anchors, settings["proposal_depth"], proposing),
        "boxes": BoxBranch(head, list(columns), pool, _record(SamplingSettings, settings["sampling"])),
        "limits": _record(Limits, settings["limits"]),
    }


def _finish(model: M, family: str, settings: Mapping[str, Any]) -> M:
    """Write down how to build it again; never with a download."""
    model.family = family
    model.settings = {name: _plain(value) for name, value in settings.items() if value is not None}
    if "pretrained_backbone" in model.settings:
        model.settings["pretrained_backbone"] = False
    return model


def _plain(value: Any) -> Any:
    """JSON-able form of a setting."""
    if isinstance(value, (ProposalSettings, SamplingSettings, Limits)):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(v) for v in value]
    return value


def _record(kind: type[T], value: T | Mapping[str, Any] | None) -> T:
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
        raise InputError(
            f"{kind.__name__}: expected fields of {known}, got {', '.join(given)}; {error}"
        ) from error

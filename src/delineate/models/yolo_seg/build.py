"""Builders: the sizes with their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import partial
from typing import Any, TypeVar

from delineate.core.batch import InputSpec
from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.core.suppress import Suppression

from ..whole_image import StuffBranch
from .head import Head
from .losses import LossSettings
from .model import Limits, Parts, YoloSeg
from .network import Backbone, Neck, Prototypes, Size
from .stuff import YoloSegStuff

T = TypeVar("T")

SUPPRESSION = Suppression("mask", iou=0.4, box_iou=0.7)
"""By what masks share: half the misses of boxes at 0.7, and no true pair of COCO's shares so much
(docs/decisions/0009-suppression.md)."""

SIZES = {
    "n": Size((16, 32, 64, 128, 256), (1, 1, 1, 1), 1, 64, 48),
    "s": Size((32, 64, 128, 256, 512), (1, 1, 1, 1), 1, 96, 64),
    "m": Size((48, 96, 192, 384, 512), (1, 2, 2, 2), 2, 128, 96),
    "l": Size((64, 128, 256, 512, 512), (2, 4, 4, 2), 2, 192, 128),
}


def yolo_seg(
    size: str = "n",
    classes: Labels | Mapping[str, Any] | None = None,
    input: InputSpec | Mapping[str, Any] | None = None,
    *,
    image_size: int = 640,
    stride4: bool = False,
    nms_free: bool = False,
    inference: str = "",
    prototypes: int = 32,
    prototype_stride: int = 4,
    bins: int = 16,
    ellipse: bool = True,
    suppression: Suppression | Mapping[str, Any] | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    loss: LossSettings | Mapping[str, Any] | None = None,
    stuff: bool = False,
) -> YoloSeg:
    """One-stage segmenter of the YOLO family; random weights.

    Args:
        size: "n", "s", "m" or "l".
        classes: what to find; default COCO's 80 things.
        input: how images become the input; default: fitted into ``image_size``, aspect kept, values 0..1.
        image_size: longer side of the input in pixels, where ``input`` is not given.
        stride4: a further level for small and crowded objects.
        nms_free: train a second, one-to-one head, whose detections need no suppression.
        inference: "one_to_one" or "one_to_many": the head that detects; default the former where there is
            one.
        prototypes: maps that masks are sums of.
        prototype_stride: pixels a cell of them: 2, 4 or 8.
        bins: of each distance's distribution; a side lies at most (bins - 1) strides from its point. 1: no
            distribution and no limit.
        ellipse: an ellipse in each object's box is part of its mask.
        suppression: of the one-to-many head's candidates; see :class:`Suppression`. Default: boxes above an
            IoU of 0.7 are copies, and of the others those whose masks have an IoU above 0.4.
        limits: default confidence and number of detections; see :class:`Limits`.
        loss: see :class:`LossSettings`.
        stuff: a branch for stuff on the neck's levels: semantic and panoptic results too.

    Returns:
        A model in training mode whose ``settings`` build it again.

    Raises:
        InputError: an unknown size or head, or a number out of its range.
    """
    _check(size, inference, nms_free, prototype_stride, prototypes, bins)
    inference = inference or ("one_to_one" if nms_free else "one_to_many")
    shape = SIZES[size]
    labels = _labels(classes)
    strides = (4, 8, 16, 32) if stride4 else (8, 16, 32)
    channels = shape.channels[-len(strides) :]
    head: dict[str, Any] = {
        "width": shape.shape_width, "bins": bins, "prototypes": prototypes, "ellipse": ellipse,
    }  # fmt: skip
    parts = Parts(
        Backbone(shape),
        Neck(channels, shape.neck_depth),
        Prototypes(shape.channels[2], shape.channels[1], shape.prototype_width, prototypes, prototype_stride),
        Head(channels, len(labels), **head),
        Head(channels, len(labels), **head) if nms_free else None,
    )
    branch = StuffBranch(labels, channels, len(strides)) if stuff else None
    model = (YoloSeg if branch is None else partial(YoloSegStuff, stuff=branch))(
        labels,
        _spec(input, image_size),
        parts,
        strides=strides,
        ellipse=ellipse,
        inference=inference,
        suppression=SUPPRESSION if suppression is None else _made(Suppression, suppression),
        limits=_made(Limits, limits),
        loss=_made(LossSettings, loss),
    )
    model.family = f"yolo_seg_{size}"
    model.settings = {
        "size": size, "image_size": image_size, "stride4": stride4, "nms_free": nms_free,
        "inference": inference, "prototypes": prototypes, "prototype_stride": prototype_stride, "bins": bins,
        "ellipse": ellipse, "suppression": asdict(model.suppression), "limits": asdict(model.limits),
        "loss": asdict(model.loss),
    } | ({"stuff": True} if stuff else {})  # fmt: skip
    return model


def _check(
    size: str, inference: str, nms_free: bool, prototype_stride: int, prototypes: int, bins: int
) -> None:
    if size not in SIZES:
        raise InputError(f"yolo_seg, size: expected one of {', '.join(SIZES)}, got {size!r}; choose one")
    heads = ("", "one_to_many", "one_to_one") if nms_free else ("", "one_to_many")
    if inference not in heads:
        raise InputError(
            f"yolo_seg, inference: expected one of {', '.join(heads[1:])}, got {inference!r}; "
            "a one-to-one head needs nms_free"
        )
    if prototype_stride not in (2, 4, 8):
        raise InputError(f"yolo_seg, prototype_stride: expected 2, 4 or 8, got {prototype_stride!r}")
    for name, value, most in (("prototypes", prototypes, 512), ("bins", bins, 256)):
        if type(value) is not int or not 1 <= value <= most:
            raise InputError(f"yolo_seg, {name}: expected a whole number in 1..{most}, got {value!r}")


def _labels(classes: Labels | Mapping[str, Any] | None) -> Labels:
    if classes is None:
        from ..coco import COCO

        return COCO
    return classes if isinstance(classes, Labels) else Labels.from_dict(dict(classes))


def _spec(input: InputSpec | Mapping[str, Any] | None, image_size: int) -> InputSpec:
    if isinstance(input, InputSpec):
        return input
    if input is not None:
        return InputSpec.from_dict(dict(input))
    return InputSpec(
        shortest_edge=image_size,
        longest_edge=image_size,
        divisor=32,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )


def _made(kind: type[T], value: T | Mapping[str, Any] | None) -> T:
    """A settings object from a checkpoint's or recipe's dictionary, or the default one."""
    if value is None:
        return kind()
    if not isinstance(value, Mapping):
        return value
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    for name in value:
        if name not in known:
            raise InputError(f"{kind.__name__}: expected names among {', '.join(known)}, got {name!r}")
    return kind(**value)

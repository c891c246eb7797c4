"""Which variant a published file was made for, read off the names and shapes of its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from delineate.core.labels import Labels
from delineate.models.coco import COCO

from .hugging_face_weights import our_name as ours_of_hugging_face
from .original_weights import our_name as ours_of_original

SWINS = {
    (96, 6): "swin_tiny_patch4_window7_224",
    (96, 18): "swin_small_patch4_window7_224",
    (128, 18): "swin_base_patch4_window12_384",
    (192, 18): "swin_large_patch4_window12_384",
}
"""By the channels of the first stage and the blocks of the third; base and large have windows of 12."""

RESNETS = {6: "resnet50", 23: "resnet101"}
"""By the blocks of the third stage."""

COCO_SEGMENTS = 133
"""COCO's panoptic classes; the first 80 are its things, in their order."""


class Variant(NamedTuple):
    """What builds the model of a file.

    Attributes:
        name: in the zoo.
        settings: of its builder.
    """

    name: str
    settings: dict[str, Any]


def variant_of(weights: Mapping[str, Tensor], names: Sequence[str] | None = None) -> Variant | None:
    """The variant of an original's or Hugging Face's state dict; None where it is not known.

    Args:
        weights: by the publisher's names.
        names: of the classes, where the publisher tells them; default COCO's for 80 classes, else numbers.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    order = (32, 16, 8, 4)  # only so that every number has its stride
    for key, value in weights.items():
        found = ours_of_hugging_face(key, order)
        name = found[0] if found else ours_of_original(key, order)
        if name is not None:
            shapes[name] = tuple(value.shape)
    backbone = _backbone(shapes)
    if backbone is None or "decoder.to_classes.bias" not in shapes:
        return None
    settings: dict[str, Any] = {
        "backbone": backbone,
        "encoder_layers": _count(shapes, r"pixel_decoder\.layers\.(\d+)\."),
        "decoder_layers": _count(shapes, r"decoder\.layers\.(\d+)\."),
        "channels": shapes.get("decoder.norm.weight", (256,))[0],
        "encoder_hidden": shapes.get("pixel_decoder.layers.0.linear1.bias", (1024,))[0],
    }
    classes = shapes["decoder.to_classes.bias"][0]
    if "decoder.content.weight" in shapes:
        name, classes = "mask2former", classes - 1
        settings["queries"] = shapes["decoder.content.weight"][0]
    else:
        name = "dimaskdino" if any(key.startswith("decoder.balance.") for key in shapes) else "maskdino"
        settings["boxes_from_masks"] = classes != COCO_SEGMENTS  # the panoptic releases begin without
    return Variant(name, settings | {"classes": _classes(classes, names)})


def _backbone(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """timm's name."""
    if "backbone.patch_embed.proj.bias" in shapes:
        width = shapes["backbone.patch_embed.proj.bias"][0]
        return SWINS.get((width, _count(shapes, r"backbone\.layers\.2\.blocks\.(\d+)\.")))
    return RESNETS.get(_count(shapes, r"backbone\.layer3\.(\d+)\."))


def _count(shapes: Mapping[str, tuple[int, ...]], pattern: str) -> int:
    """One more than the largest number that the names have there."""
    found = (re.match(pattern, name) for name in shapes)
    return max((int(match[1]) + 1 for match in found if match), default=0)


def _classes(count: int, names: Sequence[str] | None) -> Labels:
    """So many classes, by name where names are known."""
    if count == len(COCO):
        return COCO
    if names is None or len(names) != count or len(set(names)) != count:
        names = [f"class {i}" for i in range(count)]
    things = tuple(i < len(COCO) or count != COCO_SEGMENTS for i in range(count))
    return Labels(tuple(names), things=things)

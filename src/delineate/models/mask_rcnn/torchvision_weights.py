"""torchvision's published weights, key by key into our names.

Each line of :data:`NAMES` is one group of keys; whatever a file has beyond them, lacks, or has in another
shape is an error that lists it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor, nn

from ..published import copy_translated

Model = TypeVar("Model", bound=nn.Module)

# (torchvision's name, ours); "#" stands for a number, carried over.
NAMES = (
    ("backbone.body.", "backbone.body."),  # timm's ResNet has torchvision's names
    ("backbone.fpn.inner_blocks.#.0.", "backbone.fpn.lateral.#.conv."),
    ("backbone.fpn.inner_blocks.#.1.", "backbone.fpn.lateral.#.norm."),
    ("backbone.fpn.layer_blocks.#.0.", "backbone.fpn.output.#.conv."),
    ("backbone.fpn.layer_blocks.#.1.", "backbone.fpn.output.#.norm."),
    ("rpn.head.conv.#.0.", "proposals.head.convs.#.conv."),
    ("rpn.head.cls_logits.", "proposals.head.objectness."),
    ("rpn.head.bbox_pred.", "proposals.head.offsets."),
    ("roi_heads.box_head.fc6.", "boxes.head.fc1."),
    ("roi_heads.box_head.fc7.", "boxes.head.fc2."),
    ("roi_heads.box_head.5.", "boxes.head.fc."),
    ("roi_heads.box_head.#.0.", "boxes.head.convs.#.conv."),
    ("roi_heads.box_head.#.1.", "boxes.head.convs.#.norm."),
    ("roi_heads.box_predictor.cls_score.", "boxes.class_logits."),
    ("roi_heads.box_predictor.bbox_pred.", "boxes.offsets."),
    ("roi_heads.mask_head.#.0.", "masks.convs.#.conv."),
    ("roi_heads.mask_head.#.1.", "masks.convs.#.norm."),
    ("roi_heads.mask_predictor.conv5_mask.", "masks.upsample."),
    ("roi_heads.mask_predictor.mask_fcn_logits.", "masks.logits."),
)
# Names before torchvision 0.13, as in the released maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth.
OLD_NAMES = (
    (r"(backbone\.fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)", r"\1.0.\2"),
    (r"(rpn\.head\.conv)\.(weight|bias)", r"\1.0.0.\2"),
)
_PATTERNS = [(re.compile(re.escape(theirs).replace(r"\#", r"(\d+)")), ours) for theirs, ours in NAMES]
# What depends on the classes.
PREDICTORS = ("boxes.class_logits.", "boxes.offsets.", "masks.logits.")


def our_name(key: str) -> str | None:
    """Our name of a torchvision key, of any age; None where there is none.

    Example:
        >>> our_name("rpn.head.conv.weight"), our_name("roi_heads.mask_head.mask_fcn2.bias")
        ('proposals.head.convs.0.conv.weight', 'masks.convs.1.conv.bias')
    """
    old_mask = re.fullmatch(r"roi_heads\.mask_head\.mask_fcn(\d+)\.(weight|bias)", key)
    if old_mask:
        key = f"roi_heads.mask_head.{int(old_mask[1]) - 1}.0.{old_mask[2]}"
    for pattern, new in OLD_NAMES:
        key = re.sub(rf"^{pattern}$", new, key)
    for compiled, ours in _PATTERNS:
        found = compiled.match(key)
        if found:
            return ours.replace("#", found[1] if found.groups() else "") + key[found.end() :]
    return None


def load_torchvision_state_dict(
    model: Model, state: Mapping[str, Tensor], *, predictors: bool = True
) -> Model:
    """Copy a state dict of ``torchvision.models.detection`` into the model of the same variant.

    Args:
        model: as one of the ``*_resnet50_fpn*`` builders made it. Build v1 with ``norm_eps=0.0`` for the
            released COCO weights.
        state: torchvision's names, those before 0.13 included. A Mask R-CNN's also fits a Faster R-CNN.
        predictors: False leaves the layers that depend on the classes as they are: transfer to other classes.

    Returns:
        The model.

    Raises:
        CheckpointError: keys without a place, places without a key, or other shapes; nothing is copied then.
    """
    own = model.state_dict()
    skip = () if predictors else PREDICTORS
    has_masks = any(name.startswith("masks.") for name in own)
    translated: dict[str, Tensor] = {}
    strangers: list[str] = []
    for key, value in state.items():
        name = our_name(key)
        if name is None:
            strangers.append(key)
        elif name not in own and name.endswith("num_batches_tracked"):
            continue  # a frozen norm counts nothing
        elif name.startswith("masks.") and not has_masks:
            continue
        elif name not in own:
            strangers.append(key)
        elif not name.startswith(skip or ("\0",)):
            translated[name] = value
    copy_translated(
        model, translated, strangers, whose="torchvision", skip=skip,
        mend="build the variant that the file was made for (v1 or v2, the same classes, or predictors=False)",
    )  # fmt: skip
    return model

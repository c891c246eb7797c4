"""What a family is trained with where nobody says otherwise: the numbers of this project's own recipes."""

from __future__ import annotations

from typing import Any

_YOLO = {
    "train.optimizer": "muon", "train.lr": 5e-3, "train.weight_decay": 0.02, "train.clip_norm": 10.0,
    "train.ema": 0.998, "train.warmup_steps": 50, "augment.mosaic": 0.8,
}  # fmt: skip
_CONVOLUTIONS = {
    "train.lr": 1e-3, "train.weight_decay": 0.02, "train.clip_norm": 5.0, "train.ema": 0.998,
    "train.warmup_steps": 50,
}  # fmt: skip
_QUERIES = {
    "train.optimizer": "muon", "train.lr": 5e-3, "train.weight_decay": 0.05, "train.clip_norm": 1.0,
    "train.ema": 0.998, "train.warmup_steps": 50, "model.settings.frozen_norms": False,
}  # fmt: skip
_BOXED_QUERIES = _QUERIES | {"model.settings.boxes_from_masks": False}

BY_BUILDER: dict[str, dict[str, Any]] = {
    "yolo_seg": _YOLO,
    "yolact": _CONVOLUTIONS,
    "mask_rcnn": _CONVOLUTIONS,
    "center_offset": _CONVOLUTIONS | {"train.lr": 2e-3, "train.ema": 0.999},
    "mask2former": _QUERIES,
    "maskdino": _BOXED_QUERIES,
    "dimaskdino": _BOXED_QUERIES,
}
"""By the name of the builder's module or function."""


def family_settings(model: str) -> list[tuple[str, Any]]:
    """Settings of a recipe, to which a user's own are added.

    Args:
        model: a name of the zoo; one whose family has no settings of its own gives none.

    Raises:
        InputError: no such name.
    """
    from delineate.models.zoo import find

    module, _, function = find(model).builder.partition(":")
    for name in (function, *reversed(module.split("."))):
        if name in BY_BUILDER:
            return list(BY_BUILDER[name].items())
    return []

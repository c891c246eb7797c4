"""torchvision's detection dicts, as its models take them for targets and give them as results."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..errors import InputError
from ..instances import Instances
from ..labels import Labels
from ..masks import Masks


def to_torchvision(instances: Instances) -> dict[str, Any]:
    """boxes (N, 4) float32, labels (N,) int64 from 1 (0 is background), scores (N,), masks (N, H, W) uint8.

    Example:
        >>> to_torchvision(Instances((4, 4), boxes=[[0, 0, 2, 4]]))["labels"]
        tensor([1])
    """
    result = {
        "boxes": torch.from_numpy(instances.boxes.copy()),
        "labels": torch.from_numpy(instances.labels + 1),
        "scores": torch.from_numpy(instances.scores.copy()),
    }
    if instances.masks is not None:
        result["masks"] = torch.from_numpy(instances.masks.dense().view(np.uint8))
    return result


def from_torchvision(
    target: dict[str, Any], size: tuple[int, int] | None = None, classes: Labels | None = None
) -> Instances:
    """Instances of a target or a result.

    Args:
        target: boxes, labels (from 1), and where known scores and masks: (N, H, W) of 0 and 1, or
            (N, 1, H, W) probabilities, cut above 0.5.
        size: (height, width) of the image; needed where there are no masks.
        classes: the class names without background.

    Raises:
        InputError: keys or the size are missing, or a label is background.
    """
    missing = [k for k in ("boxes", "labels") if k not in target]
    if missing:
        raise InputError(f"from_torchvision: expected the keys boxes and labels, got no {missing[0]}; add it")
    labels = _array(target["labels"]).astype(np.int64)
    if (labels < 1).any():
        raise InputError("from_torchvision: expected labels from 1 on, got 0 or less; 0 is background there")
    masks = None
    if "masks" in target:
        soft = _array(target["masks"])
        soft = soft[:, 0] if soft.ndim == 4 else soft
        size = size or (int(soft.shape[-2]), int(soft.shape[-1]))
        masks = _cut(soft, size)
    if size is None:
        raise InputError("from_torchvision: expected masks or a size, got neither; give size=(height, width)")
    return Instances(
        size,
        boxes=_array(target["boxes"]),
        labels=labels - 1,
        scores=_array(target["scores"]) if "scores" in target else None,  # type: ignore[arg-type]
        masks=masks,
        classes=classes,  # type: ignore[arg-type]
    )


def _cut(soft: Any, size: tuple[int, int]) -> Masks:
    """(N, H, W) probabilities or 0 and 1 to masks, a few at a time."""
    if not len(soft):
        return Masks.empty(size)
    return Masks.concatenate([Masks.from_dense(soft[i : i + 8] > 0.5) for i in range(0, len(soft), 8)])


def _array(values: Any) -> Any:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)

"""supervision's ``Detections`` (https://supervision.roboflow.com)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError, MissingDependencyError
from ..instances import Instances
from ..labels import Labels
from ..masks import Masks


def to_supervision(instances: Instances) -> Any:
    """``supervision.Detections`` with dense masks; crowd flags and annotated areas are left out.

    Raises:
        MissingDependencyError: supervision is not installed.
    """
    try:
        import supervision
    except ImportError as error:
        raise MissingDependencyError(
            "to_supervision: expected the package supervision, got none installed; pip install supervision"
        ) from error
    return supervision.Detections(
        xyxy=instances.boxes.copy(),
        mask=None if instances.masks is None else instances.masks.dense(),
        confidence=instances.scores.copy(),
        class_id=instances.labels.copy(),
        tracker_id=None if instances.ids is None else instances.ids.copy(),
        data={"class_name": np.array(instances.names, dtype=str)},
    )


def from_supervision(detections: Any, size: tuple[int, int], classes: Labels | None = None) -> Instances:
    """Instances of ``supervision.Detections``, with dense or compact masks.

    Args:
        detections: the detections of one image.
        size: (height, width) of the image.
        classes: the class names; default those in ``data["class_name"]``, else ``class 0`` and so on.

    Raises:
        InputError: what is given is not ``Detections``, or does not fit ``size`` or ``classes``.
    """
    if not hasattr(detections, "xyxy") or not hasattr(detections, "class_id"):
        raise InputError(
            f"from_supervision: expected supervision.Detections, got {type(detections).__name__}"
        )
    labels = detections.class_id
    return Instances(
        size,
        boxes=np.asarray(detections.xyxy, dtype=np.float32),
        labels=labels,
        scores=detections.confidence,
        masks=_masks(detections.mask, size),
        ids=detections.tracker_id,
        classes=_classes(detections) if classes is None else classes,  # type: ignore[arg-type]
    )


def _masks(mask: Any, size: tuple[int, int]) -> Masks | None:
    if mask is None:
        return None
    if isinstance(mask, np.ndarray):
        return Masks.from_dense(mask) if len(mask) else Masks.empty(size)
    crops = [np.asarray(mask.crop(i), dtype=np.bool_) for i in range(len(mask))]
    return Masks.from_crops(crops, np.asarray(mask.offsets).reshape(-1, 2), size)


def _classes(detections: Any) -> Labels | None:
    """Names by class index as the detections carry them; None where they carry none."""
    names = detections.data.get("class_name") if detections.data else None
    if names is None or detections.class_id is None or not len(detections.class_id):
        return None
    known = dict(zip(detections.class_id.tolist(), map(str, names), strict=True))
    return Labels(tuple(known.get(i, f"class {i}") for i in range(max(known) + 1)))

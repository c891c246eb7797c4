"""From an image to the class of every pixel, or to segments that do not overlap."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

from delineate.core.batch import Batch, collate
from delineate.core.errors import InputError
from delineate.core.panoptic import Panoptic
from delineate.core.semantic import Semantic
from delineate.models.base import Segmenter
from delineate.runtime.session import Session

from .predict import check_settings


def semantic(model: Segmenter, image: NDArray[Any]) -> Semantic:
    """The class of every pixel of one image. The image is seen whole, never in tiles.

    Args:
        model: of a family that says something of every pixel.
        image: (H, W) or (H, W, 3) uint8, uint16 or float32.

    Raises:
        InputError: a model of another family, or not an image.
    """
    outputs, batch = _outputs(model, image, "semantic")
    return model.semantic(outputs, batch)[0]


def panoptic(
    model: Segmenter, image: NDArray[Any], *, confidence: float | None = None, visible: float | None = None
) -> Panoptic:
    """The segments of one image, things and stuff. The image is seen whole, never in tiles.

    Args:
        model: of a family that says something of every pixel.
        image: (H, W) or (H, W, 3) uint8, uint16 or float32.
        confidence: what is surer takes part, 0..1; None is the family's default.
        visible: leave out what wins less than this part of its own mask, 0..1; None: the default.

    Raises:
        InputError: a model of another family, a setting out of range, or not an image.
    """
    check_settings(confidence)
    if visible is not None and not 0 <= visible <= 1:
        raise InputError(f"panoptic, visible: expected a number in 0..1, got {visible}; give for example 0.5")
    outputs, batch = _outputs(model, image, "panoptic")
    return model.panoptic(outputs, batch, confidence=confidence, visible=visible)[0]


def _outputs(model: Segmenter, image: NDArray[Any], task: str) -> tuple[Any, Batch]:
    if task not in model.tasks:
        raise model.without(task)
    where = next((p.device for p in model.parameters()), "cpu")
    batch = collate([image], model.input).to(where)
    if isinstance(model, Session):  # of one size: padded to it
        (batch,) = model.batches(batch)
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            return model(batch.images), batch
    finally:
        model.train(training)

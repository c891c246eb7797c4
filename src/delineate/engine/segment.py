"""From an image to the class of every pixel, or to segments that do not overlap."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.image_model import ImageModel
from delineate.core.panoptic import Panoptic
from delineate.core.semantic import Semantic

from .predict import check_settings


def semantic(model: ImageModel, image: NDArray[Any]) -> Semantic:
    """The class of every pixel of one image. The image is seen whole, never in tiles.

    Args:
        model: of a family that says something of every pixel.
        image: (H, W) or (H, W, 3) uint8, uint16 or float32.

    Raises:
        InputError: a model of another family, or not an image.
    """
    return model.find_semantic([image])[0]


def panoptic(
    model: ImageModel, image: NDArray[Any], *, confidence: float | None = None, visible: float | None = None
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
    return model.find_panoptic([image], confidence=confidence, visible=visible)[0]

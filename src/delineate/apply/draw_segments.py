"""Pictures of panoptic and semantic results: things outlined, stuff as washes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from delineate.core.errors import InputError
from delineate.core.panoptic import Panoptic
from delineate.core.semantic import Semantic

from .draw import display, overlay

STUFF_WASH = 0.45  # how much of its class's colour lies over stuff

Pixels = NDArray[np.uint8]


def panoptic_overlay(panoptic: Panoptic, image: ArrayLike | None = None) -> Image.Image:
    """Segments drawn on the image: stuff as a wash in its class's colour, things outlined over it.

    Void stays as it is.

    Args:
        panoptic: S segments.
        image: (H, W) or (H, W, C) of any number type; None draws on black.

    Returns:
        A PIL RGB image of the same size.

    Raises:
        InputError: an image of another size.
    """
    canvas = _canvas(panoptic.size, image)
    stuff = np.where(panoptic.things, -1, panoptic.labels)
    table = np.concatenate([[-1], stuff])
    _wash(canvas, table[panoptic.map], panoptic.classes.colors)
    return overlay(panoptic.to_instances(), canvas)


def semantic_overlay(semantic: Semantic, image: ArrayLike | None = None) -> Image.Image:
    """Every pixel washed in its class's colour, void as it is; arguments as :func:`panoptic_overlay`."""
    canvas = _canvas(semantic.size, image)
    _wash(canvas, semantic.map, semantic.classes.colors)
    return Image.fromarray(canvas)


def _canvas(size: tuple[int, int], image: ArrayLike | None) -> Pixels:
    canvas = np.zeros((*size, 3), np.uint8) if image is None else display(image)
    if canvas.shape[:2] != size:
        raise InputError(
            f"overlay: expected the image of the segments, {size[0]} x {size[1]}, "
            f"got {canvas.shape[0]} x {canvas.shape[1]}; give the one they were found in"
        )
    return canvas


def _wash(canvas: Pixels, classes: NDArray[np.int16] | NDArray[np.int64], tints: Pixels) -> None:
    """Lay the colour of its class over every pixel of (H, W) ``classes`` that is not below 0."""
    inside = classes >= 0
    under = canvas[inside].astype(np.float32) * np.float32(1 - STUFF_WASH)
    canvas[inside] = np.rint(under + tints[classes[inside]] * np.float32(STUFF_WASH)).astype(np.uint8)

"""From an image to its objects: any model, any image size."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from delineate.core.batch import InputSpec, collate, to_rgb_float
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.models.base import Segmenter

from .tile import predict_tiled

log = logging.getLogger("delineate")

Progress = Callable[[int, int], object]
DEFAULT_OVERLAP = 128
SMALLEST_TILE = 32


def predict(
    predictor: Segmenter | Callable[[NDArray[Any]], Instances],
    image: NDArray[Any],
    *,
    confidence: float | None = None,
    iou: float | None = None,
    max_det: int | None = None,
    tile: int | str = "auto",
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> Instances:
    """Find the objects of one image.

    Args:
        predictor: a model, or any callable from image to :class:`Instances` (which takes no settings but
            ``tile`` and ``max_det``).
        image: (H, W) or (H, W, 3) uint8, uint16 or float32.
        confidence: keep scores above it, 0..1; None is the model's default.
        iou: suppression threshold, 0..1; None is the model's default.
        max_det: at most so many objects, the best; a cut is logged as a warning. None is the model's default
            (in each tile, where there are tiles).
        tile: ``"auto"`` cuts images larger than the model's own tile, 0 never, N in windows of N pixels.
        device: where to compute; None is where the model's weights lie.
        progress: called with (tiles done, tiles in all).

    Returns:
        N objects in the pixels of ``image``.

    Raises:
        InputError: a setting out of range, or an image that is not one.
    """
    check_settings(confidence, iou, max_det, tile)
    model = predictor if isinstance(predictor, Segmenter) else None
    side = _tile_side(model, image, tile)
    if model is not None:
        spec = model.input
        if side:
            image, spec = _leveled(image, spec)
        call = _runner(model, spec, device, confidence=confidence, iou=iou, max_det=max_det)
    elif callable(predictor):
        call = predictor
    else:
        raise InputError(
            f"predict: expected a model or a callable, got {type(predictor).__name__}; load one by its name"
        )
    if not side:
        return _at_most(call(image), max_det)
    overlap = min(model.input.overlap if model is not None else DEFAULT_OVERLAP, side // 2)
    return _at_most(predict_tiled(call, image, side, overlap, progress), max_det)


def check_settings(
    confidence: float | None = None,
    iou: float | None = None,
    max_det: int | None = None,
    tile: int | str = "auto",
) -> None:
    """Refuse settings of :func:`predict` that are out of range.

    Raises:
        InputError: one of them is.
    """
    for name, value in (("confidence", confidence), ("iou", iou)):
        if value is not None and not 0 <= value <= 1:
            raise InputError(f"predict, {name}: expected a number in 0..1, got {value}; give for example 0.5")
    if max_det is not None and max_det < 1:
        raise InputError(f"predict, max_det: expected 1 or more, got {max_det}; leave it out for the default")
    if tile != "auto" and not (isinstance(tile, int) and (tile == 0 or tile >= SMALLEST_TILE)):
        raise InputError(
            f"predict, tile: expected 'auto', 0 or {SMALLEST_TILE} and more pixels, got {tile!r}; use 'auto'"
        )


def _tile_side(model: Segmenter | None, image: NDArray[Any], tile: int | str) -> int:
    """Side of the windows in pixels; 0 where the image is seen whole."""
    own = (model.input.tile or 0) if model is not None else 0
    side = own if tile == "auto" else int(tile)
    return side if max(image.shape[:2]) > side else 0


def _leveled(image: NDArray[Any], spec: InputSpec) -> tuple[NDArray[Any], InputSpec]:
    """The image in 8 bits by its own brightness window, so that every tile is scaled as the whole is."""
    if spec.scaling == "range" and image.dtype == np.uint8:
        return image, spec
    scaled = to_rgb_float(image, spec.scaling)
    if image.ndim == 2:
        scaled = scaled[:, :, 0]
    return np.rint(scaled * np.float32(255)).astype(np.uint8), replace(spec, scaling="range")


def _runner(
    model: Segmenter, spec: InputSpec, device: torch.device | str | None, **limits: Any
) -> Callable[[NDArray[Any]], Instances]:
    """A function from one window to its objects."""
    where = device if device is not None else next((p.device for p in model.parameters()), "cpu")
    if device is not None:
        model.to(device)

    def run(window: NDArray[Any]) -> Instances:
        training = model.training
        model.eval()
        try:
            return model.detect(collate([window], spec).to(where), **limits)[0]
        finally:
            model.train(training)

    return run


def _at_most(found: Instances, max_det: int | None) -> Instances:
    if max_det is None or len(found) <= max_det:
        return found
    log.warning("kept the %d best of %d objects; raise max_det to keep all", max_det, len(found))
    return found[np.argsort(-found.scores, kind="stable")[:max_det]]

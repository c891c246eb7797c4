"""From an image to its objects: any model, any image size."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.image_model import ImageModel
from delineate.core.input_spec import Brightness, brightness_of
from delineate.core.instances import Instances

from .tile import predict_tiled

if TYPE_CHECKING:
    import torch

log = logging.getLogger("delineate")

Progress = Callable[[int, int], object]
DEFAULT_OVERLAP = 128
SMALLEST_TILE = 32
USUAL = 64
"""Objects up to so many pixels across are promised to be the same in tiles as in the whole image."""


def predict(
    predictor: ImageModel | Callable[[NDArray[Any]], Instances],
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
    model = predictor if isinstance(predictor, ImageModel) else None
    tiles = tiling(model, image.shape[:2], tile)
    if model is not None:
        brightness = brightness_of(image, model.input.scaling) if tiles and image.size else None
        call = runner(model, brightness, device, confidence=confidence, iou=iou, max_det=max_det)
    elif callable(predictor):
        call = predictor
    else:
        raise InputError(
            f"predict: expected a model or a callable, got {type(predictor).__name__}; load one by its name"
        )
    if tiles is None:
        return _at_most(call(image), max_det)
    return _at_most(predict_tiled(call, image, tiles.side, tiles.overlap, progress, tiles.align), max_det)


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


class Tiling(NamedTuple):
    """How an image is cut into windows; arguments of :func:`delineate.engine.tile.predict_tiled`.

    Attributes:
        side: of a window, in pixels.
        overlap: pixels that neighbours share at least.
        align: windows begin at multiples of it.
    """

    side: int
    overlap: int
    align: int


def tiling(model: ImageModel | None, size: tuple[int, ...], tile: int | str = "auto") -> Tiling | None:
    """How :func:`predict` cuts an image of ``size`` (height, width); None where it is seen whole."""
    side = tile_of(model) if tile == "auto" else int(tile)
    if not side or max(size) <= side:
        return None
    return Tiling(side, min(overlap_of(model), side // 2), alignment(model))


def tile_of(model: ImageModel | None) -> int:
    """Side of the windows where none is given; 0: never any.

    At least four times what neighbours share, so that most of a window is not looked at twice.
    """
    if model is None or not model.input.tile:
        return 0
    return max(model.input.tile, 4 * overlap_of(model)) if model.context is not None else model.input.tile


def overlap_of(model: ImageModel | None) -> int:
    """Pixels that neighbouring windows share.

    Where the model tells its context, an object of up to :data:`USUAL` pixels lies at least that far from
    the borders of one of the windows, wherever it is: it is seen there exactly as in the whole image.
    """
    if model is None:
        return DEFAULT_OVERLAP
    if model.context is None:
        return model.input.overlap
    wanted = 2 * model.context + USUAL
    return max(model.input.overlap, -(-wanted // model.input.divisor) * model.input.divisor)


def alignment(model: ImageModel | None) -> int:
    """Windows begin at multiples of so many pixels: the network's strides fall as in the whole image."""
    if model is None:
        return 1
    own_size = model.input.shortest_edge is None and model.input.stretch is None
    return model.input.divisor if own_size else 1


def runner(
    model: ImageModel, brightness: Brightness | None, device: torch.device | str | None, **limits: Any
) -> Callable[[NDArray[Any]], Instances]:
    """A function from one window to its objects.

    Args:
        model: what finds them.
        brightness: of the whole image, as :func:`delineate.core.batch.brightness_of` tells it; None takes
            each window's own.
        device: where to compute; None is where the weights lie.
        limits: ``confidence``, ``iou`` and ``max_det``.
    """
    if device is not None:
        model.move(device)
    return lambda window: model.find_instances([window], brightness=brightness, **limits)[0]


def _at_most(found: Instances, max_det: int | None) -> Instances:
    if max_det is None or len(found) <= max_det:
        return found
    log.warning("kept the %d best of %d objects; raise max_det to keep all", max_det, len(found))
    return found[np.argsort(-found.scores, kind="stable")[:max_det]]

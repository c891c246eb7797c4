"""Prediction and truth of every pixel, image by image, for panoptic quality, mean IoU and their like."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic
from delineate.core.semantic import VOID, Semantic

from .evaluation_inputs import Truth, index_of_classes
from .stored import ImageEntry, Predictions

WHOLE_METRICS = ("panoptic", "semantic")
"""What can be known of every pixel, as a registry entry ``needs`` it."""


@dataclass(frozen=True)
class Pair:
    """Prediction and truth of one image, in one frame and one list of classes."""

    pred: Any
    truth: Any


class WholeImages:
    """Who predicts, and what is true.

    Args:
        truth: the dataset.
        predictor: a model, a callable to :class:`Panoptic` or :class:`Semantic`, or stored predictions.
        needs: what metrics need; other names than :data:`WHOLE_METRICS` are passed over.
        confidence: passed on to a model's panoptic results; None leaves it its default.

    Raises:
        InputError: the dataset has objects alone, or the predictor cannot say anything of every pixel.
    """

    def __init__(
        self, truth: Truth, predictor: Any, needs: Collection[str], confidence: float | None
    ) -> None:
        self.truth, self.needs = truth, [name for name in WHOLE_METRICS if name in needs]
        self.predictor = predictor
        self.foreign = 0
        if self.needs:
            truth.check_segments(self.needs)
        self.calls: dict[str, Callable[[Any], Any]] = {}
        for name in self.needs:
            if isinstance(predictor, Predictions):
                predictor.check(name)
            else:
                self.calls[name] = _caller(predictor, name, confidence)

    def pairs(self, index: int, entry: ImageEntry) -> dict[str, Pair]:
        """Prediction and truth of an image for each need, checked.

        Raises:
            InputError: sizes differ, no class in common, or either side cannot be read.
        """
        pairs = {}
        for name in self.needs:
            true = self.truth.panoptic(index) if name == "panoptic" else self.truth.semantic(index)
            found = self._found(name, index, entry)
            if found.size != true.size:
                raise InputError(
                    f"expected a prediction of {true.size} pixels (height, width), got {found.size}; "
                    "predict on the original image"
                )
            pairs[name] = Pair(found, true)
        return pairs

    def _found(self, name: str, index: int, entry: ImageEntry) -> Panoptic | Semantic:
        if isinstance(self.predictor, Predictions):
            found: Any = getattr(self.predictor, name)(entry)
        else:
            found = self.calls[name](self.truth.image(index))
        if name == "panoptic":
            result, lost = segments_in_classes(_checked(found, Panoptic), self.truth.classes)
            self.foreign += lost
            return result
        if isinstance(found, Panoptic):
            found = found.to_semantic()
        return pixels_in_classes(_checked(found, Semantic), self.truth.classes)


def segments_in_classes(found: Panoptic, classes: Labels) -> tuple[Panoptic, int]:
    """Segments with the indices of ``classes``, matched by name, and how many had no such class.

    Segments of other classes become void.

    Raises:
        InputError: no class in common.

    Example:
        >>> found = Panoptic([[1, 2]], labels=[0, 1], classes=Labels(("cat", "sky")))
        >>> kept, lost = segments_in_classes(found, Labels(("sky",)))
        >>> kept.map.tolist(), kept.names, lost
        ([[0, 1]], ['sky'], 1)
    """
    if found.classes == classes:
        return found, 0
    labels = index_of_classes(found.classes, classes)[found.labels]
    known = labels >= 0
    number = np.where(known, np.cumsum(known), 0)
    moved = Panoptic(
        np.concatenate([[0], number]).astype(np.int32)[found.map],
        labels=labels[known],
        scores=found.scores[known],
        crowd=found.crowd[known],
        ids=found.ids[known],
        classes=classes,
    )
    return moved, int((~known).sum())


def pixels_in_classes(found: Semantic, classes: Labels) -> Semantic:
    """The same with the indices of ``classes``, matched by name; pixels of other classes become void.

    Raises:
        InputError: no class in common.
    """
    if found.classes == classes:
        return found
    table: NDArray[np.int64] = np.append(index_of_classes(found.classes, classes), VOID)
    return Semantic(table.astype(np.int16)[found.map], classes)


def _checked(found: Any, kind: type[Any]) -> Any:
    if not isinstance(found, kind):
        raise InputError(
            f"predictor: expected {kind.__name__}, got {type(found).__name__}; return delineate's own types"
        )
    return found


def _caller(predictor: Any, name: str, confidence: float | None) -> Callable[[Any], Any]:
    """A function from image to the results of one task."""
    settings = {} if confidence is None or name == "semantic" else {"confidence": confidence}
    network = getattr(predictor, "segmenter", predictor)
    if hasattr(network, "losses") and name not in network.tasks:
        raise network.without(name)
    if hasattr(predictor, "predict") and hasattr(predictor, name):
        return lambda image: getattr(predictor, name)(image, **settings)
    if hasattr(predictor, "losses"):
        from . import segment

        return lambda image: getattr(segment, name)(predictor, image, **settings)
    if not callable(predictor):
        raise InputError(
            f"predictor: expected a model, a callable, predictions or a path to them, got "
            f"{type(predictor).__name__}; load a model with delineate.load"
        )
    call: Callable[[Any], Any] = predictor
    return call

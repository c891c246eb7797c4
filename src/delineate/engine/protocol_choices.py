"""Choices of a protocol that tools make differently, as text: ``max_det=1000,crowd=counted``.

Two tools that score the same predictions on the same truth differ by such choices. Each may be set for an
evaluation, so that another tool's number can be reproduced and the difference explained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from delineate.core.errors import InputError
from delineate.core.instances import Instances

from .evaluation_inputs import Truth

_WORDS = {
    "crowd": ("ignored", "counted"),
    "truth_area": ("annotated", "mask"),
    "detection_area": ("mask", "box"),
}


@dataclass(frozen=True)
class Choices:
    """Choices; None leaves the usual one.

    Attributes:
        max_det: detections scored of a class in an image.
        confidence: score from which detections are taken in every metric.
        crowd: ``"ignored"``: what lies in a crowd region is neither right nor wrong; ``"counted"``: crowd
            regions are left out of the truth, so what lies there is wrong.
        truth_area: the area that puts a true object into a size class, ``"annotated"`` or that of its
            ``"mask"``.
        detection_area: the area that puts a detected mask into a size class, that of its ``"mask"`` or of its
            ``"box"`` (pycocotools takes the latter where results carry a bbox).
    """

    max_det: int | None = None
    confidence: float | None = None
    crowd: str | None = None
    truth_area: str | None = None
    detection_area: str | None = None

    @classmethod
    def parse(cls, text: str) -> Choices:
        """Of ``name=value`` pairs, by commas.

        Raises:
            InputError: a name or value that is none of those above.

        Example:
            >>> Choices.parse("max_det=1000, crowd=counted")
            Choices(max_det=1000, confidence=None, crowd='counted', truth_area=None, detection_area=None)
        """
        given: dict[str, Any] = {}
        for pair in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = (part.strip() for part in pair.partition("="))
            given[name] = _value(name, value)
        return cls(**given)

    def __bool__(self) -> bool:
        return any(value is not None for value in self.told.values())

    @property
    def told(self) -> dict[str, Any]:
        """Those that were made."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

    def with_limits(self, confidence: float | None, max_det: int | None) -> Choices:
        """The same with these two, where they are given."""
        return replace(
            self,
            confidence=self.confidence if confidence is None else confidence,
            max_det=self.max_det if max_det is None else max_det,
        )

    @property
    def changes_truth(self) -> bool:
        """Whether the truth is not taken as it is."""
        return self.crowd == "counted" or self.truth_area == "mask"

    def of_truth(self, truth: Truth) -> Truth:
        """The truth as these choices see it."""
        return ChosenTruth(truth.samples, truth.classes, truth.groups, self) if self.changes_truth else truth

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.told.items()) or "as usual"


@dataclass(frozen=True)
class ChosenTruth(Truth):
    """A dataset's truth without crowd regions, or without annotated areas."""

    choices: Choices = Choices()

    def truth(self, index: int) -> Instances:
        """The true objects of an image, as chosen."""
        found = super().truth(index)
        if self.choices.crowd == "counted":
            found = found[~found.crowd]
        return found.replace(areas=None) if self.choices.truth_area == "mask" else found

    def exact_boxes(self, index: int) -> list[list[float] | None]:
        """Boxes as annotated, of the objects that are left."""
        boxes = super().exact_boxes(index)
        if boxes and self.choices.crowd == "counted":
            kept = np.flatnonzero(~super().truth(index).crowd).tolist()
            return [boxes[k] for k in kept]
        return boxes


def _value(name: str, value: str) -> Any:
    numbers: dict[str, Callable[[str], float]] = {"max_det": int, "confidence": float}
    if name in _WORDS and value in _WORDS[name]:
        return value
    if name in numbers:
        try:
            return numbers[name](value)
        except ValueError:
            pass
    known = "max_det=NUMBER, confidence=0..1, " + ", ".join(f"{n}={'|'.join(w)}" for n, w in _WORDS.items())
    raise InputError(f"protocol: expected some of {known}, by commas, got {name}={value}; choose from these")

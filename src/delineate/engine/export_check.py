"""Whether an exported model scores as its model does, on data with truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from delineate.core.errors import InputError
from delineate.core.image_model import ImageModel

from .evaluate import evaluate

LOST = {"fp32": 1e-3, "fp16": 0.005, "int8": 0.02}
"""How much AP an export may lose, by precision, where nothing else is said; 0..1."""
SHOWN = ("mask/AP", "mask/AP50", "mask/AP75", "box/AP", "box/AP50", "semantic/mIoU")


@dataclass(frozen=True)
class Scores:
    """Scores of a model and of its export on the same images.

    Attributes:
        images: how many were scored.
        model: by name, such as ``mask/AP``, 0..1.
        export: likewise.
    """

    images: int
    model: Mapping[str, float]
    export: Mapping[str, float]

    @property
    def lost(self) -> float:
        """The largest loss of AP (of masks where there are any) or of mIoU, 0..1; below 0 where it gained."""
        return self.model[self.first] - self.export[self.first]

    @property
    def first(self) -> str:
        """The score that counts.

        Raises:
            InputError: none is there.
        """
        found = next((name for name in ("mask/AP", "semantic/mIoU", "box/AP") if name in self.model), None)
        if found is None:
            raise InputError("verify: expected masks, boxes or classes of pixels to score, got none")
        return found

    def told(self) -> str:
        """In a few words."""
        ours, theirs = self.model[self.first], self.export[self.first]
        return f"{self.first} {ours:.4f}, exported {theirs:.4f} on {self.images} images"

    def rows(self) -> list[tuple[str, float, float]]:
        """What, the model's, the export's."""
        return [(name, self.model[name], self.export[name]) for name in SHOWN if name in self.model]

    def check(self, where: str, tolerance: float) -> None:
        """Refuse an export that loses more.

        Raises:
            InputError: it does.
        """
        if not self.lost <= tolerance:
            raise InputError(
                f"{where}: expected at most {tolerance:g} of AP to be lost, got {self.lost:.4f} on "
                f"{self.images} images; calibrate on more or other images, allow more (--tolerance), or "
                "choose another precision"
            )


def score_both(model: ImageModel, export: ImageModel, dataset: Any, progress: bool = True) -> Scores:
    """Evaluate a model and its export on the same data.

    Args:
        model: what was exported; see :class:`delineate.runtime.padded.Padded`.
        export: what runs the file.
        dataset: with truth, as :func:`delineate.evaluate` takes it.
        progress: show a bar on a terminal.

    Raises:
        InputError: nothing could be scored.
    """
    metrics = ["coco"] if "instance" in model.tasks else ["semantic"]
    reports = [evaluate(each, dataset, metrics=metrics, progress=progress) for each in (model, export)]
    named = [{k: float(v) for k, v in r.scores.items() if k in SHOWN and v == v} for r in reports]
    return Scores(reports[0].images, *named)

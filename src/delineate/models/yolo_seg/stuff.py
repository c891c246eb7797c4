"""The one-stage segmenter with a branch for stuff on the levels of its neck (Kirillov et al. 2019)."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from delineate.core.batch import Batch
from delineate.core.instances import Instances
from delineate.core.stuff import things_of

from ..whole_image import StuffBranch, WithStuff, objects_of
from .model import Chosen, Dense, YoloSeg
from .truth import truth_of


class DenseStuff(NamedTuple):
    """:class:`Dense`, and ``stuff``: (B, S + 1, h, w) logits of stuff and "other" at the finest level."""

    boxes: Tensor
    logits: Tensor
    coefficients: Tensor
    prototypes: Tensor
    stuff: Tensor


class ChosenStuff(NamedTuple):
    """:class:`Chosen`, and ``stuff`` as in :class:`DenseStuff`."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    coefficients: Tensor
    prototypes: Tensor
    stuff: Tensor


class YoloSegStuff(WithStuff, YoloSeg):
    """All three tasks from one pass.

    Args:
        stuff: levels -> scores of stuff.
        arguments: of :class:`YoloSeg`, as are the settings.
    """

    stuff: StuffBranch

    def __init__(self, *arguments: Any, stuff: StuffBranch, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.stuff = stuff

    def forward(self, images: Tensor) -> Any:
        """As :meth:`YoloSeg.forward`, with the logits of stuff."""
        levels, prototypes = self.features(images)
        found = self._detect(levels, prototypes)
        stuff = self.stuff(levels)
        return ChosenStuff(*found, stuff) if isinstance(found, Chosen) else DenseStuff(*found, stuff)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """As :meth:`YoloSeg.losses` of the things, and ``stuff``."""
        truth = truth_of(objects_of(batch))
        levels, prototypes = self.features(batch.images)
        losses = self._losses(truth, levels, prototypes)
        return losses | self.stuff.losses(levels, batch)

    def instances(self, outputs: Any, batch: Batch, **settings: Any) -> list[Instances]:
        """As :meth:`YoloSeg.instances`: things alone."""
        found = (Chosen if isinstance(outputs, ChosenStuff) else Dense)(*outputs[:-1])
        return [things_of(objects) for objects in super().instances(found, batch, **settings)]

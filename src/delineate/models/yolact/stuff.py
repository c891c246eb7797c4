"""YOLACT with a branch for stuff on its pyramid (Kirillov et al. 2019, "Panoptic FPN", section 3.1)."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from delineate.core.batch import Batch
from delineate.core.instances import Instances
from delineate.core.stuff import things_of

from ..whole_image import StuffBranch, WithStuff, objects_of
from .model import Outputs, Yolact


class OutputsStuff(NamedTuple):
    """:class:`Outputs`, and ``stuff``: (B, S + 1, h, w) logits of stuff and "other" at P3."""

    boxes: Tensor
    scores: Tensor
    coefficients: Tensor
    prototypes: Tensor
    stuff: Tensor


class YolactStuff(WithStuff, Yolact):
    """All three tasks from one pass.

    Args:
        stuff: pyramid -> scores of stuff.
        arguments: of :class:`Yolact`, as are the settings.
    """

    stuff: StuffBranch

    def __init__(self, *arguments: Any, stuff: StuffBranch, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.stuff = stuff

    def forward(self, images: Tensor) -> Any:
        """As :meth:`Yolact.forward`, with the logits of stuff."""
        raw, levels = self._raw(images)
        return OutputsStuff(*self._outputs(raw), self.stuff(levels))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """As :meth:`Yolact.losses` of the things, and ``stuff``."""
        raw, levels = self._raw(batch.images)
        losses = self._losses(objects_of(batch), raw, levels[0])
        return losses | self.stuff.losses(levels, batch)

    def instances(self, outputs: Any, batch: Batch, **settings: Any) -> list[Instances]:
        """As :meth:`Yolact.instances`: things alone."""
        found = super().instances(Outputs(*outputs[:-1]), batch, **settings)
        return [things_of(objects) for objects in found]

    def detect(self, batch: Batch, **settings: Any) -> list[Instances]:
        """As :meth:`Yolact.detect`: things alone."""
        return [things_of(objects) for objects in super().detect(batch, **settings)]

"""A network that sees what its export sees, so that the two can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from delineate.core.batch import Batch, collate
from delineate.core.image_model import ImageModel
from delineate.core.input_spec import Brightness
from delineate.core.instances import Instances
from delineate.core.semantic import Semantic
from delineate.models.base import Segmenter

if TYPE_CHECKING:
    from .session import Session


class Padded(ImageModel):
    """A network that sees images as its export sees them: padded to the graph's size, in tiles of that size.

    Alone it would pad them less, and what lies beyond an image's border differs a little.

    Args:
        model: what was exported.
        session: what runs the export.
    """

    def __init__(self, model: Segmenter, session: Session) -> None:
        self.ready, self.session = model.prepared().cpu(), session
        self.classes, self.input = session.classes, session.input
        self.settings, self.family, self.name = model.settings, model.family, session.name

    @property
    def tasks(self) -> tuple[str, ...]:
        """As the export's."""
        return self.session.tasks

    @property
    def context(self) -> int | None:
        """As the export's."""
        return self.session.context

    def find_instances(
        self,
        images: Sequence[NDArray[Any]],
        *,
        brightness: Brightness | None = None,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
    ) -> list[Instances]:
        """As :class:`ImageModel` says."""
        parts = [part for image in images for part in self._seen(image, brightness)]
        limits: dict[str, Any] = {"confidence": confidence, "iou": iou, "max_det": max_det}
        return [found for part in parts for found in self.ready.detect(part, **limits)]

    def find_semantic(self, images: Sequence[NDArray[Any]]) -> list[Semantic]:
        """As :class:`ImageModel` says."""
        parts = [part for image in images for part in self._seen(image, None)]
        with torch.inference_mode():
            return [found for part in parts for found in self.ready.semantic(self.ready(part.images), part)]

    def _seen(self, image: NDArray[Any], brightness: Brightness | None) -> list[Batch]:
        batch = collate([image], self.input, brightness=brightness)
        parts = self.session.batches(batch)
        return [
            Batch(torch.from_numpy(np.asarray(p.images)), list(p.sizes), list(p.originals)) for p in parts
        ]

"""The face every model family shows."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from delineate.core.batch import Batch, InputSpec
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic
from delineate.core.semantic import Semantic
from delineate.nn.norms import fold_norms

MODELS_FOR = {
    "semantic": ("semantic_fpn", "panoptic_fpn", "mask2former", "maskdino", "dimaskdino"),
    "instance": ("mask_rcnn", "panoptic_fpn", "yolo_seg_s", "mask2former"),
    "panoptic": ("panoptic_fpn", "mask2former", "maskdino", "dimaskdino"),
}
"""Models to choose for each task."""


class Segmenter(nn.Module):
    """A model in three steps; nothing switches its return type on ``.training``.

    Attributes:
        classes: the K class names.
        input: how images become its input tensor (resize, pad, normalise); see :class:`InputSpec`.
        settings: the keyword arguments that built it, JSON-able: ``build(**settings)`` builds it again.
        family: the builder's name in the zoo.
    """

    classes: Labels
    input: InputSpec
    settings: dict[str, Any]
    family: str

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it can do of ``instance``, ``semantic`` and ``panoptic``.

        Models of more than ``instance`` train on stuff too: their targets hold one object per class of stuff.
        """
        return ("instance",)

    @property
    def context(self) -> int | None:
        """Pixels around an object that its outline and score depend on; None: the whole image, or unknown."""
        return None

    def forward(self, images: Tensor) -> Any:
        """(B, 3, H, W) float32, normalised as ``input`` says -> raw outputs; the part that is exported."""
        raise NotImplementedError

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Named scalar losses of a batch with ``targets``; their sum is minimised."""
        raise NotImplementedError

    def instances(
        self,
        outputs: Any,
        batch: Batch,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
    ) -> list[Instances]:
        """Raw outputs -> per image its objects in the pixels of the original image. No weights inside.

        Args:
            outputs: what :meth:`forward` gave.
            batch: the batch that ``forward`` saw; it knows each image's original size.
            confidence: keep scores above it, 0..1; None is the family's default.
            iou: suppression threshold, 0..1; None is the family's default.
            max_det: at most so many per image; reaching it is warned about, never silent. None: the default.
        """
        raise NotImplementedError

    def semantic(self, outputs: Any, batch: Batch) -> list[Semantic]:
        """Raw outputs -> per image the class of every pixel of the original image. No weights inside.

        Raises:
            InputError: the family finds objects alone.
        """
        raise self.without("semantic")

    def panoptic(
        self, outputs: Any, batch: Batch, *, confidence: float | None = None, visible: float | None = None
    ) -> list[Panoptic]:
        """Raw outputs -> per image segments that do not overlap, things and stuff. No weights inside.

        Args:
            outputs: what :meth:`forward` gave.
            batch: the batch that ``forward`` saw.
            confidence: what is surer takes part, 0..1; None is the family's default.
            visible: leave out what wins less than this part of its own mask, 0..1; None: the default.

        Raises:
            InputError: the family finds objects alone.
        """
        raise self.without("panoptic")

    def without(self, task: str) -> InputError:
        """What to raise where the model has no such task."""
        does = (
            "finds objects alone" if self.tasks == ("instance",) else f"does {' and '.join(self.tasks)} alone"
        )
        return InputError(
            f"{task}: expected a model such as {', '.join(MODELS_FOR[task])}, got {self.family}, which "
            f"{does}; choose one of them, or the task {self.tasks[0]}"
        )

    def detect(
        self,
        batch: Batch,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
    ) -> list[Instances]:
        """:meth:`forward` and :meth:`instances` in one, without gradients; arguments as there.

        Families whose limits act inside the network override it.
        """
        with torch.inference_mode():
            outputs = self(batch.images)
        return self.instances(outputs, batch, confidence=confidence, iou=iou, max_det=max_det)

    def prepared(self) -> Self:
        """A copy that detects the same, faster.

        Norms are folded into convolutions; weights lie channels last in memory and have no gradients. The
        copy cannot be trained or saved as a checkpoint; keep the model for that.
        """
        ready = copy.deepcopy(self).eval()
        fold_norms(ready)
        return ready.requires_grad_(False).to(memory_format=torch.channels_last)

    def load_published(self, weights: Mapping[str, Tensor]) -> bool:
        """Take weights in the names of the original's release; False where ``weights`` are not such.

        Raises:
            CheckpointError: names or shapes of another variant.
        """
        return False

"""The face every model family shows."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from delineate.core.batch import Batch, collate
from delineate.core.image_model import ImageModel
from delineate.core.input_spec import Brightness
from delineate.core.instances import Instances
from delineate.core.panoptic import Panoptic
from delineate.core.semantic import Semantic
from delineate.nn.norms import fold_norms


class Segmenter(nn.Module, ImageModel):
    """A model in three steps; nothing switches its return type on ``.training``.

    Attributes:
        classes: the K class names.
        input: how images become its input tensor (resize, pad, normalise); see :class:`InputSpec`.
        settings: the keyword arguments that built it, JSON-able: ``build(**settings)`` builds it again.
        family: the builder's name in the zoo.
    """

    @property
    def device(self) -> torch.device:
        """Where its weights lie."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

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

    def move(self, device: torch.device | str) -> torch.device:
        """Weights to another device."""
        self.to(device)
        return self.device

    def find_instances(
        self,
        images: Sequence[NDArray[Any]],
        *,
        brightness: Brightness | None = None,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
    ) -> list[Instances]:
        """As :class:`ImageModel` says, computed where the weights lie."""
        batch = collate(images, self.input, brightness=brightness).to(self.device)
        with self._judging():
            return self.detect(batch, confidence=confidence, iou=iou, max_det=max_det)

    def find_semantic(self, images: Sequence[NDArray[Any]]) -> list[Semantic]:
        """As :class:`ImageModel` says."""
        if "semantic" not in self.tasks:
            raise self.without("semantic")
        batch = collate(images, self.input).to(self.device)
        with self._judging(), torch.inference_mode():
            return self.semantic(self(batch.images), batch)

    def find_panoptic(
        self,
        images: Sequence[NDArray[Any]],
        *,
        confidence: float | None = None,
        visible: float | None = None,
    ) -> list[Panoptic]:
        """As :class:`ImageModel` says."""
        if "panoptic" not in self.tasks:
            raise self.without("panoptic")
        batch = collate(images, self.input).to(self.device)
        with self._judging(), torch.inference_mode():
            return self.panoptic(self(batch.images), batch, confidence=confidence, visible=visible)

    @contextlib.contextmanager
    def _judging(self) -> Iterator[None]:
        """In evaluation mode; afterwards as before."""
        training = self.training
        self.eval()
        try:
            yield
        finally:
            self.train(training)

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

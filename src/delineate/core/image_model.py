"""What finds objects in images, whatever computes it: a network, or an exported graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from numpy.typing import NDArray

from .errors import InputError
from .input_spec import Brightness, InputSpec
from .instances import Instances
from .labels import Labels
from .panoptic import Panoptic
from .semantic import Semantic

MODELS_FOR = {
    "semantic": ("semantic_fpn", "panoptic_fpn", "mask2former", "maskdino", "dimaskdino"),
    "instance": ("mask_rcnn", "panoptic_fpn", "yolo_seg_s", "mask2former"),
    "panoptic": ("panoptic_fpn", "mask2former", "maskdino", "dimaskdino"),
}
"""Models to choose for each task."""


class ImageModel:
    """The face that networks (:class:`delineate.models.base.Segmenter`) and exported graphs share.

    Images in, answers in the pixels of those images out. No tensor passes here, so that it holds where
    PyTorch is not installed.

    Attributes:
        classes: the K class names.
        input: how images become its input (resize, pad, normalise); see :class:`InputSpec`.
        settings: the keyword arguments that built it, JSON-able.
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

    def find_instances(
        self,
        images: Sequence[NDArray[Any]],
        *,
        brightness: Brightness | None = None,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
    ) -> list[Instances]:
        """The objects of each image, all seen whole.

        Args:
            images: (H, W) or (H, W, 3) each; uint8, uint16 or float32.
            brightness: of the whole image that they are parts of; None measures each image's own.
            confidence: keep scores above it, 0..1; None is the family's default.
            iou: suppression threshold, 0..1; None is the family's default.
            max_det: at most so many per image; reaching it is warned about, never silent. None: the default.

        Raises:
            InputError: what is not an image, or a family that finds no objects.
        """
        raise NotImplementedError

    def find_semantic(self, images: Sequence[NDArray[Any]]) -> list[Semantic]:
        """The class of every pixel of each image.

        Raises:
            InputError: a family that does not say it, or what is not an image.
        """
        raise NotImplementedError

    def find_panoptic(
        self,
        images: Sequence[NDArray[Any]],
        *,
        confidence: float | None = None,
        visible: float | None = None,
    ) -> list[Panoptic]:
        """Segments of each image that do not overlap, things and stuff.

        Args:
            images: as for :meth:`find_instances`.
            confidence: what is surer takes part, 0..1; None is the family's default.
            visible: leave out what wins less than this part of its own mask, 0..1; None: the default.

        Raises:
            InputError: a family that finds objects alone, or what is not an image.
        """
        raise NotImplementedError

    def move(self, device: Any) -> Any:
        """Compute on another device from now on; returns the device.

        Args:
            device: as PyTorch names it, "cpu" or "cuda"; exported graphs know "cpu" alone.

        Raises:
            InputError: a device that it cannot use.
        """
        if str(device).split(":")[0] != "cpu":
            raise InputError(f"device: expected cpu for an exported model, got {device!r}; leave it out")
        return device

    def eval(self) -> Self:
        """Out of training mode, which networks alone have."""
        return self

    def prepared(self) -> Self:
        """One that finds the same, faster; itself where there is nothing to gain."""
        return self

    def without(self, task: str) -> InputError:
        """What to raise where it has no such task."""
        does = (
            "finds objects alone" if self.tasks == ("instance",) else f"does {' and '.join(self.tasks)} alone"
        )
        return InputError(
            f"{task}: expected a model such as {', '.join(MODELS_FOR[task])}, got {self.family}, which "
            f"{does}; choose one of them, or the task {self.tasks[0]}"
        )

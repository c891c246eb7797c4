"""Whether an exported model does what its model does: the same outputs, the same objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from delineate.core.batch import collate
from delineate.core.boxes import iou as box_iou
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.models.base import Segmenter

from .session import Session

TOLERANCE = 1e-4
SAME_MASK = 0.99


@dataclass(frozen=True)
class Parity:
    """How far an exported model is from its model, over some images.

    Attributes:
        images: how many were looked at.
        outputs: the largest difference of any number the network gives, relative to the largest such number
            of the same output, or to 1 where all are smaller.
        objects: how many the model found.
        differing: objects of either that the other does not have: another number of them, another class, or
            masks (boxes, where there are no masks) whose IoU is below 0.99.
    """

    images: int
    outputs: float
    objects: int
    differing: int

    def __str__(self) -> str:
        return (
            f"{self.images} images: outputs within {self.outputs:.1e}, {self.objects} objects, "
            f"{self.differing} differ"
        )

    def check(self, where: str, tolerance: float = TOLERANCE) -> None:
        """Refuse what is too far.

        Raises:
            InputError: outputs differ by more than ``tolerance``, or objects differ.
        """
        if not self.outputs <= tolerance or self.differing:
            raise InputError(
                f"{where}: expected the model's own outputs within {tolerance:g} and the same objects, "
                f"got {self}; use the model in PyTorch"
            )


def compare(
    model: Segmenter, session: Session, images: Sequence[NDArray[Any]], confidence: float | None = None
) -> Parity:
    """The same images through both.

    Args:
        model: what was exported.
        session: what runs the export.
        images: (H, W) or (H, W, 3) each; of one larger than the export takes, its top left part.
        confidence: keep scores above it, 0..1; None is the model's default.

    Raises:
        InputError: no images.
    """
    if not images:
        raise InputError("verify: expected at least one image, got none; name a file or a folder")
    ready = model.prepared().cpu()
    largest, objects, differing = 0.0, 0, 0
    resized = session.input.shortest_edge or session.input.stretch
    for image in images:
        if not resized and not session.manifest.dynamic:  # what is larger would come in tiles
            image = image[: session.manifest.size[0], : session.manifest.size[1]]
        for batch in session.batches(collate([image], session.input)):
            with torch.inference_mode():
                wanted, given = ready(batch.images), session(batch.images)
            largest = max([largest, *(_difference(a, b) for a, b in zip(wanted, given, strict=True))])
            ours = ready.detect(batch, confidence=confidence)[0]
            theirs = session.instances(given, batch, confidence=confidence)[0]
            objects += len(ours)
            differing += _alone(ours, theirs) + _alone(theirs, ours)
    return Parity(len(images), largest, objects, differing)


def _difference(wanted: torch.Tensor, given: torch.Tensor) -> float:
    """Largest difference, relative to the largest value; infinite where shapes differ or NaN appears."""
    if wanted.shape != given.shape:
        return float("inf")
    if not wanted.numel():
        return 0.0
    scale = max(1.0, float(wanted.abs().max()))
    worst = float((wanted.double() - given.double()).abs().max()) / scale
    return worst if worst == worst else float("inf")


def _alone(some: Instances, others: Instances) -> int:
    """How many of ``some`` have no twin among ``others``."""
    if not len(some) or not len(others):
        return len(some)
    if some.masks is not None and others.masks is not None:
        iou = some.masks.iou(others.masks)
    else:
        iou = box_iou(some.boxes, others.boxes)
    same = some.labels[:, None] == others.labels
    return int((np.where(same, iou, 0).max(axis=1) < SAME_MASK).sum())

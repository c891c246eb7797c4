"""Whether an exported model does what its model does: the same outputs, the same objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from delineate.core.boxes import iou as box_iou
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.models.base import Segmenter

from .calibration import Feeds, middle
from .graphs import graph_of
from .padded import Padded

if TYPE_CHECKING:
    from .session import Session

TOLERANCE = 1e-4
SAME_MASK = 0.99
TWIN = 0.5
DENSE = (
    "network",
    "maps",
    "pixels",
)  # results whose numbers have places of their own, unlike rows of objects
AT_THE_LIMIT = 1e-3  # scores so near to the least confidence may fall to either side of it
LOST = {"fp32": 0.0, "fp16": 0.01, "int8": 0.1}
"""Part of the objects that may have no twin, by precision, where nothing else is said."""
DIFFERING = 0.005
"""Part of float32's objects that may differ: sums in another order tip a pixel, or a box at a threshold."""


@dataclass(frozen=True)
class Parity:
    """How far an exported model is from its model, over some images.

    Attributes:
        images: how many were looked at.
        outputs: the largest difference of any number the network gives, relative to the largest such number
            of the same output, or to 1 where all are smaller; None where the graph gives rows of objects,
            whose order may change.
        objects: how many the model found.
        differing: objects of either that the other does not have: another number of them, another class, or
            masks (boxes, where there are no masks) whose IoU is below 0.99. Objects whose score is within
            0.001 of the least confidence do not count.
        found: how many the export found.
        twins: objects of the model with one of the export of the same class and an IoU of 0.5 or more.
        boxes: the largest difference of a side of twins' boxes, in pixels of the image.
        masks: mean IoU of twins' masks, 0..1; of their boxes where there are no masks.
        scores: the largest difference of twins' scores.
        pixels: for models that say the class of every pixel: the part of the pixels that got another; else
            None.
    """

    images: int
    outputs: float | None
    objects: int
    differing: int
    found: int = 0
    twins: int = 0
    boxes: float = 0.0
    masks: float = 1.0
    scores: float = 0.0
    pixels: float | None = None

    @property
    def lost(self) -> float:
        """1 - F1 of the export's objects where the model's are the truth, at an IoU of 0.5; 0..1."""
        total = self.objects + self.found
        return 1 - 2 * self.twins / total if total else 0.0

    def __str__(self) -> str:
        parts = [] if self.outputs is None else [f"outputs within {self.outputs:.1e}"]
        if self.pixels is not None:
            parts.append(f"{self.pixels:.2%} of the pixels differ")
        parts.append(f"{self.objects} objects, {self.differing} differ")
        return f"{self.images} images: {', '.join(parts)}"

    def told(self, precision: str = "fp32") -> str:
        """In a few words, by what counts for a precision: with less than float32 masks always differ."""
        if precision == "fp32" or self.pixels is not None:
            return str(self)
        return f"{self.images} images: {self.lost:.2%} of {self.objects} objects without a twin"

    def rows(self) -> list[tuple[str, str]]:
        """The same as a table: what, how much."""
        rows = [("images compared", str(self.images))]
        if self.outputs is not None:
            rows.append(("largest difference of outputs", f"{self.outputs:.1e}"))
        if self.pixels is not None:
            return [*rows, ("pixels of another class", f"{self.pixels:.3%}")]
        return [
            *rows,
            ("objects of the model, of the export", f"{self.objects}, {self.found}"),
            ("objects that differ (mask IoU below 0.99)", str(self.differing)),
            ("objects without a twin (1 - F1 at IoU 0.5)", f"{self.lost:.2%}"),
            ("mean IoU of twins' masks", f"{self.masks:.4f}"),
            ("largest difference of boxes", f"{self.boxes:.2f} px"),
            ("largest difference of scores", f"{self.scores:.1e}"),
        ]

    def check(
        self,
        where: str,
        tolerance: float = TOLERANCE,
        precision: str = "fp32",
        part: float = DIFFERING,
    ) -> None:
        """Refuse what is too far.

        Args:
            where: the file, for the message.
            tolerance: for "fp32" of the outputs; else the part of the objects that may have no twin, see
                :data:`LOST`.
            precision: of the export.
            part: of the objects that may differ, for "fp32".

        Raises:
            InputError: outputs differ by more than ``tolerance``, or objects differ, or nothing was compared.
        """
        nothing = self.pixels is None and not (self.objects or self.found)
        if nothing and (precision != "fp32" or self.outputs is None):
            raise InputError(
                f"{where}: expected images in which the model finds objects, got none in {self.images}: "
                "nothing was compared; give others, or a lower --confidence"
            )
        if precision != "fp32":
            if not max(self.lost, self.pixels or 0.0) <= tolerance:
                lost = max(self.lost, self.pixels or 0.0)
                raise InputError(
                    f"{where}: expected at most {tolerance:.1%} of the model's objects to be lost, got "
                    f"{lost:.1%} ({self.told(precision)}); calibrate on more or "
                    "other images, allow more (--tolerance), or leave --half or --int8 out"
                )
            return
        far = self.outputs is not None and not self.outputs <= tolerance
        many = self.differing > part * (self.objects + self.found)
        if far or many or (self.pixels or 0.0) > tolerance:
            raise InputError(
                f"{where}: expected the model's own outputs within {tolerance:g} and at most {part:.1%} of "
                f"the objects to differ, got {self}; where all rows of the graph were taken, export more "
                "(--max-det); else allow more (--tolerance), or use the model in PyTorch"
            )


def compare(
    model: Segmenter,
    session: Session,
    images: Sequence[NDArray[Any]],
    confidence: float | None = None,
    progress: Callable[[], object] | None = None,
) -> Parity:
    """The same images through both.

    Args:
        model: what was exported.
        session: what runs the export.
        images: (H, W) or (H, W, 3) each; of one larger than the export takes, its middle.
        confidence: keep scores above it, 0..1; None is the model's default.
        progress: called after each image.

    Raises:
        InputError: no images.
    """
    if not images:
        raise InputError("verify: expected at least one image, got none; name a file or a folder")
    manifest = session.manifest
    dense = manifest.result.kind in DENSE
    graph = graph_of(model) if dense else None
    padded = Padded(model, session)
    resized = session.input.shortest_edge or session.input.stretch
    feeds = Feeds(images, manifest)
    sums, largest, pixels = _Sums(), 0.0, 0.0
    limit = manifest.result.confidence if confidence is None else confidence
    for image in images:
        if not resized and not manifest.dynamic:  # what is larger would come in tiles
            image = middle(image, manifest.size)
        if graph is not None:
            feed = [feeds.feed(image)[name] for name in manifest.inputs]
            with torch.inference_mode():
                wanted = [part.numpy() for part in graph(*map(torch.from_numpy, feed))]
            given = session.runner(*feed)
            largest = max([largest, *(_difference(a, b) for a, b in zip(wanted, given, strict=True))])
        if "instance" in session.tasks:
            ours, theirs = (
                which.find_instances([image], confidence=confidence)[0] for which in (padded, session)
            )
            sums.add(ours, theirs, limit)
        else:
            maps = [which.find_semantic([image])[0].map for which in (padded, session)]
            pixels = max(pixels, float((maps[0] != maps[1]).mean()))
        if progress is not None:
            progress()
    told = None if "instance" in session.tasks else pixels
    return sums.parity(len(images), largest if dense else None, told)


class _Sums:
    """Objects of both, image by image."""

    def __init__(self) -> None:
        self.objects = self.found = self.differing = self.twins = 0
        self.boxes = self.scores = self.ious = 0.0

    def add(self, ours: Instances, theirs: Instances, limit: float) -> None:
        """One image's objects; ``limit`` is the least confidence."""
        self.objects += len(ours)
        self.found += len(theirs)
        iou = _overlap(ours, theirs)
        self.differing += _alone(iou, ours, limit) + _alone(iou.T, theirs, limit)
        for mine, other in _pairs(iou):
            self.twins += 1
            self.ious += float(iou[mine, other])
            self.boxes = max(self.boxes, float(np.abs(ours.boxes[mine] - theirs.boxes[other]).max()))
            self.scores = max(self.scores, abs(float(ours.scores[mine]) - float(theirs.scores[other])))

    def parity(self, images: int, outputs: float | None, pixels: float | None) -> Parity:
        """What came out."""
        return Parity(
            images, outputs, self.objects, self.differing, self.found, self.twins, self.boxes,
            self.ious / self.twins if self.twins else 1.0, self.scores, pixels,
        )  # fmt: skip


def _difference(wanted: NDArray[Any], given: NDArray[Any]) -> float:
    """Largest difference, relative to the largest value; infinite where shapes differ or NaN appears."""
    if wanted.shape != given.shape:
        return float("inf")
    if not wanted.size:
        return 0.0
    scale = max(1.0, float(np.abs(wanted).max()))
    worst = float(np.abs(wanted.astype(np.float64) - given).max()) / scale
    return worst if worst == worst else float("inf")


def _overlap(some: Instances, others: Instances) -> NDArray[np.float64]:
    """(N, M) IoU of masks, or of boxes where there are no masks; 0 between classes."""
    if not len(some) or not len(others):
        return np.zeros((len(some), len(others)))
    if some.masks is not None and others.masks is not None:
        iou = some.masks.iou(others.masks)
    else:
        iou = box_iou(some.boxes, others.boxes)
    return np.where(some.labels[:, None] == others.labels, iou, 0.0)


def _alone(iou: NDArray[np.float64], some: Instances, limit: float) -> int:
    """How many of ``some`` have no twin."""
    best = iou.max(axis=1, initial=0.0)
    return int(((best < SAME_MASK) & (np.abs(some.scores - limit) > AT_THE_LIMIT)).sum())


def _pairs(iou: NDArray[np.float64]) -> list[tuple[int, int]]:
    """One to one, the most alike first."""
    mine, other = np.nonzero(iou >= TWIN)
    pairs, left, right = [], set(), set()
    for i in np.argsort(-iou[mine, other], kind="stable"):
        a, b = int(mine[i]), int(other[i])
        if a not in left and b not in right:
            left.add(a)
            right.add(b)
            pairs.append((a, b))
    return pairs

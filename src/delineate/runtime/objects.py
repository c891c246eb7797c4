"""From the rows an exported graph gives to objects in the pixels of the original image, by NumPy alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.arrays import ArrayBatch
from delineate.core.enlarge import cut_masks, to_original
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.prototypes import assemble_maps
from delineate.core.suppress import nms_boxes, nms_masks
from delineate.models.voting import Grouping, group_votes

from .manifest import Result

log = logging.getLogger("delineate")

Arrays = Mapping[str, NDArray[Any]]
RULES = {"cells": "logits", "soft_cells": "yolact"}


@dataclass(frozen=True)
class Wanted:
    """What counts as an object in this call; None is the model's own.

    Attributes:
        confidence: scores above it, 0..1.
        iou: suppression threshold, 0..1.
        max_det: at most so many an image.
    """

    confidence: float | None = None
    iou: float | None = None
    max_det: int | None = None


@dataclass(frozen=True)
class View:
    """One image of a batch.

    Attributes:
        batch: that the graph saw.
        index: of the image in it.
    """

    batch: ArrayBatch
    index: int

    @property
    def original(self) -> tuple[int, int]:
        """(height, width) of the image as given."""
        return self.batch.originals[self.index]

    @property
    def padded(self) -> tuple[int, int]:
        """(height, width) of the graph's input."""
        return int(self.batch.images.shape[2]), int(self.batch.images.shape[3])

    def region(self, grid: tuple[int, ...]) -> tuple[float, float]:
        """(height, width) in cells of a grid over the graph's input: the part that is image."""
        height, width = (
            inner * cells / whole
            for inner, cells, whole in zip(self.batch.sizes[self.index], grid, self.padded, strict=True)
        )
        return height, width

    def matrices(self, grid: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Weights from a grid over the graph's input to the original's rows and columns."""
        sizes = self.batch.sizes[self.index]
        rows, columns = (
            to_original(int(grid[axis]), self.padded[axis], sizes[axis], self.original[axis])
            for axis in (0, 1)
        )
        return rows, columns


def objects_of(result: Result, outputs: Arrays, view: View, classes: Labels, wanted: Wanted) -> Instances:
    """The objects of one image from the rows of a graph, best first.

    Args:
        result: what the outputs are; see :class:`Result` for their shapes.
        outputs: of the graph, by name.
        view: which image.
        classes: K names; stuff is no object.
        wanted: the limits of this call.
    """
    index = view.index
    scores, labels = outputs["scores"][index], outputs["labels"][index].astype(np.int64)
    limit = result.confidence if wanted.confidence is None else wanted.confidence
    _tell_wider(result, wanted, limit)
    things = np.array(classes.things, dtype=np.bool_)
    passing = (scores > limit) & (labels >= 0) & (labels < len(things))
    rows = np.flatnonzero(passing & things[np.where(passing, labels, 0)])
    if passing.all() and len(passing) and result.masks != "image":
        log.warning(
            "all %d rows of the exported graph are taken; export with a larger max_det to see more",
            len(scores),
        )
    boxes = view.batch.boxes_to_original(index, outputs["boxes"][index][rows])
    by_box = result.iou is not None and result.mask_iou is None
    if by_box and wanted.iou is not None and wanted.iou < (result.iou or 0):
        kept = np.sort(nms_boxes(boxes, scores[rows], wanted.iou, labels[rows]))
        rows, boxes = rows[kept], boxes[kept]
    if result.masks == "image":
        return _of_queries(result, outputs, view, classes, rows, boxes, limit, wanted.max_det)
    masks = _masks(result, outputs, view, rows, boxes)
    found = Instances(view.original, boxes, labels[rows], scores[rows], masks, classes=classes)
    if masks is not None and result.masks in RULES:
        found = found[found.area > 0]
    return at_most(_apart(found, result, wanted.iou), wanted.max_det)


def _tell_wider(result: Result, wanted: Wanted, limit: float) -> None:
    """A graph has forgotten what its own limits left out."""
    wider = limit < result.floor or (
        result.iou is not None and wanted.iou is not None and wanted.iou > result.iou
    )
    if wider or (wanted.max_det is not None and result.count and wanted.max_det > result.count):
        log.warning(
            "expected limits no wider than the exported graph's (confidence %g, iou %s, max_det %d), got "
            "%g, %s and %s; export it with wider ones",
            result.floor, result.iou, result.count, limit, wanted.iou, wanted.max_det,
        )  # fmt: skip


def _masks(
    result: Result, outputs: Arrays, view: View, rows: NDArray[np.intp], boxes: NDArray[np.float32]
) -> Masks | None:
    if not result.masks:
        return None
    maps = outputs["masks"][view.index]
    if "rows" in outputs:
        rows = outputs["rows"][view.index][rows]
    if result.masks == "box":
        return Masks.paste(maps[rows], boxes, view.original)
    region = view.region(maps.shape[1:])
    return assemble_maps(maps[rows], boxes, view.original, region=region, rule=RULES[result.masks])


def _apart(found: Instances, result: Result, iou: float | None) -> Instances:
    """Of objects whose masks share too much, the better ones."""
    if result.mask_iou is None or found.masks is None:
        return found
    threshold = result.mask_iou if iou is None else iou
    return found[nms_masks(found.masks, found.scores, threshold, found.labels, result.mask_measure)]


def _of_queries(
    result: Result,
    outputs: Arrays,
    view: View,
    classes: Labels,
    rows: NDArray[np.intp],
    boxes: NDArray[np.float32],
    limit: float,
    max_det: int | None,
) -> Instances:
    """Objects whose score is that of the row times the mean probability of its mask's pixels."""
    if max_det is not None:
        rows, boxes = rows[rows < max_det], boxes[rows < max_det]  # so many pairs are considered at all
    maps = outputs["masks"][view.index]
    unique, which = np.unique(outputs["rows"][view.index][rows], return_inverse=True)
    cut, sure = cut_masks(maps[unique], *view.matrices(maps.shape[1:]))
    masks = cut[which]
    found = Instances(
        view.original,
        boxes=masks.boxes if result.boxes_from_masks else boxes,
        labels=outputs["labels"][view.index][rows].astype(np.int64),
        scores=np.minimum(outputs["scores"][view.index][rows] * sure[which], 1),
        masks=masks,
        classes=classes,
    )
    found = found[(found.scores > limit) & (found.area > 0)]
    return found[np.argsort(-found.scores, kind="stable")]


def objects_of_votes(
    outputs: Arrays, view: View, classes: Labels, grouping: Grouping, wanted: Wanted
) -> Instances:
    """The objects of one image from dense maps: pixels that point at one place are one object.

    Args:
        outputs: ``classes`` (B, K, H, W) logits and ``offsets`` (B, 2, H, W) in pixels.
        view: which image.
        classes: K names.
        grouping: how votes become objects.
        wanted: the limits of this call; there is no suppression.
    """
    index = view.index
    height, width = view.batch.sizes[index]
    maps = [outputs[name][index, :, :height, :width] for name in ("classes", "offsets")]
    limit = 0.5 if wanted.confidence is None else wanted.confidence
    found = group_votes(maps[0], maps[1], classes, grouping, limit)
    if view.original != (height, width) and found.masks is not None:
        masks = view.batch.masks_to_original(index, found.masks)
        found = found.replace(size=view.original, boxes=masks.boxes, masks=masks)
        found = found[found.area > 0]
    return at_most(found, wanted.max_det)


def at_most(found: Instances, max_det: int | None) -> Instances:
    """The best so many; a cut is logged as a warning."""
    if max_det is None or len(found) <= max_det:
        return found
    log.warning("kept the %d best of %d objects; raise max_det to keep all", max_det, len(found))
    return found[np.argsort(-found.scores, kind="stable")[:max_det]]

"""A checked COCO annotation, and the truth of one image made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon

from ..records import Record


@dataclass(frozen=True, slots=True)
class Annotation:
    """One checked entry of ``annotations``.

    Attributes:
        index: where it stands in the file, for messages.
        identity: its id.
        label: class index 0..K-1.
        crowd: it stands for a group.
        box: xyxy as annotated, or None: the mask's own.
        area: as annotated, or None: the mask's own.
        segmentation: list of polygons, RLE, or None where the file has boxes only.
    """

    index: int
    identity: int
    label: int
    crowd: bool
    box: tuple[float, float, float, float] | None
    area: float | None
    segmentation: list[Any] | dict[str, Any] | None


def decode(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    """The truth of one image."""
    found: Sequence[Annotation] = record.annotation
    size = record.size
    if size is None:
        raise DatasetError(f"{record.path}: expected the image's size in the annotation, got none; add it")
    if not found:
        return Instances.empty(size, classes), ()
    masks = None if found[0].segmentation is None else _masks(found, size)
    # Where the file has no box or area, or a wrong one, the mask's own stands.
    own_boxes = masks.boxes if masks is not None else np.zeros((len(found), 4), np.float32)
    boxes = np.array([own_boxes[i] if a.box is None else a.box for i, a in enumerate(found)], np.float32)
    own_areas = masks.area if masks is not None else np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    areas = [own_areas[i] if a.area is None else a.area for i, a in enumerate(found)]
    truth = Instances(
        size,
        boxes=boxes,
        labels=np.array([a.label for a in found], np.int64),
        masks=masks,
        ids=np.array([a.identity for a in found], np.int64),
        crowd=np.array([a.crowd for a in found], np.bool_),
        areas=np.array(areas, np.float64),
        classes=classes,
    )
    return truth, ()


def outlines(record: Record, classes: Labels) -> list[list[Polygon] | None]:
    """The polygons of each object as the file has them; None for RLE and boxes."""
    found: Sequence[Annotation] = record.annotation
    return [
        [Polygon(np.reshape(flat, (-1, 2))) for flat in a.segmentation]
        if isinstance(a.segmentation, list)
        else None
        for a in found
    ]


def _masks(found: Sequence[Annotation], size: tuple[int, int]) -> Masks:
    drawn = [(i, a.segmentation) for i, a in enumerate(found) if isinstance(a.segmentation, list)]
    encoded = [(i, a.segmentation) for i, a in enumerate(found) if isinstance(a.segmentation, dict)]
    names = [f"annotations[{a.index}].segmentation" for a in found]
    parts = [
        Masks.from_polygons([polygons for _, polygons in drawn], size, [names[i] for i, _ in drawn]),
        Masks.from_rle([rle for _, rle in encoded], size, [names[i] for i, _ in encoded]),
    ]
    return Masks.concatenate(parts)[np.argsort([i for i, _ in drawn + encoded])]

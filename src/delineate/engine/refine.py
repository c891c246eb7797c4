"""A dataset's rough outlines refined image by image, by the image's edges or by a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.apply.refine import DEFAULT, LEAST, RefineSettings, refine_masks
from delineate.core.errors import DatasetError, InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.records import Dataset, Record

By = Literal["edges", "model"]
Model = Callable[[NDArray[Any]], Instances]
ALIKE = 0.5
"""From this IoU on a model's object stands for an annotated one; a refined one with less is not taken."""
MODEL_REACH = 0.25
"""The model may move an outline so far, in square roots of the object's area."""


@dataclass(frozen=True, eq=False)
class RefineReport:
    """What became of N objects.

    Attributes:
        iou: (N,) of each mask before and after.
        area: (N,) pixels before.
        after: (N,) pixels after.
        kept: objects that stay as they are, by reason.
    """

    iou: NDArray[np.float64]
    area: NDArray[np.int64]
    after: NDArray[np.int64]
    kept: dict[str, int]

    def __str__(self) -> str:
        if not len(self.iou):
            return "no objects with masks"
        moved = self.iou < 1
        change = 100 * (self.after.sum() / max(1, self.area.sum()) - 1)
        lines = [
            f"{len(self.iou)} objects, {int(moved.sum())} outlines moved",
            f"  IoU of old and new masks    mean {self.iou.mean():.3f}, least {self.iou.min():.3f}",
            f"  area of all objects         {change:+.1f} %",
        ]
        lines += [f"  {n} stay as they are: {reason}" for reason, n in sorted(self.kept.items()) if n]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain values, None where there are no objects."""
        some = len(self.iou) > 0
        return {
            "objects": len(self.iou),
            "moved": int((self.iou < 1).sum()),
            "mean_iou": float(self.iou.mean()) if some else None,
            "least_iou": float(self.iou.min()) if some else None,
            "area_before": int(self.area.sum()),
            "area_after": int(self.after.sum()),
            "kept": dict(self.kept),
        }


class Refined:
    """A dataset whose masks are refined image by image, as they are asked for.

    Args:
        data: the dataset, with images.
        settings: of the refinement by edges.
        model: gives the objects of an image; None refines by the image's edges.
    """

    def __init__(self, data: Dataset, settings: RefineSettings = DEFAULT, model: Model | None = None) -> None:
        self.settings, self.model = settings, model
        self._of = data
        self._places = {record.image_id: index for index, record in enumerate(data.records)}
        self._last: tuple[int, Instances] | None = None
        self._rows: dict[int, tuple[NDArray[np.float64], dict[str, int]]] = {}
        self.data = replace(data, decode=self._decode, outlines=None)

    def report(self) -> RefineReport:
        """What became of the objects of all images asked for so far."""
        found = [self._rows[key] for key in sorted(self._rows)]
        table = np.concatenate([np.zeros((0, 3)), *(rows for rows, _ in found)])
        reasons = {reason: sum(kept.get(reason, 0) for _, kept in found) for _, k in found for reason in k}
        return RefineReport(table[:, 0], table[:, 1].astype(np.int64), table[:, 2].astype(np.int64), reasons)

    def changes(self) -> dict[int, float]:
        """By place in the dataset the mean IoU of old and new masks, of images with a moved outline."""
        found = {}
        for identity, (rows, _) in self._rows.items():
            if len(rows) and rows[:, 0].min() < 1:
                found[self._places[identity]] = float(rows[:, 0].mean())
        return found

    def _decode(self, record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
        if self._last is None or self._last[0] != record.image_id:
            self._last = record.image_id, self._refined(self._places[record.image_id])
        return self._last[1], ()

    def _refined(self, index: int) -> Instances:
        identity = self._of.records[index].image_id
        try:
            sample = self._of[index]
        except InputError as error:  # of an image: the entry of the dataset cannot be used
            raise DatasetError(str(error)) from None
        truth = sample.truth
        if truth.masks is None or not len(truth):
            self._rows[identity] = np.zeros((0, 3)), {"a box alone": len(truth)}
            return truth
        masks = truth.masks
        kept: dict[str, int] = {}
        if self.model is None:
            new = refine_masks(sample.image, masks, self._of.drawn(index), self.settings)
        else:
            new, alone = by_model(masks, self.model(sample.image))
            kept["the model sees no such object"] = alone
        iou = _each_iou(masks, new)
        fixed = {"a crowd region": truth.crowd, "too different after it": (iou < ALIKE) & (masks.area > 0)}
        stays = np.zeros(len(masks), dtype=np.bool_)
        for reason, which in fixed.items():
            kept[reason] = int((which & ~stays).sum())
            stays |= which
        both = Masks.concatenate([new, masks])
        new = both[np.arange(len(masks)) + np.where(stays, len(masks), 0)]
        rows = [np.where(stays, 1, iou), np.asarray(masks.area), np.asarray(new.area)]
        self._rows[identity] = np.stack(rows, axis=1).astype(np.float64), kept
        return truth.replace(masks=new, boxes=new.boxes, areas=None)


def by_model(masks: Masks, found: Instances, reach: float = MODEL_REACH) -> tuple[Masks, int]:
    """Masks whose border zones are a model's: what lies deep inside stays, what lies far outside does too.

    Args:
        masks: N annotated masks.
        found: the model's objects on the same image, with masks.
        reach: half the width of the zone, in square roots of the object's area; a pixel at least.

    Returns:
        The masks, and how many have no object of the model with an IoU of 0.5 or more; these are as before.
    """
    predicted = Masks.empty(masks.size) if found.masks is None else found.masks
    i, j, shared = masks.intersection_pairs(predicted)
    iou = shared / (masks.area[i] + predicted.area[j] - shared)
    order = np.argsort(iou, kind="stable")
    best = np.full(len(masks), -1)
    best[i[order]] = np.where(iou[order] >= ALIKE, j[order], -1)
    crops, corners = [], []
    for k, other in enumerate(best.tolist()):
        crop, corner = masks.crop(k)
        if other >= 0 and np.count_nonzero(crop) >= LEAST:
            crop, corner = _border(masks, k, predicted, other, reach)
        crops.append(crop)
        corners.append(corner)
    made = Masks.from_crops(crops, np.array(corners, dtype=np.int64).reshape(-1, 2), masks.size)
    return made, int((best < 0).sum())


def _border(
    masks: Masks, k: int, predicted: Masks, other: int, reach: float
) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """The mask with the model's pixels in the zone around its outline."""
    width = max(1.0, reach * float(masks.area[k]) ** 0.5)
    boxes = np.concatenate([masks[k].boxes, predicted[other].boxes])
    low, high = boxes[:, :2].min(axis=0).astype(int) - 1, boxes[:, 2:].max(axis=0).astype(int) + 1
    window = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    old, new = masks[k].window(*window).dense()[0], predicted[other].window(*window).dense()[0]
    inner = cv2.distanceTransform(old.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    outer = cv2.distanceTransform((~old).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    zone = (inner + outer) <= width + 0.5
    return np.where(zone, new, old), (window[0], window[1])


def _each_iou(first: Masks, second: Masks) -> NDArray[np.float64]:
    """(N,) IoU of each mask with the one at its place; 1 where both are empty."""
    i, j, shared = first.intersection_pairs(second)
    same = np.zeros(len(first))
    same[i[i == j]] = shared[i == j]
    whole = np.asarray(first.area) + np.asarray(second.area) - same
    return np.divide(same, whole, out=np.ones(len(first)), where=whole > 0)

"""How much the predicted and the true objects of one image overlap, by mask or by box, pairs apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from delineate.core.boxes import area, overlapping_pairs
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks

Kind = Literal["mask", "box"]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OverlapTable:
    """The pairs of one image that overlap, sorted by (predicted, true); all others have an IoU of 0.

    Attributes:
        predicted: (P,) index of the prediction.
        true: (P,) index of the true object, crowd regions among them.
        iou: (P,) intersection over union in 0..1; of a crowd region, the part of the prediction inside it,
            as COCO has it.
    """

    predicted: Ints
    true: Ints
    iou: Floats

    @classmethod
    def of(cls, pred: Instances, truth: Instances, kind: Kind) -> OverlapTable:
        """Of the objects of one image.

        Raises:
            InputError: ``kind="mask"`` and masks are missing.
        """
        if kind == "mask":
            first, second = masks_of(pred, "prediction"), masks_of(truth, "truth")
            predicted, true, shared = first.intersection_pairs(second)
            own, others = first.area.astype(np.float64), second.area.astype(np.float64)
            inside = shared.astype(np.float64)
        else:
            a, b = pred.boxes.astype(np.float64), truth.boxes.astype(np.float64)
            predicted, true = overlapping_pairs(a, b)
            low, high = np.maximum(a[predicted], b[true]), np.minimum(a[predicted], b[true])
            inside = np.prod(np.maximum(high[:, 2:] - low[:, :2], 0), axis=1)
            own, others = np.asarray(area(a), np.float64), np.asarray(area(b), np.float64)
        whole = np.where(truth.crowd[true], own[predicted], own[predicted] + others[true] - inside)
        iou = np.divide(inside, whole, out=np.zeros(len(inside)), where=whole > 0)
        return cls(predicted, true, iou)

    def take(self, keep: NDArray[np.bool_]) -> OverlapTable:
        """Some of the pairs."""
        return OverlapTable(self.predicted[keep], self.true[keep], self.iou[keep])


def masks_of(objects: Instances, what: str) -> Masks:
    """The masks; none where there is no object.

    Raises:
        InputError: boxes only.
    """
    if objects.masks is None and len(objects):
        raise InputError(
            f"metrics: expected masks in the {what}, got boxes only; use a model that predicts masks"
        )
    return Masks.empty(objects.size) if objects.masks is None else objects.masks

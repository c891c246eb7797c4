"""What LVIS average precision reports: the thirteen numbers, each class, the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .average_precision_report import IOU_THRESHOLDS
from .federation import FREQUENCIES

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LvisReport:
    """LVIS's numbers; NaN where there is nothing to average over.

    Attributes:
        kind: ``"mask"`` or ``"box"``.
        scores: ``AP, AP50, AP75, APs, APm, APl``, ``APr, APc, APf`` (rare, common and frequent classes),
            ``AR300, ARs, ARm, ARl`` (the limit on detections stands in the name), each 0..1.
        per_class: class name -> ``AP, AP50, AP75, AR`` of the classes that have truth.
        images: number of images.
        max_det: how many detections of an image were scored.
        detection_area: what area decided a detection's size class.
        unscored: detections beyond the limit.
        unscored_images: images in which there were such.
        precision: (T, R, K, A) float64 at T IoU thresholds, R = 101 recalls, K classes in order of their ids,
            A areas (all, small, medium, large); -1 where undefined.
        recall: (T, K, A) float64.
    """

    kind: str
    scores: dict[str, float]
    per_class: dict[str, dict[str, float]]
    images: int
    max_det: int
    detection_area: str
    unscored: int
    unscored_images: int
    precision: Floats = field(repr=False)
    recall: Floats = field(repr=False)

    @classmethod
    def of(
        cls,
        precision: Floats,
        recall: Floats,
        *,
        kind: str,
        names: Sequence[str],
        frequencies: Sequence[str],
        max_det: int,
        detection_area: str,
        beyond: Sequence[int],
        images: int,
    ) -> LvisReport:
        """From the accumulated arrays, with the names and frequencies of the K classes in their order."""
        groups = {f"AP{f}": [k for k, each in enumerate(frequencies) if each == f] for f in FREQUENCIES}
        scores = {
            "AP": _mean(precision[..., 0]),
            "AP50": _mean(precision[[0], :, :, 0]),
            "AP75": _mean(precision[[5], :, :, 0]),
            **{f"AP{size}": _mean(precision[..., a]) for a, size in enumerate("sml", start=1)},
            **{name: _mean(precision[:, :, chosen, 0]) for name, chosen in groups.items()},
            f"AR{max_det}": _mean(recall[..., 0]),
            **{f"AR{size}": _mean(recall[..., a]) for a, size in enumerate("sml", start=1)},
        }
        per_class: dict[str, dict[str, float]] = {}
        for k, name in enumerate(names):
            if (precision[:, :, k, 0] > -1).any():
                key = name if name not in per_class else f"{name} ({k + 1})"
                per_class[key] = {
                    "AP": _mean(precision[:, :, k, 0]),
                    "AP50": _mean(precision[0, :, k, 0]),
                    "AP75": _mean(precision[5, :, k, 0]),
                    "AR": _mean(recall[:, k, 0]),
                }
        return cls(
            kind=kind,
            scores=scores,
            per_class=per_class,
            images=images,
            max_det=max_det,
            detection_area=detection_area,
            unscored=sum(beyond),
            unscored_images=len(beyond),
            precision=precision,
            recall=recall,
        )

    def __getitem__(self, name: str) -> float:
        return self.scores[name]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers must know, one sentence each; empty where there is nothing."""
        if not self.unscored:
            return ()
        return (
            f"{self.unscored} detections beyond the {self.max_det} of an image, in "
            f"{self.unscored_images} images, were not scored",
        )

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind the numbers, JSON-able."""
        return {
            "definition": "LVIS (lvis 0.5.3), 101-point interpolated AP of a federated dataset",
            "overlap": self.kind,
            "iou_thresholds": [round(t, 2) for t in IOU_THRESHOLDS],
            "max_det": self.max_det,
            "max_det_counted": "per image, over all classes",
            "classes_judged": "those with objects in the image or known to be absent from it",
            "not_exhaustive": "a detection of such a class is never a false positive",
            "detection_area": f"of the {self.detection_area}",
            "without_area": "truth and detections of no area are dropped",
            "crowd": "refused: LVIS has none",
        }

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, None for undefined, ready for JSON (without the curves)."""
        return {
            "kind": self.kind,
            "scores": {name: _plain(value) for name, value in self.scores.items()},
            "per_class": {
                name: {key: _plain(value) for key, value in row.items()}
                for name, row in self.per_class.items()
            },
            "images": self.images,
            "unscored": self.unscored,
            "unscored_images": self.unscored_images,
        }


def _mean(values: Floats) -> float:
    """Mean of the defined entries, as the lvis package sums them; NaN where there is none."""
    defined = values[values > -1]
    return float(np.mean(defined)) if defined.size else float("nan")


def _plain(value: float) -> float | None:
    return None if value != value else value

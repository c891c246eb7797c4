"""What Cityscapes' average precision reports: the mean, each class, the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CityscapesReport:
    """Cityscapes' numbers, 0..1; NaN where there is no true object.

    Attributes:
        scores: ``AP``, the mean over thresholds and classes, and ``AP50%``, at IoU 0.5.
        per_class: class name -> the same, and ``objects`` (those that count) and ``predictions``.
        images: number of images.
        smallest: pixels from which a true object counts.
        thresholds: the IoU thresholds.
        ap: (K, T) float64, K classes that are things at T thresholds; NaN for a class without objects.
    """

    scores: dict[str, float]
    per_class: dict[str, dict[str, float]]
    images: int
    smallest: int
    thresholds: tuple[float, ...]
    ap: Floats = field(repr=False)

    @classmethod
    def of(
        cls,
        ap: Floats,
        *,
        names: Sequence[str],
        counts: Ints,
        thresholds: Floats,
        smallest: int,
        images: int,
    ) -> CityscapesReport:
        """From AP (K, T), and the (K, 2) objects and predictions of each class."""
        per_class: dict[str, dict[str, float]] = {}
        for k, name in enumerate(names):
            per_class[name if name not in per_class else f"{name} ({k + 1})"] = {
                "AP": float(np.average(ap[k])),
                "AP50%": float(ap[k, 0]),
                "objects": int(counts[k, 0]),
                "predictions": int(counts[k, 1]),
            }
        scores = {"AP": _mean(ap), "AP50%": _mean(ap[:, [0]])}
        return cls(scores, per_class, images, smallest, tuple(thresholds.tolist()), ap)

    def __getitem__(self, name: str) -> float:
        return self.scores[name]

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind the numbers, JSON-able."""
        return {
            "definition": "Cityscapes instance AP (cityscapesscripts 2.3.0), step-wise integral",
            "iou_thresholds": [round(t, 2) for t in self.thresholds],
            "match": "IoU > threshold, within a class; the highest score of each object, others are false",
            "smallest": f"true objects below {self.smallest} pixels are ignored",
            "ignored": "predictions of which more than the threshold lies in void, in groups (crowd) of "
            "the class or on ignored objects",
            "max_det": "none",
            "mean": "over thresholds and the classes with objects",
            "distances": "not looked at (no AP50m, AP100m)",
        }

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, None for undefined, ready for JSON."""

        def plain(row: dict[str, float]) -> dict[str, float | None]:
            return {name: None if value != value else value for name, value in row.items()}

        return {
            "scores": plain(self.scores),
            "per_class": {name: plain(row) for name, row in self.per_class.items()},
            "images": self.images,
        }


def _mean(ap: Floats) -> float:
    """Mean of the defined entries; NaN where there is none."""
    return float(np.nanmean(ap)) if ap.size and not np.isnan(ap).all() else float("nan")

"""What AJI and its relatives report: the mean over images, the pooled numbers, each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
EPSILON = 1e-6
"""HoVer-Net adds it to unions before IoUs are compared (of equal ones the larger pair wins), and to TP."""


@dataclass(frozen=True, eq=False)
class ImageOverlap:
    """What is kept of one image.

    Attributes:
        aji: (intersection, union) in pixels, each true object with its best prediction.
        aji_plus: likewise, one to one.
        all_classes: (4,) matched pairs, predictions alone, true objects alone, sum of matched IoU.
        by_class: (K, 4) the same within each class.
    """

    aji: tuple[int, int]
    aji_plus: tuple[int, int]
    all_classes: Floats
    by_class: Floats

    @property
    def empty(self) -> bool:
        """Neither a true nor a predicted object."""
        return not self.all_classes[:3].any()


@dataclass(frozen=True)
class AggregatedJaccardReport:
    """Scores 0..1; NaN where there is no object in truth or prediction.

    Attributes:
        images: number of images.
        empty_images: those without an object in truth and prediction; no part of the means.
        scores: ``AJI, AJI+, PQ, DQ, SQ``, the mean over images; with ``_pooled`` the same from counts and
            pixels summed over images; and ``mPQ+``, the mean of the classes' pooled PQ, if there are several.
        per_class: class name -> pooled ``PQ, DQ, SQ``, ``tp, fp, fn``; empty where there is one class.
    """

    images: int
    empty_images: int
    scores: dict[str, float]
    per_class: dict[str, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, images: Sequence[ImageOverlap], names: Sequence[str]) -> AggregatedJaccardReport:
        """Of the images in the order of their ids."""
        each = [_quality(image.all_classes) for image in images if not image.empty]
        jaccard = [
            (image.aji[0] / image.aji[1], image.aji_plus[0] / image.aji_plus[1])
            for image in images
            if not image.empty
        ]
        means = [_mean([row[k] for row in jaccard]) for k in range(2)]
        means += [_mean([row[k] for row in each]) for k in range(3)]
        scores = dict(zip(("AJI", "AJI+", "PQ", "DQ", "SQ"), means, strict=True))
        for name in ("aji", "aji_plus"):
            shared, joint = (sum(getattr(image, name)[k] for image in images) for k in range(2))
            key = "AJI" if name == "aji" else "AJI+"
            scores[f"{key}_pooled"] = shared / joint if joint else float("nan")
        total = np.sum([image.all_classes for image in images], axis=0) if images else np.zeros(4)
        pooled = _quality(total)
        scores |= {f"{key}_pooled": value for key, value in zip(("PQ", "DQ", "SQ"), pooled, strict=True)}
        per_class: dict[str, dict[str, float]] = {}
        if len(names) > 1:
            by_class = np.sum([i.by_class for i in images], axis=0) if images else np.zeros((len(names), 4))
            per_class = _rows(by_class, names)
            scores["mPQ+"] = _mean([row["PQ"] for row in per_class.values() if row["PQ"] == row["PQ"]])
        return cls(len(images), sum(image.empty for image in images), scores, per_class)

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind the numbers, JSON-able."""
        return {
            "definition": "AJI of Kumar et al. 2017; AJI+, DQ, SQ, PQ of HoVer-Net; mPQ+ of CoNIC",
            "AJI": "each true object with the prediction of the highest IoU, which several may share",
            "AJI+": "one to one, the highest sum of IoU",
            "match": "PQ, DQ, SQ: IoU > 0.5 in float64",
            "mean": "over images, without those that have no object at all",
            "pooled": "from counts and pixels summed over images",
            "mPQ+": "pooled PQ within each class, mean over the classes that occur",
            "crowd": "left out, with the predictions of which more than half lies in a crowd region",
            "classes": "not looked at but in mPQ+",
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers must know."""
        if not self.empty_images:
            return ()
        return (
            f"{self.empty_images} images without any object, true or predicted, are no part of the means",
        )

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, None for undefined, ready for JSON."""
        plain = asdict(self)
        for row in (plain["scores"], *plain["per_class"].values()):
            row |= {name: None if value != value else value for name, value in row.items()}
        return plain


def _quality(counts: Floats) -> tuple[float, float, float]:
    """PQ, DQ, SQ of matched pairs, predictions alone, true objects alone, sum of IoU, as HoVer-Net has it."""
    tp, fp, fn, iou = (float(c) for c in counts)
    if not tp + fp + fn:
        return (float("nan"),) * 3
    dq, sq = tp / (tp + 0.5 * fp + 0.5 * fn), iou / (tp + EPSILON)
    return dq * sq, dq, sq


def _rows(by_class: Floats, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Each class's pooled numbers as CoNIC has them, with its constant in DQ too."""
    rows: dict[str, dict[str, float]] = {}
    for k, name in enumerate(names):
        tp, fp, fn, iou = (float(c) for c in by_class[k])
        there = tp + fp + fn > 0
        dq = tp / (tp + 0.5 * fp + 0.5 * fn + EPSILON) if there else float("nan")
        sq = iou / (tp + EPSILON) if there else float("nan")
        key = name if name not in rows else f"{name} ({k + 1})"
        rows[key] = {"PQ": dq * sq, "DQ": dq, "SQ": sq, "tp": int(tp), "fp": int(fp), "fn": int(fn)}
    return rows


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")

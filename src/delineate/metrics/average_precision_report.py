"""What COCO average precision reports: the twelve numbers, each class, what was not scored, the protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.labels import Labels

IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}


@dataclass(frozen=True)
class ClassTally:
    """How many objects there were, per class, and how many detections lay beyond the limit.

    Attributes:
        truths: (K,) int64 true objects, crowd regions left out.
        crowds: (K,) int64 crowd regions.
        detections: (K,) int64 detections.
        beyond: (K,) int64 detections beyond the largest max_det of their class and image.
        beyond_images: number of images with such detections.
    """

    truths: NDArray[np.int64]
    crowds: NDArray[np.int64]
    detections: NDArray[np.int64]
    beyond: NDArray[np.int64]
    beyond_images: int

    @classmethod
    def zeros(cls, count: int) -> ClassTally:
        """Of no images."""
        truths, crowds, detections, beyond = np.zeros((4, count), np.int64)
        return cls(truths, crowds, detections, beyond, 0)

    @classmethod
    def of(
        cls,
        truth: Sequence[Mapping[str, Any]],
        results: Sequence[Mapping[str, Any]],
        *,
        classes: Labels,
        max_det: int,
    ) -> ClassTally:
        """Of the COCO records of a batch of images."""
        index = {i: k for k, i in enumerate(classes.ids)}
        tally = cls.zeros(len(classes))
        for annotation in truth:
            column = tally.crowds if annotation["iscrowd"] else tally.truths
            column[index[annotation["category_id"]]] += 1
        images = set()
        for (image, category), count in Counter((r["image_id"], r["category_id"]) for r in results).items():
            tally.detections[index[category]] += count
            if count > max_det:
                tally.beyond[index[category]] += count - max_det
                images.add(image)
        return cls(tally.truths, tally.crowds, tally.detections, tally.beyond, len(images))

    def __add__(self, other: ClassTally) -> ClassTally:
        return ClassTally(
            self.truths + other.truths,
            self.crowds + other.crowds,
            self.detections + other.detections,
            self.beyond + other.beyond,
            self.beyond_images + other.beyond_images,
        )

    def take(self, order: NDArray[np.int64]) -> ClassTally:
        """The same in another order of classes."""
        return ClassTally(
            self.truths[order],
            self.crowds[order],
            self.detections[order],
            self.beyond[order],
            self.beyond_images,
        )


@dataclass(frozen=True, eq=False)
class AveragePrecisionReport:
    """COCO's numbers. ``report["AP50"]`` reads one; NaN where there is nothing to average over.

    Attributes:
        kind: ``"mask"`` or ``"box"``.
        scores: ``AP, AP50, AP75, APs, APm, APl``, ``AR1, AR10, AR100`` (one per max_det), ``ARs, ARm, ARl``,
            each 0..1.
        per_class: class name -> ``AP, AP50, AP75, AR`` at the largest max_det, and ``truths, detections``.
        images: number of images, those without objects included.
        max_dets: how many detections of a class in an image were scored.
        detection_area: what area decided a detection's size class, ``"mask"`` or ``"box"``.
        unscored: detections beyond the largest max_det.
        unscored_images: images in which there were such.
        crowds: crowd regions in the truth.
        precision: (T, R, K, A, M) float64, at T IoU thresholds, R = 101 recalls, K classes in order of
            their ids, A areas (all, small, medium, large), M max_dets; -1 where undefined.
        recall: (T, K, A, M) float64.
    """

    kind: str
    scores: dict[str, float]
    per_class: dict[str, dict[str, float]]
    images: int
    max_dets: tuple[int, ...]
    detection_area: str
    unscored: int
    unscored_images: int
    crowds: int
    precision: NDArray[np.float64] = field(repr=False)
    recall: NDArray[np.float64] = field(repr=False)

    @classmethod
    def of(
        cls,
        precision: NDArray[np.float64],
        recall: NDArray[np.float64],
        *,
        kind: str,
        names: Sequence[str],
        max_dets: tuple[int, ...],
        detection_area: str,
        images: int,
        tally: ClassTally,
    ) -> AveragePrecisionReport:
        """From the accumulated arrays, with the names of the K classes in their order."""
        per_class: dict[str, dict[str, float]] = {}
        for k, name in enumerate(names):
            per_class[_unique(name, per_class)] = {
                "AP": _mean(precision[:, :, k, 0, -1]),
                "AP50": _mean(precision[0, :, k, 0, -1]),
                "AP75": _mean(precision[5, :, k, 0, -1]),
                "AR": _mean(recall[:, k, 0, -1]),
                "truths": int(tally.truths[k]),
                "detections": int(tally.detections[k]),
            }
        return cls(
            kind=kind,
            scores=_summary(precision, recall, max_dets),
            per_class=per_class,
            images=images,
            max_dets=max_dets,
            detection_area=detection_area,
            unscored=int(tally.beyond.sum()),
            unscored_images=tally.beyond_images,
            crowds=int(tally.crowds.sum()),
            precision=precision,
            recall=recall,
        )

    def __getitem__(self, name: str) -> float:
        return self.scores[name]

    @property
    def stats(self) -> NDArray[np.float64]:
        """In pycocotools' order, -1 where undefined: its ``COCOeval.stats`` for three max_dets."""
        values = np.array(list(self.scores.values()))
        return np.where(np.isnan(values), -1.0, values)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers must know, one sentence each; empty where there is nothing."""
        if not self.unscored:
            return ()
        return (
            f"{self.unscored} detections beyond max_det={self.max_dets[-1]} per class "
            f"in {self.unscored_images} images were not scored; raise max_det to score them",
        )

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind the numbers, JSON-able."""
        return {
            "definition": "COCO (pycocotools 2.0.11), 101-point interpolated AP",
            "overlap": self.kind,
            "iou_thresholds": [round(t, 2) for t in IOU_THRESHOLDS],
            "max_dets": list(self.max_dets),
            "max_dets_counted": "per image and class",
            "AP_at": f"max_det={self.max_dets[-1]}",
            "area_ranges": {name: list(limits) for name, limits in AREAS.items()},
            "truth_area": "as annotated, else of the mask, else of the box",
            "detection_area": f"of the {self.detection_area}",
            "crowd": "a detection inside a crowd region is ignored, neither true nor false positive",
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
            "crowds": self.crowds,
            "unscored": self.unscored,
            "unscored_images": self.unscored_images,
        }


def _summary(
    precision: NDArray[np.float64], recall: NDArray[np.float64], max_dets: tuple[int, ...]
) -> dict[str, float]:
    scores = {
        "AP": _mean(precision[:, :, :, 0, -1]),
        "AP50": _mean(precision[[0], :, :, 0, -1]),
        "AP75": _mean(precision[[5], :, :, 0, -1]),
        "APs": _mean(precision[:, :, :, 1, -1]),
        "APm": _mean(precision[:, :, :, 2, -1]),
        "APl": _mean(precision[:, :, :, 3, -1]),
    }
    scores |= {f"AR{limit}": _mean(recall[:, :, 0, m]) for m, limit in enumerate(max_dets)}
    return scores | {
        "ARs": _mean(recall[:, :, 1, -1]),
        "ARm": _mean(recall[:, :, 2, -1]),
        "ARl": _mean(recall[:, :, 3, -1]),
    }


def _mean(values: NDArray[np.float64]) -> float:
    """Mean of the defined entries, as pycocotools sums them; NaN where there is none."""
    defined = values[values > -1]
    return float(np.mean(defined)) if defined.size else float("nan")


def _plain(value: float) -> float | None:
    return None if value != value else value


def _unique(name: str, taken: Mapping[str, object]) -> str:
    """``name``, with a number behind it where two classes share it."""
    number, free = 2, name
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free

"""Where truth and a good prediction disagree so plainly that the truth may be wrong.

After Tkachenko, Thyagarajan and Mueller, "ObjectLab: Automated Diagnosis of Mislabeled Images in Object
Detection Data", ICML workshops 2023 (overlooked, swapped, badly located), with plain rules in place of learnt
scores, so that each suspicion can be told in one sentence:

- ``overlooked``: a detection with a high score that finds no true object nor crowd region (IoU < 0.1), less
  than half of it in one;
- ``swapped``: a detection with a high score on an object of another class (IoU >= 0.5), none of its own class
  there;
- ``badly located``: a detection with a high score whose one object overlaps it with an IoU of 0.1 to 0.5, and
  that no other detection finds better;
- ``not there``: a true object that no detection of any score finds (IoU < 0.1) or covers by more than half,
  though it is neither small for its image nor has a neighbour in whose crowd it could be lost.

A suspicion is no proof: it is a list of places to look at first, most suspicious first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels

from .metric import ScoreTable
from .neighbours import Neighbours
from .overlap_table import Kind, OverlapTable, masks_of
from .per_image import PerImage

SUSPICIONS = ("overlooked", "swapped", "badly located", "not there")
OVERLOOKED, SWAPPED, BADLY_LOCATED, NOT_THERE = SUSPICIONS
FAR, MATCH = 0.1, 0.5
HALF = 0.5
SMALL = 0.5  # a mean diameter below this part of the image's median is small
KEPT = 100
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Suspicion:
    """One place to look at.

    Attributes:
        kind: one of :data:`SUSPICIONS`.
        weight: how suspicious, 0..1: the score of the detection; 0.5 for an object that is not there.
        image_id: the image.
        box: xyxy of the detection, or of the object that is not there.
        label: the detection's class; the object's where it is not there.
        instead: the class of the true object there; None without one.
        outline: the detection, or the object, alone, with its mask where there is one.
    """

    kind: str
    weight: float
    image_id: int
    box: tuple[float, float, float, float]
    label: str
    instead: str | None
    outline: Instances = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, without the mask."""
        names = ("kind", "weight", "image_id", "box", "label", "instead")
        values = {name: getattr(self, name) for name in names}
        return values | {"box": list(self.box), "weight": round(self.weight, 6)}


@dataclass(frozen=True)
class LabelErrorReport:
    """What may be wrong in the truth.

    Attributes:
        kind: ``"mask"`` or ``"box"``.
        images: number of images.
        confidence: the score that counts as high.
        counts: number of suspicions of each kind.
        suspicions: the 100 most suspicious of each kind, most suspicious first.
    """

    kind: str
    images: int
    confidence: float
    counts: dict[str, int]
    suspicions: tuple[Suspicion, ...]

    @property
    def scores(self) -> dict[str, float]:
        """The number of each kind."""
        return {name.replace(" ", "_"): float(count) for name, count in self.counts.items()}

    @property
    def tables(self) -> tuple[ScoreTable, ...]:
        """The places."""
        if not self.suspicions:
            return ()
        rows = tuple(
            (s.kind, s.image_id, ", ".join(f"{v:.0f}" for v in s.box), s.label, s.instead, s.weight)
            for s in self.suspicions
        )
        columns = ("suspicion", "image id", "box", "class", "in the truth", "weight")
        return (ScoreTable("Likely label errors", columns, rows),)

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind the numbers, JSON-able."""
        return {
            "definition": "places where truth and a sure prediction disagree plainly; no proof",
            "overlap": self.kind,
            "overlooked": f"score >= {self.confidence:g}, IoU < {FAR:g} with every object, not half in any",
            "swapped": f"score >= {self.confidence:g}, IoU >= {MATCH:g} with objects of other classes alone",
            "badly located": f"score >= {self.confidence:g}, IoU {FAR:g} to {MATCH:g} with one object that "
            "nothing else finds",
            "not there": f"no detection with IoU >= {FAR:g} or over half of it; neither small nor crowded",
        }

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, ready for JSON."""
        return {
            "kind": self.kind,
            "images": self.images,
            "confidence": self.confidence,
            "counts": dict(self.counts),
            "suspicions": [s.to_dict() for s in self.suspicions],
        }


class LabelErrors(PerImage[tuple[Suspicion, ...]]):
    """Likely label errors of many images; give it all detections.

    Args:
        kind: ``"mask"`` or ``"box"``: what overlaps are taken of.
        classes: the classes that are scored.
        confidence: the score that counts as high, 0..1.

    Raises:
        InputError: ``confidence`` outside 0..1.

    Example:
        >>> truth = Instances((9, 9), boxes=[[0, 0, 4, 4]])
        >>> pred = Instances((9, 9), boxes=[[0, 0, 4, 4], [5, 5, 9, 9]], scores=[0.9, 0.95])
        >>> metric = LabelErrors("box", truth.classes)
        >>> metric.update(pred, truth)
        >>> [(s.kind, round(s.weight, 2), s.box) for s in metric.compute().suspicions]
        [('overlooked', 0.95, (5.0, 5.0, 9.0, 9.0))]
    """

    def __init__(self, kind: Kind, classes: Labels, confidence: float = 0.8) -> None:
        super().__init__()
        if not 0 <= confidence <= 1:
            raise InputError(
                f"LabelErrors, confidence: expected a number in 0..1, got {confidence}; give for example 0.8"
            )
        self.kind: Kind = kind
        self.classes, self.confidence = classes, float(confidence)

    def settings(self) -> tuple[object, ...]:
        """What two shards must have in common."""
        return self.kind, self.classes, self.confidence

    def of_image(self, pred: Instances, truth: Instances) -> tuple[Suspicion, ...]:
        """The suspicions of one image, their image id still 0; at most 100 of a kind."""
        table = OverlapTable.of(pred, truth, self.kind)
        found = [*self._of_detections(pred, truth, table), *self._of_objects(pred, truth, table)]
        kept = []
        for kind in SUSPICIONS:
            kept += sorted((s for s in found if s.kind == kind), key=_rank)[:KEPT]
        return tuple(kept)

    def _of_detections(self, pred: Instances, truth: Instances, table: OverlapTable) -> list[Suspicion]:
        found = []
        inside, _ = _shared(pred, truth, table, self.kind)
        for k in np.flatnonzero(pred.scores >= np.float32(self.confidence)).tolist():
            mine = table.take(table.predicted == k)
            near = mine.take(mine.iou >= FAR)
            same = truth.labels[near.true] == pred.labels[k]
            if not len(near.true):
                if inside[k] < HALF:
                    found.append(_suspicion(OVERLOOKED, pred, k, None))
            elif not same.any() and near.iou.max() >= MATCH:
                one = int(near.true[near.iou.argmax()])
                if not truth.crowd[one] and not _found(table, pred, truth, one):
                    found.append(_suspicion(SWAPPED, pred, k, truth.names[one]))
            elif len(near.true) == 1 and same.all() and near.iou[0] < MATCH:
                one = int(near.true[0])
                if not truth.crowd[one] and not _found(table, pred, truth, one):
                    found.append(_suspicion(BADLY_LOCATED, pred, k, truth.names[one]))
        return found

    def _of_objects(self, pred: Instances, truth: Instances, table: OverlapTable) -> list[Suspicion]:
        """True objects that nothing touches; none where nothing at all was detected in the image."""
        touched = np.zeros(len(truth), np.bool_)
        touched[table.true[table.iou >= FAR]] = True
        _, covered = _shared(pred, truth, table, self.kind)
        lost = ~touched & ~truth.crowd & (covered < HALF)
        if not lost.any() or not len(pred):
            return []
        size = np.sqrt(np.asarray(truth.area, np.float64))
        lost &= size >= SMALL * np.median(size[~truth.crowd])
        lost &= ~_crowded(truth, self.kind)
        return [_suspicion(NOT_THERE, truth, k, None, 0.5) for k in np.flatnonzero(lost).tolist()]

    def compute(self) -> LabelErrorReport:
        """The suspicions of all images so far."""
        every = [
            Suspicion(s.kind, s.weight, i, s.box, s.label, s.instead, s.outline)
            for i, record in zip(self.image_ids, self.records, strict=True)
            for s in record
        ]
        shown: list[Suspicion] = []
        for kind in SUSPICIONS:
            shown += sorted((s for s in every if s.kind == kind), key=_rank)[:KEPT]
        counts = {kind: sum(s.kind == kind for s in every) for kind in SUSPICIONS}
        return LabelErrorReport(self.kind, len(self.records), self.confidence, counts, tuple(shown))


def _shared(pred: Instances, truth: Instances, table: OverlapTable, kind: Kind) -> tuple[Floats, Floats]:
    """(D,) most of each detection in one true object, (G,) of each object in one detection; parts of 1."""
    area = [
        masks_of(side, "objects").area.astype(np.float64)
        if kind == "mask"
        else np.prod(side.boxes[:, 2:] - side.boxes[:, :2], axis=1, dtype=np.float64)
        for side in (pred, truth)
    ]
    own, other = area[0][table.predicted], area[1][table.true]
    crowd = truth.crowd[table.true]
    pixels = np.where(crowd, table.iou * own, table.iou / (1 + table.iou) * (own + other))
    inside, covered = np.zeros(len(pred)), np.zeros(len(truth))
    np.maximum.at(inside, table.predicted, pixels / np.maximum(own, 1e-9))
    np.maximum.at(covered, table.true, pixels / np.maximum(other, 1e-9))
    return inside, covered


def _suspicion(
    kind: str, objects: Instances, k: int, instead: str | None, weight: float | None = None
) -> Suspicion:
    box = tuple(float(v) for v in objects.boxes[k])
    value = float(objects.scores[k]) if weight is None else weight
    return Suspicion(kind, value, 0, box, objects.names[k], instead, objects[k])  # type: ignore[arg-type]


def _rank(suspicion: Suspicion) -> tuple[float, int, tuple[float, ...]]:
    return -suspicion.weight, suspicion.image_id, suspicion.box


def _found(table: OverlapTable, pred: Instances, truth: Instances, one: int) -> bool:
    """Whether a detection of its class finds the true object."""
    on = table.take((table.true == one) & (table.iou >= MATCH))
    return bool((pred.labels[on.predicted] == truth.labels[one]).any())


def _crowded(truth: Instances, kind: Kind) -> Bools:
    """(G,) objects with a neighbour: a gap below half their mean diameter by mask, overlapping boxes else."""
    crowded = np.zeros(len(truth), np.bool_)
    if kind == "mask":
        near = Neighbours.of(masks_of(truth, "truth"))
        crowded[near.first] = crowded[near.second] = True
    else:
        pairs = OverlapTable.of(truth, truth, "box")
        crowded[pairs.true[pairs.predicted != pairs.true]] = True
    return crowded

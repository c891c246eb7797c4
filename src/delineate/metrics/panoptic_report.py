"""What panoptic quality reports: over all classes, things, stuff, and for each class."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.labels import Labels


@dataclass(frozen=True)
class Quality:
    """Panoptic quality and its two factors, 0..1.

    Attributes:
        pq: sq times rq (for one class; a mean over classes otherwise).
        sq: segmentation quality, the mean IoU of the matched pairs.
        rq: recognition quality, an F1 score: TP / (TP + FP / 2 + FN / 2).
        classes: how many classes were judged: those with a true or predicted segment that counts.
    """

    pq: float
    sq: float
    rq: float
    classes: int


@dataclass(frozen=True)
class ClassQuality:
    """One class.

    Attributes:
        name: of the class.
        thing: countable, or stuff.
        pq, sq, rq: as in :class:`Quality`; None where the class has no segment at all.
        tp, fp, fn: matched pairs, predictions without a partner, true segments without a partner.
    """

    name: str
    thing: bool
    pq: float | None
    sq: float | None
    rq: float | None
    tp: int
    fp: int
    fn: int


@dataclass(frozen=True)
class PanopticReport:
    """The quality over a set of images; means are over the classes that occur, as COCO's.

    Attributes:
        images: how many.
        all: mean over all classes.
        things: over the things.
        stuff: over the stuff.
        by_class: one per class.
    """

    images: int
    all: Quality
    things: Quality
    stuff: Quality
    by_class: tuple[ClassQuality, ...]

    @classmethod
    def of(cls, total: NDArray[np.float64], classes: Labels, images: int) -> PanopticReport:
        """From (K, 4) sums: matched IoU, matched pairs, predictions alone, true segments alone."""
        rows = []
        for name, thing, (iou, *counts) in zip(classes.names, classes.things, total.tolist(), strict=True):
            tp, fp, fn = (int(c) for c in counts)
            whole = tp + fp / 2 + fn / 2
            pq, sq, rq = (iou / whole, iou / max(tp, 1), tp / whole) if whole else (None, None, None)
            rows.append(ClassQuality(name, thing, pq, sq, rq, tp, fp, fn))
        things = [row for row in rows if row.thing]
        stuff = [row for row in rows if not row.thing]
        return cls(images, _mean(rows), _mean(things), _mean(stuff), tuple(rows))

    @property
    def protocol(self) -> dict[str, str]:
        """The choices behind the numbers, in words."""
        return {
            "definition": "PQ = SQ x RQ (Kirillov et al. 2019), as COCO's evaluation",
            "match": "same class, IoU above 0.5 without the truth's void",
            "mean": "over the classes with a true or predicted segment",
            "void": "what lies by more than half in void or in its class's crowd is not counted",
        }

    def to_dict(self) -> dict[str, Any]:
        """Numbers and names only, for ``json.dumps``."""
        return asdict(self)

    @property
    def scores(self) -> dict[str, float]:
        """The means by name: ``PQ``, ``SQ``, ``RQ``, ``PQ things`` and so on."""
        parts = {"": self.all, " things": self.things, " stuff": self.stuff}
        return {f"{n.upper()}{end}": getattr(q, n) for end, q in parts.items() for n in ("pq", "sq", "rq")}

    def __str__(self) -> str:
        lines = [f"{'':8}{'PQ':>7}{'SQ':>7}{'RQ':>7}{'classes':>9}"]
        for name in ("all", "things", "stuff"):
            q = getattr(self, name)
            lines.append(f"{name:8}{q.pq:7.3f}{q.sq:7.3f}{q.rq:7.3f}{q.classes:9d}")
        return "\n".join(lines)


def _mean(rows: list[ClassQuality]) -> Quality:
    """The mean over the classes that occur; zeros where none does."""
    able = [row for row in rows if row.pq is not None]
    if not able:
        return Quality(0.0, 0.0, 0.0, 0)
    pq, sq, rq = (float(np.mean([getattr(row, n) for row in able])) for n in ("pq", "sq", "rq"))
    return Quality(pq, sq, rq, len(able))

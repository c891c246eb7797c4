"""What the kinds of errors report: how many of each, in all and by class, and what each costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metric import ScoreTable

DETECTION_ERRORS = ("location", "class", "duplicate", "background", "both")
ERRORS = (*DETECTION_ERRORS, "missed")
MEANING = {
    "location": "right class, IoU 0.1 to 0.5",
    "class": "IoU 0.5 or more with another class",
    "duplicate": "the object has a better one",
    "background": "IoU 0.1 or less with everything",
    "both": "wrong class and place",
    "missed": "object that nothing could be mended to match",
    "all false positives": "any detection that is wrong, put last",
    "all false negatives": "any object not matched, left out",
}


@dataclass(frozen=True)
class ErrorReport:
    """Kinds of errors over all images.

    Attributes:
        kind: ``"mask"`` or ``"box"``.
        images: number of images.
        counts: number of errors of each of :data:`ERRORS`.
        ap50: AP at IoU 0.5 as it is, 0..1; NaN without objects.
        costs: by how much AP50 rises when all errors of a kind are mended, 0..1; with ``all false positives``
            and ``all false negatives``.
        per_class: by class name the counts, and ``objects``; classes that occur.
        max_det: detections taken of a class in an image.
        beyond: detections beyond it, not looked at.
    """

    kind: str
    images: int
    counts: dict[str, int]
    ap50: float
    costs: dict[str, float]
    per_class: dict[str, dict[str, int]]
    max_det: int
    beyond: int

    @classmethod
    def of(
        cls,
        *,
        kind: str,
        images: int,
        names: tuple[str, ...],
        counts: NDArray[np.int64],
        objects: NDArray[np.int64],
        base: float,
        costs: dict[str, float],
        max_det: int,
        beyond: int,
    ) -> ErrorReport:
        """From (K, 6) counts by class and (K,) objects."""
        rows = {
            f"{name} ({k + 1})" if names.count(name) > 1 else name: {
                **dict(zip(ERRORS, counts[k].tolist(), strict=True)),
                "objects": int(objects[k]),
            }
            for k, name in enumerate(names)
            if counts[k].any() or objects[k]
        }
        totals = dict(zip(ERRORS, counts.sum(axis=0).tolist(), strict=True))
        return cls(kind, images, totals, base, costs, rows, max_det, beyond)

    @property
    def scores(self) -> dict[str, float]:
        """``AP50``, the number of each kind, and ``dAP_`` what it costs."""
        numbers: dict[str, float] = {"AP50": self.ap50, **self.counts}
        return numbers | {f"dAP_{name}": cost for name, cost in self.costs.items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """That detections were not looked at, where some were not."""
        if not self.beyond:
            return ()
        return (
            f"{self.beyond} detections beyond max_det={self.max_det} were not looked at: what they find "
            "counts as missed",
        )

    @property
    def tables(self) -> tuple[ScoreTable, ...]:
        """The kinds, with what they mean."""
        rows = tuple((name, self.counts.get(name), self.costs[name], MEANING[name]) for name in self.costs)
        caption = (
            "dAP50: by how much AP50 rises if an oracle mends all errors of this kind; they do not add up"
        )
        return (
            ScoreTable(
                f"Errors of {self.kind} detections", ("kind", "number", "dAP50", "what"), rows, caption
            ),
        )

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind the numbers, JSON-able."""
        return {
            "definition": "TIDE (Bolya et al. 2020): one kind for each detection without a match at IoU 0.5",
            "overlap": self.kind,
            "thresholds": "match IoU 0.5, background IoU 0.1",
            "max_det": f"{self.max_det} per image and class",
            "AP50": "101-point interpolated, mean over the classes with a true object",
            "crowd": "a detection inside a crowd region is neither right nor wrong",
        }

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, ready for JSON."""
        return {
            "kind": self.kind,
            "images": self.images,
            "beyond": self.beyond,
            "AP50": None if self.ap50 != self.ap50 else self.ap50,
            "counts": dict(self.counts),
            "costs": {name: None if cost != cost else cost for name, cost in self.costs.items()},
            "per_class": {name: dict(row) for name, row in self.per_class.items()},
        }

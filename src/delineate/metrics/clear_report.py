"""What CLEAR MOT found: counts that add up over sequences and classes, and the ratios made of them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .metric import ScoreTable
from .track_tables import by_class_and_sequence, plain


@dataclass(frozen=True)
class ClearCounts:
    """Counts of one or more sequences.

    Attributes:
        tp: matched pairs.
        fn: true objects without a match.
        fp: predictions without a match.
        switches: a true track is matched by another track than the last time (IDSW).
        fragments: times that a true track is picked up again (Frag).
        tracked: true tracks matched in more than 80 % of their frames (MT).
        partly: in 20 to 80 % (PT).
        lost: in less than 20 % (ML).
        overlap: sum of the IoU of the matched pairs.
        frames: frames of the sequences that have true and predicted objects.
    """

    tp: int = 0
    fn: int = 0
    fp: int = 0
    switches: int = 0
    fragments: int = 0
    tracked: int = 0
    partly: int = 0
    lost: int = 0
    overlap: float = 0.0
    frames: int = 0

    def __add__(self, other: ClearCounts) -> ClearCounts:
        return ClearCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def scores(self) -> dict[str, float]:
        """Ratios and counts by the names of TrackEval; ratios are NaN where there is no object at all."""
        true = self.tp + self.fn
        objects, tracks = max(1.0, true), max(1.0, self.tracked + self.partly + self.lost)
        wrong = self.fp + self.switches
        ratios = {
            "MOTA": (self.tp - wrong) / objects,
            "MOTP": self.overlap / max(1.0, self.tp),
            "sMOTA": (self.overlap - self.fp - self.switches) / objects,
            "MODA": (self.tp - self.fp) / objects,
            "recall": self.tp / objects,
            "precision": self.tp / max(1.0, self.tp + self.fp),
            "F1": self.tp / max(1.0, self.tp + 0.5 * self.fn + 0.5 * self.fp),
            "MTR": self.tracked / tracks,
            "PTR": self.partly / tracks,
            "MLR": self.lost / tracks,
        }
        if not true + self.fp:
            ratios = dict.fromkeys(ratios, float("nan"))
        counts = {
            "IDSW": self.switches,
            "Frag": self.fragments,
            "MT": self.tracked,
            "PT": self.partly,
            "ML": self.lost,
            "TP": self.tp,
            "FN": self.fn,
            "FP": self.fp,
        }
        return {**ratios, **counts}


@dataclass(frozen=True)
class ClearReport:
    """CLEAR MOT over all sequences.

    Attributes:
        total: all classes together.
        classes: each class over all sequences; those without any object are absent.
        sequences: by sequence, by class.
        threshold: IoU from which two objects may match.
        kind: IoU of ``"mask"`` or ``"box"``.
    """

    total: ClearCounts
    classes: dict[str, ClearCounts]
    sequences: dict[str, dict[str, ClearCounts]]
    threshold: float
    kind: str

    @property
    def class_means(self) -> dict[str, float]:
        """MOTA, MOTP and sMOTA averaged over the classes that have an object."""
        each = [counts.scores for counts in self.classes.values()] or [self.total.scores]
        return {name: float(np.mean([scores[name] for scores in each])) for name in ("MOTA", "MOTP", "sMOTA")}

    @property
    def scores(self) -> dict[str, float]:
        """``MOTA``, ``MOTP``, ``IDSW``, ``Frag``, ``MT``, ..

        On masks the same numbers are also called ``MOTSA``, ``sMOTSA`` and ``MOTSP``; with several classes
        ``mMOTA`` is the mean over classes.
        """
        scores = self.total.scores
        if self.kind == "mask":
            scores |= {"MOTSA": scores["MOTA"], "sMOTSA": scores["sMOTA"], "MOTSP": scores["MOTP"]}
        return {**scores, **({"mMOTA": self.class_means["MOTA"]} if len(self.classes) > 1 else {})}

    @property
    def per_class(self) -> dict[str, dict[str, float]]:
        """The scores of each class."""
        return {name: counts.scores for name, counts in self.classes.items()}

    @property
    def protocol(self) -> dict[str, str]:
        """The choices behind the numbers, in words."""
        return {
            "definition": "CLEAR MOT as TrackEval computes it: matches of the frame before are kept, "
            "then the highest IoU",
            "similarity": f"{self.kind} IoU, a match from {self.threshold:g} on",
            "tracks": "mostly tracked above 80 % of the frames, mostly lost below 20 %",
            "sequences": "counts added up",
            "classes": "counts added up; mMOTA: mean of the classes with objects",
            "ignore regions": "unmatched predictions (IoU 0.5) more than half inside are not judged",
        }

    @property
    def tables(self) -> tuple[ScoreTable, ...]:
        """The scores of each class and sequence."""
        columns = ("MOTA", "MOTP", "sMOTA", "IDSW", "Frag", "MT", "PT", "ML", "TP", "FN", "FP")
        rows = {name: {label: c.scores for label, c in each.items()} for name, each in self.sequences.items()}
        title = "CLEAR MOT (MOTSA, MOTSP, sMOTSA: by mask)" if self.kind == "mask" else "CLEAR MOT"
        return by_class_and_sequence(
            title, columns, self.total.scores, self.per_class, rows, self.class_means
        )

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, None where undefined, ready for JSON."""
        return {
            "scores": plain(self.scores),
            "class_means": plain(self.class_means),
            "classes": plain(self.per_class),
            "sequences": {
                name: {label: plain(counts.scores) for label, counts in each.items()}
                for name, each in self.sequences.items()
            },
        }

"""What HOTA found: at each threshold, of each class and sequence, and how they are combined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metric import ScoreTable
from .track_tables import by_class_and_sequence, plain

Floats = NDArray[np.float64]
RATIOS = ("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA", "OWTA")


@dataclass(frozen=True, eq=False)
class HotaCounts:
    """One class of one or more sequences at each of A thresholds; all (A,) float64.

    Attributes:
        tp: matched pairs.
        fn: true objects without a match.
        fp: predictions without a match.
        ass_a: association accuracy, mean over the matched pairs.
        ass_re: likewise its recall.
        ass_pr: likewise its precision.
        loc_a: mean IoU of the matched pairs, 1 where there is none.
    """

    tp: Floats
    fn: Floats
    fp: Floats
    ass_a: Floats
    ass_re: Floats
    ass_pr: Floats
    loc_a: Floats

    @classmethod
    def nothing(cls, thresholds: int) -> HotaCounts:
        """No objects."""
        zero, one = np.zeros(thresholds), np.ones(thresholds)
        return cls(tp=zero, fn=zero, fp=zero, ass_a=zero, ass_re=zero, ass_pr=zero, loc_a=one)

    @classmethod
    def combine(cls, parts: Sequence[HotaCounts]) -> HotaCounts:
        """Sequences or classes, weighed by their matched pairs, added in the order given."""
        tp = _total([p.tp for p in parts])

        def mean(values: Sequence[Floats]) -> Floats:
            return _total([v * p.tp for v, p in zip(values, parts, strict=True)]) / np.maximum(1.0, tp)

        located = _total([p.loc_a * p.tp for p in parts])
        return cls(
            tp=tp,
            fn=_total([p.fn for p in parts]),
            fp=_total([p.fp for p in parts]),
            ass_a=mean([p.ass_a for p in parts]),
            ass_re=mean([p.ass_re for p in parts]),
            ass_pr=mean([p.ass_pr for p in parts]),
            loc_a=np.maximum(1e-10, located) / np.maximum(1e-10, tp),
        )

    @property
    def empty(self) -> bool:
        """No true and no predicted object."""
        return not (self.tp + self.fn + self.fp).any()

    @cached_property
    def ratios(self) -> dict[str, Floats]:
        """Each of :data:`RATIOS` at each threshold, (A,); NaN where there is no object at all."""
        detection = self.tp / np.maximum(1, self.tp + self.fn + self.fp)
        recall = self.tp / np.maximum(1, self.tp + self.fn)
        precision = self.tp / np.maximum(1, self.tp + self.fp)
        values = [
            np.sqrt(detection * self.ass_a),
            detection,
            self.ass_a,
            recall,
            precision,
            self.ass_re,
            self.ass_pr,
            self.loc_a,
            np.sqrt(recall * self.ass_a),
        ]
        if self.empty:
            values = [np.full_like(self.tp, np.nan) for _ in values]
        return dict(zip(RATIOS, values, strict=True))

    @property
    def scores(self) -> dict[str, float]:
        """Means over the thresholds, and ``HOTA(0)``, ``LocA(0)``, ``HOTALocA(0)`` at the lowest."""
        return _means(self.ratios)


def _means(ratios: Mapping[str, Floats]) -> dict[str, float]:
    means = {name: float(np.mean(values)) for name, values in ratios.items()}
    hota, loc_a = float(ratios["HOTA"][0]), float(ratios["LocA"][0])
    return {**means, "HOTA(0)": hota, "LocA(0)": loc_a, "HOTALocA(0)": hota * loc_a}


def _total(parts: Sequence[Floats]) -> Floats:
    """The sum, one after the other."""
    result = np.zeros_like(parts[0])
    for part in parts:
        result = result + part
    return result


@dataclass(frozen=True, eq=False)
class HotaReport:
    """HOTA over all sequences.

    Attributes:
        total: all classes together, weighed by their matched pairs (TrackEval's ``cls_comb_det_av``).
        classes: each class over all sequences; those without any object are absent.
        sequences: by sequence, by class.
        alphas: the IoU thresholds.
        kind: IoU of ``"mask"`` or ``"box"``.
    """

    total: HotaCounts
    classes: dict[str, HotaCounts]
    sequences: dict[str, dict[str, HotaCounts]]
    alphas: tuple[float, ...]
    kind: str

    @property
    def class_means(self) -> dict[str, float]:
        """Scores averaged over the classes that have an object (TrackEval's ``cls_comb_cls_av``)."""
        each = [c.ratios for c in self.classes.values()]
        if not each:
            return self.total.scores
        means = {name: np.mean([ratios[name] for ratios in each], axis=0) for name in RATIOS}
        at_zero = [c.scores["HOTALocA(0)"] for c in self.classes.values()]
        return {**_means(means), "HOTALocA(0)": float(np.mean(at_zero))}

    @property
    def scores(self) -> dict[str, float]:
        """``HOTA``, ``DetA``, ``AssA``, .. ; with several classes also ``mHOTA``, the mean over classes."""
        several = {"mHOTA": self.class_means["HOTA"]} if len(self.classes) > 1 else {}
        return {**self.total.scores, **several}

    @property
    def per_class(self) -> dict[str, dict[str, float]]:
        """The scores of each class."""
        return {name: counts.scores for name, counts in self.classes.items()}

    @property
    def protocol(self) -> dict[str, str]:
        """The choices behind the numbers, in words."""
        return {
            "definition": "HOTA as TrackEval computes it, mean over IoU 0.05 to 0.95 by 0.05",
            "similarity": f"{self.kind} IoU, a match from the threshold on",
            "sequences": "weighed by their matched pairs",
            "classes": "together, weighed by their matched pairs; mHOTA: mean of the classes with objects",
            "ignore regions": "unmatched predictions (IoU 0.5) more than half inside are not judged",
        }

    @property
    def tables(self) -> tuple[ScoreTable, ...]:
        """The scores of each class and sequence."""
        columns = RATIOS[:8]
        rows = {name: {label: c.scores for label, c in each.items()} for name, each in self.sequences.items()}
        return by_class_and_sequence(
            "HOTA", columns, self.total.scores, self.per_class, rows, self.class_means
        )

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, None where undefined, ready for JSON."""
        return {
            "scores": plain(self.scores),
            "class_means": plain(self.class_means),
            "alphas": list(self.alphas),
            "by_alpha": {name: plain(values) for name, values in self.total.ratios.items()},
            "classes": {name: plain(counts.scores) for name, counts in self.classes.items()},
            "sequences": {
                name: {label: plain(counts.scores) for label, counts in each.items()}
                for name, each in self.sequences.items()
            },
        }

"""What the crowd metric reports: counts per image, rows by neighbour situation, the frozen report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .crowd_fates import PREDICTION_FATES, TRUTH_FATES

Ints = NDArray[np.int64]

GAP_BINS = ("touching", "< 0.1", "< 0.25", "< 0.5", "alone")
OVERLAP_BINS = ("0", "< 0.1", "< 0.25", "< 0.5", ">= 0.5")
SIZE_BINS = ("< 0.5", "< 0.8", "< 1.25", "< 2", ">= 2")
SITUATIONS = {"gap": GAP_BINS, "overlap": OVERLAP_BINS, "size": SIZE_BINS}


@dataclass(frozen=True)
class CrowdCounts:
    """One image's counts.

    Attributes:
        predictions: (8,) predictions of each of :data:`PREDICTION_FATES`.
        missed_beside_found: missed objects with a neighbour that was matched.
        merged_objects: objects under predictions that merge.
        merged_pairs_across_classes: merged pairs of two classes.
        objects: for each situation (bins, 6) true objects of each of :data:`TRUTH_FATES`.
        pairs: for each situation (bins, 2) neighbouring pairs, and those merged.
    """

    predictions: Ints
    missed_beside_found: int
    merged_objects: int
    merged_pairs_across_classes: int
    objects: dict[str, Ints]
    pairs: dict[str, Ints]

    @classmethod
    def pool(cls, counts: Sequence[CrowdCounts]) -> CrowdCounts:
        """The sums over images."""
        return cls(
            predictions=sum((c.predictions for c in counts), np.zeros(len(PREDICTION_FATES), np.int64)),
            missed_beside_found=sum(c.missed_beside_found for c in counts),
            merged_objects=sum(c.merged_objects for c in counts),
            merged_pairs_across_classes=sum(c.merged_pairs_across_classes for c in counts),
            objects={
                name: sum(
                    (c.objects[name] for c in counts), np.zeros((len(bins), len(TRUTH_FATES)), np.int64)
                )
                for name, bins in SITUATIONS.items()
            },
            pairs={
                name: sum((c.pairs[name] for c in counts), np.zeros((len(bins), 2), np.int64))
                for name, bins in SITUATIONS.items()
            },
        )

    @property
    def errors(self) -> int:
        """True objects that were not matched, and predictions that were not."""
        return int(self.objects["gap"][:, 1:].sum() + self.predictions[1:].sum())


@dataclass(frozen=True)
class CrowdRow:
    """The true objects of one neighbour situation: ``objects`` is the sum of the six fates after it.

    Attributes:
        name: the bin.
        objects: true objects in it.
        matched, mislabelled, merged, split, inexact, missed: how many of them had each fate.
        pairs: neighbouring pairs in it.
        merged_pairs: those covered by one prediction.
    """

    name: str
    objects: int
    matched: int
    mislabelled: int
    merged: int
    split: int
    inexact: int
    missed: int
    pairs: int
    merged_pairs: int

    @property
    def recall(self) -> float:
        """Matched objects / objects; NaN without any."""
        return _ratio(self.matched, self.objects)

    @property
    def merged_pair_rate(self) -> float:
        """Merged pairs / neighbouring pairs; NaN without any."""
        return _ratio(self.merged_pairs, self.pairs)

    @classmethod
    def of(cls, name: str, fates: Ints, pairs: Ints) -> CrowdRow:
        """From (6,) numbers of the fates and (2,) pairs and merged pairs."""
        numbers = [int(n) for n in fates]
        of_fate = dict(zip(TRUTH_FATES, numbers, strict=True))
        return cls(name, sum(numbers), pairs=int(pairs[0]), merged_pairs=int(pairs[1]), **of_fate)


@dataclass(frozen=True)
class CrowdReport:
    """Crowd errors over all images; :mod:`delineate.metrics.crowd` says what each number means.

    Attributes:
        images: number of images.
        iou: IoU from which a pair matches.
        by_class: whether a match needs the same class.
        total: all true objects by fate, all neighbouring pairs.
        predictions: number of predictions of each fate: matched, mislabelled, merging, part, duplicate,
            inexact, fragment, spurious. They sum to the predictions.
        missed_beside_found: those of the missed objects that have a matched neighbour.
        merged_objects: objects under predictions that merge, the matched ones among them included.
        merged_pairs_across_classes: those of the merged pairs whose objects have two classes.
        by: rows by ``"gap"`` to the nearest neighbour, largest box ``"overlap"`` with a neighbour, and
            ``"size"`` relative to the image's median; a pair counts by its own gap and overlap, and by the
            size of its smaller object.
        worst: ``(image_id, errors)`` of the five images with the most objects and predictions unmatched.
    """

    images: int
    iou: float
    by_class: bool
    total: CrowdRow
    predictions: dict[str, int]
    missed_beside_found: int
    merged_objects: int
    merged_pairs_across_classes: int
    by: dict[str, tuple[CrowdRow, ...]]
    worst: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, counts: dict[int, CrowdCounts], iou: float, by_class: bool) -> CrowdReport:
        """From the counts of each image."""
        sums = CrowdCounts.pool([counts[i] for i in sorted(counts)])
        errors = sorted((-c.errors, i) for i, c in counts.items() if c.errors)
        return cls(
            images=len(counts),
            iou=iou,
            by_class=by_class,
            total=CrowdRow.of("all", sums.objects["gap"].sum(axis=0), sums.pairs["gap"].sum(axis=0)),
            predictions=dict(zip(PREDICTION_FATES, map(int, sums.predictions), strict=True)),
            missed_beside_found=sums.missed_beside_found,
            merged_objects=sums.merged_objects,
            merged_pairs_across_classes=sums.merged_pairs_across_classes,
            by={
                name: tuple(
                    CrowdRow.of(bin_name, sums.objects[name][k], sums.pairs[name][k])
                    for k, bin_name in enumerate(bins)
                )
                for name, bins in SITUATIONS.items()
            },
            worst=tuple((i, -e) for e, i in errors[:5]),
        )

    @property
    def predicted(self) -> int:
        """Number of predictions."""
        return sum(self.predictions.values())

    @property
    def precision(self) -> float:
        """Matched / predictions; 0 where nothing is matched."""
        return _ratio(self.total.matched, self.predicted) if self.total.matched else 0.0

    @property
    def recall(self) -> float:
        """Matched / true objects; 0 where nothing is matched."""
        return _ratio(self.total.matched, self.total.objects) if self.total.matched else 0.0

    @property
    def f1(self) -> float:
        """2 matched / (predictions + true objects); 0 where nothing is matched."""
        both = self.predicted + self.total.objects
        return _ratio(2 * self.total.matched, both) if self.total.matched else 0.0

    @property
    def scores(self) -> dict[str, float]:
        """Every total by a short name: ``merged_pairs``, ``recall``, .."""
        total = asdict(self.total)
        numbers = {"precision": self.precision, "recall": self.recall, "F1": self.f1}
        numbers |= {name: float(total[name]) for name in ("objects", *TRUTH_FATES)}
        numbers["missed_beside_found"] = float(self.missed_beside_found)
        numbers["neighbour_pairs"] = float(self.total.pairs)
        numbers["merged_pairs"] = float(self.total.merged_pairs)
        numbers["merged_pair_rate"] = self.total.merged_pair_rate
        numbers["merged_pairs_across_classes"] = float(self.merged_pairs_across_classes)
        numbers["merged_objects"] = float(self.merged_objects)
        numbers["predictions"] = float(self.predicted)
        names = {"merging": "merging", "part": "parts", "duplicate": "duplicates", "fragment": "fragments"}
        names["spurious"] = "spurious"
        return numbers | {there: float(self.predictions[here]) for here, there in names.items()}

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind the numbers, JSON-able."""
        return {
            "match": f"IoU >= {self.iou:g}, one to one, most pairs first, then the highest IoU sum",
            "merged": "one prediction covers more than half of each of two objects, not both matched",
            "split": "no match; two or more pieces mostly inside together cover more than half",
            "inexact": "no match, but a prediction with an IoU of 0.1 or more",
            "neighbours": "gap between the masks below half the mean diameter of the two",
            "crowd": "left out, with the predictions of which more than half lies in a crowd region",
            "classes": "a match needs the same class" if self.by_class else "not looked at for a match",
        }

    def rows(self) -> Iterator[tuple[str, int]]:
        """Every number of the breakdown by a long name: ``crowd/merged_pairs [gap touching]``."""
        for situation, rows in self.by.items():
            for row in rows:
                numbers = asdict(row)
                name = numbers.pop("name")
                yield from ((f"crowd/{key} [{situation} {name}]", value) for key, value in numbers.items())

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, ready for JSON; undefined rates are None."""
        return {
            "images": self.images,
            "scores": {name: None if value != value else value for name, value in self.scores.items()},
            "predictions": dict(self.predictions),
            "by": {name: [asdict(row) for row in rows] for name, rows in self.by.items()},
            "worst": [list(pair) for pair in self.worst],
        }


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")

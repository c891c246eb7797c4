"""IDF1, IDP, IDR: how long each object keeps one identity.

Ristani, Solera, Zou, Cucchiara and Tomasi, "Performance Measures and a Data Set for Multi-Target,
Multi-Camera Tracking", ECCV workshops 2016, section 3, as TrackEval computes it: true and predicted tracks
are paired one to one so that most frames agree (IoU from 0.5 on).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .metric import ScoreTable
from .track_frames import TrackFrames, Tracks
from .track_overlap import Kind
from .track_tables import by_class_and_sequence, plain

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class IdentityCounts:
    """Objects under the right identity or not.

    Attributes:
        tp: of paired tracks, in frames in which they overlap enough.
        fn: true objects that are not.
        fp: predictions that are not.
    """

    tp: int = 0
    fn: int = 0
    fp: int = 0

    def __add__(self, other: IdentityCounts) -> IdentityCounts:
        return IdentityCounts(self.tp + other.tp, self.fn + other.fn, self.fp + other.fp)

    @property
    def scores(self) -> dict[str, float]:
        """``IDF1``, ``IDP``, ``IDR``, and the counts; ratios are NaN where there is no object at all."""
        counts = {"IDTP": self.tp, "IDFN": self.fn, "IDFP": self.fp}
        if not self.tp + self.fn + self.fp:
            return {"IDF1": np.nan, "IDP": np.nan, "IDR": np.nan, **counts}
        return {
            "IDF1": float(self.tp / max(1.0, self.tp + 0.5 * self.fp + 0.5 * self.fn)),
            "IDP": float(self.tp / max(1.0, self.tp + self.fp)),
            "IDR": float(self.tp / max(1.0, self.tp + self.fn)),
            **counts,
        }


@dataclass(frozen=True)
class IdentityReport:
    """Identity scores over all sequences.

    Attributes:
        total: all classes together.
        classes: each class over all sequences; those without any object are absent.
        sequences: by sequence, by class.
        threshold: IoU from which two objects agree.
        kind: IoU of ``"mask"`` or ``"box"``.
    """

    total: IdentityCounts
    classes: dict[str, IdentityCounts]
    sequences: dict[str, dict[str, IdentityCounts]]
    threshold: float
    kind: str

    @property
    def class_means(self) -> dict[str, float]:
        """Ratios averaged over the classes that have an object."""
        each = [counts.scores for counts in self.classes.values()] or [self.total.scores]
        return {name: float(np.mean([scores[name] for scores in each])) for name in ("IDF1", "IDP", "IDR")}

    @property
    def scores(self) -> dict[str, float]:
        """``IDF1``, ``IDP``, ``IDR``, counts; with several classes also ``mIDF1``, the mean over classes."""
        several = {"mIDF1": self.class_means["IDF1"]} if len(self.classes) > 1 else {}
        return {**self.total.scores, **several}

    @property
    def per_class(self) -> dict[str, dict[str, float]]:
        """The scores of each class."""
        return {name: counts.scores for name, counts in self.classes.items()}

    @property
    def protocol(self) -> dict[str, str]:
        """The choices behind the numbers, in words."""
        return {
            "definition": "IDF1 as TrackEval computes it: tracks paired one to one, most frames agreeing",
            "similarity": f"{self.kind} IoU, two objects agree from {self.threshold:g} on",
            "sequences": "counts added up",
            "classes": "counts added up; mIDF1: mean of the classes with objects",
            "ignore regions": "unmatched predictions (IoU 0.5) more than half inside are not judged",
        }

    @property
    def tables(self) -> tuple[ScoreTable, ...]:
        """The scores of each class and sequence."""
        columns = ("IDF1", "IDP", "IDR", "IDTP", "IDFN", "IDFP")
        rows = {name: {label: c.scores for label, c in each.items()} for name, each in self.sequences.items()}
        total, means = self.total.scores, self.class_means
        return by_class_and_sequence("Identity", columns, total, self.per_class, rows, means)

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


class Identity(TrackFrames):
    """Identity scores over the frames of many sequences.

    Args:
        kind: ``"mask"`` or ``"box"`` IoU.
        threshold: IoU from which two objects agree.

    Example:
        >>> from delineate.core.instances import Instances
        >>> def frame(name: int) -> Instances:
        ...     return Instances((9, 9), boxes=[[0, 0, 3, 9]], ids=[name])
        >>> metric = Identity("box")
        >>> for number, found in enumerate([5, 5, 5, 8]):
        ...     metric.update(frame(found), frame(1), number)
        >>> metric.compute().scores["IDF1"]
        0.75
    """

    def __init__(self, kind: Kind = "mask", threshold: float = 0.5) -> None:
        super().__init__(kind)
        self.threshold = float(threshold)

    def compute(self) -> IdentityReport:
        """The scores of all frames so far; may be called again after more updates."""
        names = self.labels.names
        classes: dict[str, IdentityCounts] = {}
        sequences: dict[str, dict[str, IdentityCounts]] = {name: {} for name in self.sequences}
        for label in self.used_labels():
            for sequence in self.sequences:
                counts = _judge(self.tracks(sequence, label), self.threshold)
                sequences[sequence][names[label]] = counts
                classes[names[label]] = classes.get(names[label], IdentityCounts()) + counts
        total = sum(classes.values(), IdentityCounts())
        return IdentityReport(total, classes, sequences, self.threshold, self.kind)


def _judge(tracks: Tracks, threshold: float) -> IdentityCounts:
    """The counts of one class of one sequence."""
    true, predicted = tracks.true_objects, tracks.predicted_objects
    a, b = tracks.pair_tracks()
    similarity = np.concatenate((np.zeros(0), *(frame.similarity for frame in tracks.frames)))
    agree = similarity >= threshold
    width = max(len(tracks.predicted_ids), 1)
    pairs, frames = np.unique(a[agree] * width + b[agree], return_counts=True)
    tp = _most_frames(pairs // width, pairs % width, frames.astype(np.int64))
    return IdentityCounts(tp, true - tp, predicted - tp)


def _most_frames(a: Ints, b: Ints, frames: Ints) -> int:
    """The largest sum of ``frames`` over pairs (a, b) chosen so that no track stands in two of them.

    Each group of tracks that met is solved by itself (Hungarian method): a crowd of thousands costs little.
    """
    if not len(a):
        return 0
    first = int(a.max()) + 1
    nodes = first + int(b.max()) + 1
    graph = coo_array((np.ones(len(a), np.int8), (a, b + first)), shape=(nodes, nodes))
    _, component = connected_components(graph, directed=False)
    group = component[a]
    order = np.argsort(group, kind="stable")
    total = 0
    for part in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        rows, row = np.unique(a[part], return_inverse=True)
        columns, column = np.unique(b[part], return_inverse=True)
        together = np.zeros((len(rows), len(columns)), np.int64)
        together[row, column] = frames[part]
        total += int(together[linear_sum_assignment(together, maximize=True)].sum())
    return total

"""What the Cell Tracking Challenge's comparison of graphs found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .metric import ScoreTable
from .track_tables import by_sequence, mean_of_defined, plain

NAN = float("nan")


@dataclass(frozen=True)
class GraphCounts:
    """Operations that mend one sequence's result, and the size of the reference graph.

    Attributes:
        splits: vertices to be split (NS): a result that covers k cells counts k - 1 times.
        missing: vertices to be added (FN).
        extra: vertices to be removed (FP).
        wrong_edges: edges to be removed (ED).
        missing_edges: edges to be added (EA).
        changed_edges: edges between the right cells but of the wrong kind (EC).
        vertices: cells in all frames of the reference.
        edges: its links.
    """

    splits: int
    missing: int
    extra: int
    wrong_edges: int
    missing_edges: int
    changed_edges: int
    vertices: int
    edges: int

    @property
    def scores(self) -> dict[str, float]:
        """``TRA``, ``DET``, ``LNK`` in 0..1, NaN where there is nothing to judge; ``AOGM``, ``AOGM_0``."""
        detection = 5 * self.splits + 10 * self.missing + self.extra
        aogm = detection + self.wrong_edges + 1.5 * self.missing_edges + self.changed_edges
        linking = self.wrong_edges + 1.5 * self.missing_edges + self.changed_edges
        return {
            "TRA": _part(aogm, 10 * self.vertices + 1.5 * self.edges),
            "DET": _part(detection, 10 * self.vertices),
            "LNK": _part(linking, 1.5 * self.edges),
            "AOGM": aogm,
            "AOGM_0": 10 * self.vertices + 1.5 * self.edges,
        }


def _part(cost: float, from_nothing: float) -> float:
    return 1 - min(cost, from_nothing) / from_nothing if from_nothing else NAN


@dataclass(frozen=True)
class CtcTraReport:
    """TRA, DET and LNK over all sequences.

    Attributes:
        sequences: what was counted, by name.
    """

    sequences: dict[str, GraphCounts]

    @property
    def scores(self) -> dict[str, float]:
        """``TRA``, ``DET``, ``LNK``, means of the sequences; sums of the operations and of ``AOGM``."""
        each = [counts.scores for counts in self.sequences.values()]
        means = {name: mean_of_defined(s[name] for s in each) for name in ("TRA", "DET", "LNK")}
        sums = {n: sum(s[n] for s in each) for n in ("AOGM", "AOGM_0")}
        names = zip(
            ("NS", "FN", "FP", "ED", "EA", "EC"),
            ("splits", "missing", "extra", "wrong_edges", "missing_edges", "changed_edges"),
            strict=True,
        )
        counts = {n: sum(getattr(c, field) for c in self.sequences.values()) for n, field in names}
        return {**means, **sums, **counts}

    @property
    def protocol(self) -> dict[str, str]:
        """The choices behind the numbers, in words."""
        return {
            "definition": "TRA, DET, LNK of the Cell Tracking Challenge: 1 - AOGM / AOGM of an empty result",
            "match": "the result that covers more than half of the reference marker",
            "weights": "split 5, missing 10, extra 1; edge wrong 1, missing 1.5, of another kind 1",
            "sequences": "averaged; operations added up",
            "classes": "not looked at",
        }

    @property
    def tables(self) -> tuple[ScoreTable, ...]:
        """The scores of each sequence."""
        rows = {name: CtcTraReport({name: c}).scores for name, c in self.sequences.items()}
        return by_sequence("CTC: tracking", self.scores, rows)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, None where undefined, ready for JSON."""
        each = {name: {**counts.scores, **asdict(counts)} for name, counts in self.sequences.items()}
        return {"scores": plain(self.scores), "sequences": plain(each)}

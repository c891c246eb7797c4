"""Where two protocols part on the same predictions: which scores, which classes, which images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from delineate.metrics.image_sample import ImageRecord
from delineate.metrics.metric import ScoreTable, per_class_of

if TYPE_CHECKING:
    from .report import Report

SHOWN = 40
IMAGES = 10
EQUAL = 1e-12
MAIN = ("mask/AP", "box/AP", "cells/AP50")


@dataclass(frozen=True)
class Explanation:
    """The report's protocol against another one.

    Attributes:
        choices: what the other protocol chose, in words.
        scores: ``(name, this, other)`` of the scores that differ, ratios before counts, largest difference
            first.
        same: number of scores that do not differ.
        tables: protocol, scores, classes and images that differ.
    """

    choices: str
    scores: tuple[tuple[str, float, float], ...]
    same: int
    tables: tuple[ScoreTable, ...]

    @property
    def sentence(self) -> str:
        """The answer in words."""
        if not self.scores:
            return f"With {self.choices} all {self.same} scores are the same."
        main = {row[0]: row for row in self.scores}
        name, this, other = next((main[n] for n in MAIN if n in main), self.scores[0])
        count = len(self.scores)
        changed = f"{count} of {count + self.same} scores change"
        return f"With {self.choices} {changed}, {name} from {this:.3f} to {other:.3f}."

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, ready for JSON."""
        changed = {name: {"this": _plain(a), "other": _plain(b)} for name, a, b in self.scores}
        tables = [
            {"title": t.title, "columns": list(t.columns), "rows": [[_plain(c) for c in r] for r in t.rows]}
            for t in self.tables
        ]
        return {"choices": self.choices, "scores": changed, "same": self.same, "tables": tables}


def explain_difference(report: Report, other: Report, choices: str) -> Explanation:
    """Set a report against one of the same predictions under another protocol.

    Images are compared where ``"intervals"`` is among the metrics of both: it keeps what became of each
    detection.

    Args:
        report: the one to explain.
        other: the same predictions under other choices.
        choices: the choices, in words.
    """
    mine, theirs = report.scores, other.scores
    common = [name for name in mine if name in theirs and not name.startswith("intervals/")]
    changed = [(n, mine[n], theirs[n]) for n in common if _apart(mine[n], theirs[n])]
    changed.sort(key=lambda row: (max(map(abs, row[1:])) > 1, -_gap(*row[1:])))  # ratios before counts
    tables = [_protocols(report, other), _scores(changed), _classes(report, other), _images(report, other)]
    return Explanation(
        choices, tuple(changed), len(common) - len(changed), tuple(t for t in tables if t.rows)
    )


def _protocols(report: Report, other: Report) -> ScoreTable:
    rows = []
    mine, theirs = report.protocol, other.protocol
    for metric in mine:
        for key, value in mine[metric].items():
            if metric in theirs and theirs[metric].get(key) != value:
                rows.append((f"{metric}: {key}", _words(value), _words(theirs[metric].get(key))))
    return ScoreTable("Choices that differ", ("choice", "this", "other"), tuple(rows))


def _scores(changed: list[tuple[str, float, float]]) -> ScoreTable:
    rows = tuple((name, a, b, b - a) for name, a, b in changed[:SHOWN])
    left = f"{len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
    return ScoreTable("Scores that differ", ("score", "this", "other", "difference"), rows, left)


def _classes(report: Report, other: Report) -> ScoreTable:
    kind = "mask" if report.total.mask is not None and other.total.mask is not None else "box"
    rows = []
    if kind in report.total and kind in other.total:
        theirs = per_class_of(other.total[kind])
        for name, row in per_class_of(report.total[kind]).items():
            if name in theirs and _apart(row["AP"], theirs[name]["AP"]):
                rows.append((name, row["AP"], theirs[name]["AP"], theirs[name]["AP"] - row["AP"]))
    rows.sort(key=lambda row: -_gap(row[1], row[2]))
    return ScoreTable(
        f"Classes that differ, {kind} AP", ("class", "this", "other", "difference"), tuple(rows[:SHOWN])
    )


def _images(report: Report, other: Report) -> ScoreTable:
    """The images whose detections are judged otherwise at IoU 0.5."""
    columns = ("image id", "right", "right, other", "wrong", "wrong, other", "objects", "objects, other")
    mine, theirs = report.total.intervals, other.total.intervals
    rows = []
    if mine is not None and theirs is not None:
        for image in sorted(mine.records.keys() & theirs.records.keys()):
            a, b = _counts(mine.records[image]), _counts(theirs.records[image])
            if a != b:
                rows.append((sum(abs(x - y) for x, y in zip(a, b, strict=True)), image, a, b))
    rows.sort(key=lambda row: (-row[0], row[1]))
    shown = tuple((str(image), a[0], b[0], a[1], b[1], a[2], b[2]) for _, image, a, b in rows[:IMAGES])
    caption = f"{len(rows)} images differ; those that differ most are shown" if len(rows) > IMAGES else ""
    return ScoreTable("Images that differ, at IoU 0.5", columns, shown, caption)


def _counts(record: ImageRecord) -> tuple[int, int, int]:
    """Right and wrong detections and objects of an image."""
    ranked = record.ranked.get("mask", record.ranked["box"])
    wrong = ~ranked.right[0] & ~ranked.ignored[0]
    return int(ranked.right[0].sum()), int(wrong.sum()), len(ranked.objects)


def _apart(a: float, b: float) -> bool:
    return (a == a) != (b == b) or abs(a - b) > EQUAL


def _gap(a: float, b: float) -> float:
    return abs(a - b) if a == a and b == b else 2.0


def _words(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def _plain(value: Any) -> Any:
    return None if value != value else value

"""Two predictors on the same images: which is better, by how much, and how sure that is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from delineate.core.errors import InputError
from delineate.metrics.intervals import IntervalReport
from delineate.metrics.metric import ScoreTable
from delineate.metrics.paired_test import Difference, paired_test

if TYPE_CHECKING:
    from .report import Report

SURE = 0.05
_MAIN = ("mask/AP", "cells/AP50", "box/AP", "count/MAE")
_ERRORS = ("count/MAE",)
"""Of these the smaller is the better one."""


@dataclass(frozen=True)
class Comparison:
    """B, the predictor of the report, against A, the other one.

    Attributes:
        name: of B.
        other: of A.
        images: number of images, the same for both.
        draws: how many times images were drawn, and results exchanged.
        differences: by the name of the score.
    """

    name: str
    other: str
    images: int
    draws: int
    differences: dict[str, Difference]

    @property
    def sentence(self) -> str:
        """The answer in words, by the first main score that both have."""
        name = next((n for n in _MAIN if n in self.differences), None)
        if name is None:
            return f"{self.name} and {self.other} have no score in common."
        d = self.differences[name]
        around = f"{d.difference:+.3f} (95 %: {d.low:+.3f} to {d.high:+.3f}; p = {d.p:.2g})"
        what = f"{name} {d.second:.3f} against {d.first:.3f}: {around} over {self.images} images"
        if d.p >= SURE or d.difference == 0:
            return f"No sure difference between {self.name} and {self.other}: {what}."
        better = (d.difference > 0) != (name in _ERRORS)
        return f"{self.name} is {'better' if better else 'worse'} than {self.other}: {what}."

    @property
    def tables(self) -> tuple[ScoreTable, ...]:
        """Every score of both."""
        columns = ("score", "this", "other", "difference", "from", "to", "p")
        rows = tuple(
            (name, d.second, d.first, d.difference, d.low, d.high, d.p)
            for name, d in self.differences.items()
        )
        caption = (
            f"difference: this minus the other; 95 % interval of {self.draws} draws of the images for both "
            f"at once; p: {self.draws} exchanges of the two, image by image"
        )
        return (ScoreTable(f"Against {self.other}", columns, rows, caption),)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, ready for JSON."""
        plain = {
            name: {key: None if value != value else value for key, value in asdict(d).items()}
            for name, d in self.differences.items()
        }
        return {
            "predictor": self.name,
            "other": self.other,
            "images": self.images,
            "draws": self.draws,
            "sentence": self.sentence,
            "differences": plain,
        }


def compare_reports(report: Report, other: Report, *, draws: int = 1000, seed: int = 0) -> Comparison:
    """Is the predictor of ``report`` better than that of ``other``?

    Args:
        report: of B; evaluated with ``"intervals"`` among the metrics, as the other.
        other: of A, on the same images.
        draws: how many times images are drawn, and results exchanged.
        seed: of both.

    Raises:
        InputError: a report without intervals, or of other images or settings.
    """
    parts: list[IntervalReport] = []
    for given in (report, other):
        found = given.total.intervals
        if found is None:
            raise InputError(
                f"compare_reports: expected 'intervals' among the metrics of both, got a report of "
                f"{given.predictor} without; evaluate with metrics=[.., 'intervals']"
            )
        parts.append(found)
    differences = paired_test(parts[1], parts[0], draws=draws, seed=seed)
    return Comparison(report.predictor, other.predictor, len(parts[0].records), draws, differences)

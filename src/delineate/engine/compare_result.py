"""What a comparison of models found: one table, one chart, one recommendation."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.table import Table

from delineate.metrics.paired_test import Difference

from .atomic import write_atomically

SURE = 0.05
"""A difference with a p-value from it on does not count against a faster model."""
LEARNT = 0.01
"""A lower score decides nothing."""


@dataclass(frozen=True)
class Candidate:
    """One model of a comparison.

    Attributes:
        name: the model, and its share of the training images where that is not all.
        model: as it was asked for.
        fraction: of the training images, 0..1.
        trained: False for weights that were scored as they are.
        images: that it was trained on; of folds the mean.
        minutes: of training, all folds together.
        steps: likewise.
        parameters: of the network.
        ms: milliseconds an image.
        score, low, high: the score that decides, and its 95 % interval over images.
        scores: all others.
    """

    name: str
    model: str
    fraction: float
    trained: bool
    images: int
    minutes: float
    steps: int
    parameters: int
    ms: float
    score: float
    low: float
    high: float
    scores: dict[str, float]

    def line(self, metric: str) -> str:
        """In one line."""
        return (
            f"{self.name}: {metric} {self.score:.3f} ({self.low:.3f} to {self.high:.3f}), "
            f"{self.ms:.0f} ms an image, {self.minutes:.1f} min of training"
        )


@dataclass(frozen=True)
class ModelComparison:
    """Models on the same data.

    Attributes:
        data: in one line.
        metric: the score that decides.
        budget: minutes of every training.
        folds: 0 for the dataset's own split.
        scored: number of images that were scored.
        candidates: in the order that they were asked for.
        differences: the best one minus each other one, by its name.
        failed: names and reasons of those that could not be scored.
    """

    data: str
    metric: str
    budget: float
    folds: int
    scored: int
    candidates: tuple[Candidate, ...]
    differences: dict[str, Difference]
    failed: tuple[tuple[str, str], ...] = ()

    @property
    def whole(self) -> list[Candidate]:
        """Those that saw all training images, the best first; where there are none, all."""
        chosen = [c for c in self.candidates if c.fraction == 1] or list(self.candidates)
        return sorted(chosen, key=lambda c: -c.score)

    @property
    def recommended(self) -> Candidate | None:
        """The fastest of those that are not surely worse than the best; None where nothing was learnt."""
        best, *others = self.whole
        if not best.score >= LEARNT:
            return None
        equal = [c for c in others if c.name in self.differences and not self.differences[c.name].p < SURE]
        return min([best, *equal], key=lambda c: c.ms)

    @property
    def reason(self) -> str:
        """The recommendation in words."""
        best, chosen = self.whole[0], self.recommended
        if chosen is None:
            return (
                f"none: the best {self.metric}, {best.score:.3f} of {best.name}, says that nothing was "
                "learnt yet; give more time (--budget) or more images."
            )
        if len(self.whole) == 1:
            return f"{best.name} is the only model that was scored on all of the training images."
        if chosen is best:
            rest = [f"{name} by {d.difference:.3f} (p = {d.p:.2g})" for name, d in self.differences.items()]
            sure = all(d.p < SURE for d in self.differences.values())
            told = f"{best.name}: the best {self.metric}, {best.score:.3f}, ahead of {', '.join(rest)}"
            return told + ("." if sure else "; of those that may be as good it is the fastest.")
        difference = self.differences[chosen.name]
        return (
            f"{chosen.name}: {best.name} scores {difference.difference:.3f} more, but that may be chance "
            f"(p = {difference.p:.2g}), and {chosen.name} takes {chosen.ms:.0f} ms an image, "
            f"not {best.ms:.0f}."
        )

    @property
    def curves(self) -> dict[str, list[Candidate]]:
        """By model the candidates of growing shares of the images, where there are several."""
        found: dict[str, list[Candidate]] = {}
        for candidate in self.candidates:
            found.setdefault(candidate.model, []).append(candidate)
        return {name: sorted(rows, key=lambda c: c.images) for name, rows in found.items() if len(rows) > 1}

    @property
    def gains(self) -> list[str]:
        """What the last step of each learning curve brought: what more labels may bring."""
        told = []
        for name, rows in self.curves.items():
            before, last = rows[-2:]
            gain = last.score - before.score
            advice = (
                "nothing was learnt yet; give more time (--budget)" if not last.score >= LEARNT
                else "more labels should help" if last.low > before.high
                else "the time is too short for so many; give more (--budget)" if last.high < before.low
                else "too close to tell; more validation images or a longer training may tell"
            )  # fmt: skip
            told.append(
                f"{name}: from {before.images} to {last.images} images {self.metric} changed by {gain:+.3f}; "
                f"{advice}."
            )
        return told

    def table(self) -> Table:
        """A row per candidate, the best first."""
        table = Table(
            title=f"{self.data}", title_justify="left", caption=self.protocol, caption_justify="left"
        )
        for heading in ("model", self.metric, "95 %", "AP50", "ms/image", "minutes", "steps", "images", "M"):
            table.add_column(heading, justify="left" if heading == "model" else "right")
        for c in sorted(self.candidates, key=lambda c: -c.score):
            fifty = c.scores.get("mask/AP50", c.scores.get("box/AP50", float("nan")))
            table.add_row(
                f"* {c.name}" if c is self.recommended else c.name,
                f"{c.score:.3f}", f"{c.low:.3f}..{c.high:.3f}", f"{fifty:.3f}", f"{c.ms:.0f}",
                f"{c.minutes:.1f}" if c.trained else "as is", str(c.steps) if c.trained else "",
                str(c.images) if c.trained else "", f"{c.parameters / 1e6:.1f}",
            )  # fmt: skip
        return table

    @property
    def protocol(self) -> str:
        """How the numbers came about."""
        split = f"{self.folds} folds" if self.folds else "split val"
        return (
            f"{self.scored} images ({split}), trainings of {self.budget:.3g} min; 95 % intervals over the "
            "images, not over trainings; * recommended"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; undefined numbers are None."""
        plain: dict[str, Any] = {
            "data": self.data, "metric": self.metric, "budget_minutes": self.budget, "folds": self.folds,
            "scored": self.scored, "reason": self.reason,
            "recommended": self.recommended.name if self.recommended else None,
            "candidates": [asdict(c) for c in self.candidates],
            "differences": {name: asdict(d) for name, d in self.differences.items()},
            "gains": self.gains,
            "failed": [{"model": name, "reason": reason} for name, reason in self.failed],
        }  # fmt: skip
        return {name: _defined(value) for name, value in plain.items()}

    def to_csv(self) -> str:
        """One row per candidate."""
        file = io.StringIO(newline="")
        rows = csv.writer(file, lineterminator="\n")
        columns = (
            "name", "fraction", "images", "minutes", "steps", "parameters", "ms", "score", "low", "high",
        )  # fmt: skip
        rows.writerow([*columns[:7], self.metric, *columns[8:]])
        for candidate in self.candidates:
            rows.writerow([getattr(candidate, column) for column in columns])
        return file.getvalue()

    def save(self, folder: str | Path) -> list[Path]:
        """Write comparison.json, .csv and .txt, and comparison.png where matplotlib is installed."""
        folder = Path(folder)
        content = {
            "comparison.json": json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n",
            "comparison.csv": self.to_csv(),
            "comparison.txt": f"{self}\n",
        }
        for name, text in content.items():
            write_atomically(folder / name, partial(_write, text.encode()))
        files = [folder / name for name in content]
        return [*files, *self.plot(folder / "comparison.png")]

    def plot(self, path: str | Path) -> list[Path]:
        """The chart; nothing where matplotlib is not installed."""
        from .compare_chart import draw

        try:
            return [draw(self, Path(path))]
        except ImportError:  # matplotlib is an extra; the table says the same
            return []

    def __str__(self) -> str:
        console = Console(file=io.StringIO(), width=118, highlight=False)
        render(self, console)
        return str(console.file.getvalue()).rstrip()  # type: ignore[attr-defined]


def render(found: ModelComparison, console: Console) -> None:
    """Table, recommendation, what more labels would bring, and what failed."""
    console.print(found.table())
    lines: Sequence[str] = [f"Recommended: {found.reason}", *found.gains]
    lines = [*lines, *(f"{name} failed: {reason}" for name, reason in found.failed)]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _defined(value: Any) -> Any:
    """NaN as None, all the way down."""
    if isinstance(value, dict):
        return {name: _defined(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(part) for part in value]
    return None if isinstance(value, float) and value != value else value


def _write(content: bytes, file: IO[bytes]) -> None:
    file.write(content)

"""The report of an evaluation: frozen, prints itself, saves itself as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from rich.console import Console

from delineate import __version__
from delineate.core.errors import InputError, MissingDependencyError
from delineate.metrics.metric import notes_of, per_class_of, protocol_of

from .atomic import write_atomically
from .comparison import Comparison
from .explanation import Explanation
from .illustrations import Picture
from .metric_registry import METRICS, PARTS, Takes
from .protocol_choices import Choices
from .report_text import render
from .scores import Scores

_AREA = "of the mask for masks, of the box for boxes"
_MAIN = ("mask/AP", "box/AP", "cells/AP50", "panoptic/PQ", "semantic/mIoU")


@dataclass(frozen=True, eq=False)
class Report:
    """What an evaluation found; ``print(report)`` shows it.

    Attributes:
        predictor: the model or the predictions file.
        data: the dataset, in one line.
        images: images scored.
        total: the scores over all of them.
        groups: the scores of each group, by name.
        by: the column that made the groups.
        confidence: score from which detections were taken in every metric; None: all in COCO's AP.
        cell_confidence: score from which detections were taken as objects in cells, counts and crowd errors.
        failed: (name, reason) of the images that could not be scored.
        notes: what a reader of the numbers must know, one sentence each.
        seconds: wall-clock time.
        choices: what the protocol chose otherwise than usual.
        pictures: of the worst images and likely label errors, where asked for.
        comparison: with another predictor, where asked for.
        explained: where another protocol scores the same predictions differently, where asked for.
    """

    predictor: str
    data: str
    images: int
    total: Scores
    groups: dict[str, Scores]
    by: str | None
    confidence: float | None
    cell_confidence: float
    failed: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    seconds: float
    choices: Choices = field(default_factory=Choices)
    pictures: tuple[Picture, ...] = ()
    comparison: Comparison | None = None
    explained: Explanation | None = None

    @property
    def scores(self) -> dict[str, float]:
        """Every number by a short name, see :meth:`Scores.flat`; NaN where undefined."""
        return self.total.flat()

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind the numbers, by metric."""
        chosen: dict[str, Any] = {}
        for name, entry in METRICS.items():
            parts = [part for part in entry.parts if part.name in self.total]
            if parts:
                chosen[name] = protocol_of(self.total[parts[0].name])
                if parts[0].needs in ("boxes", "masks"):
                    chosen[name]["taken"] = self._taken(parts[0].takes)
            if parts and name == "coco":
                chosen[name]["overlap"] = [part.name for part in parts]
                box = self.choices.detection_area == "box"
                chosen[name]["detection_area"] = "of the box" if box else _AREA
            if parts and self.choices.crowd == "counted":
                chosen[name]["crowd"] = "crowd regions are left out of the truth: what lies there is wrong"
            if parts and self.choices.truth_area == "mask" and "truth_area" in chosen[name]:
                chosen[name]["truth_area"] = "of the mask, else of the box"
        return chosen

    def _taken(self, takes: Takes) -> str:
        floor = self.cell_confidence if takes == "confident" else self.confidence
        return "all detections" if floor is None else f"detections from {floor:g} on"

    @property
    def all_notes(self) -> tuple[str, ...]:
        """The notes, with what was not scored for lying beyond max_det."""
        kinds: dict[str, list[str]] = {}
        for part in self.total:
            name = f"{part} AP" if part in ("mask", "box") else part
            for note in notes_of(self.total[part]):
                kinds.setdefault(note, []).append(name)
        told = {note: " and ".join(names).replace(" AP and ", " and ") for note, names in kinds.items()}
        return (*self.notes, *(f"{names}: {note}" for note, names in told.items()))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, ready for JSON; undefined numbers are None."""
        return {
            "delineate": __version__,
            "predictor": self.predictor,
            "data": self.data,
            "images": self.images,
            "scores": {name: None if value != value else value for name, value in self.scores.items()},
            "details": self.total.to_dict(),
            "by": self.by,
            "groups": {name: scores.to_dict() for name, scores in self.groups.items()},
            "protocol": self.protocol,
            "notes": list(self.all_notes),
            "failed": [{"image": name, "reason": reason} for name, reason in self.failed],
            "seconds": round(self.seconds, 3),
            **({} if self.comparison is None else {"comparison": self.comparison.to_dict()}),
            **({} if self.explained is None else {"explained": self.explained.to_dict()}),
        }

    def to_json(self) -> str:
        """:meth:`to_dict` as text."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)

    def to_csv(self) -> str:
        """One row per number: group (empty for all images), class (empty for all), name, value."""
        file = io.StringIO(newline="")
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["group", "class", "score", "value"])
        for group, scores in (("", self.total), *self.groups.items()):
            rows.writerows([_text(group), "", name, _cell(value)] for name, value in scores.flat().items())
            for part in scores:
                prefix = PARTS[part].prefix or part
                for label, row in per_class_of(scores[part]).items():
                    rows.writerows(
                        [_text(group), _text(label), f"{prefix}/{k}", _cell(v)] for k, v in row.items()
                    )
            if scores.crowd is not None:
                rows.writerows([_text(group), "", *row] for row in scores.crowd.rows())
            for label, name, value in _class_rows(scores):
                rows.writerow([_text(group), _text(label), name, _cell(value)])
        return file.getvalue()

    def to_html(self) -> str:
        """One page with charts and pictures, self-contained."""
        from .report_html import to_html

        return to_html(self)

    def save(self, path: str | Path) -> list[Path]:
        """Write the report.

        Args:
            path: a ``.json``, ``.csv``, ``.txt`` or ``.html`` file, or a folder that gets ``report.json``,
                ``report.csv``, ``report.txt`` and ``report.html``.

        Returns:
            The files written.
        """
        path = Path(path)
        content = {".json": self.to_json, ".csv": self.to_csv, ".txt": self.__str__, ".html": self.to_html}
        if path.suffix.lower() in content:
            files = {path: content[path.suffix.lower()]}
        elif path.suffix and not path.is_dir():
            raise InputError(
                f"{path}: expected .json, .csv, .txt, .html or a folder, got {path.suffix!r}; choose one"
            )
        else:
            files = {path / f"report{suffix}": text for suffix, text in content.items()}
        for file, text in files.items():
            data = (text().rstrip("\n") + "\n").encode()
            write_atomically(file, partial(_write, data))
        return list(files)

    def plot(self, path: str | Path) -> Path:
        """Draw cell AP against the IoU threshold, one line per group, to a picture file.

        Raises:
            InputError: no cell scores.
            MissingDependencyError: matplotlib is not installed.
        """
        if self.total.cells is None:
            raise InputError("plot: expected cell scores, got none; evaluate with metrics=['cells']")
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise MissingDependencyError(
                "plot: expected matplotlib, got no such package; pip install 'delineate[train]'"
            ) from None
        axes = (figure := Figure(figsize=(6, 4), layout="constrained")).add_subplot()
        for name, scores in (("all", self.total), *self.groups.items()):
            if scores.cells is not None:
                label = f"{name} ({scores.cells.images} images)"
                axes.plot(
                    scores.cells.thresholds, [s.accuracy for s in scores.cells.pooled], "o-", label=label
                )
        axes.set(xlabel="IoU threshold", ylabel="AP = TP / (TP + FP + FN), pooled", ylim=(0, 1))
        axes.grid(alpha=0.3)
        axes.legend()
        figure.savefig(path, dpi=150)
        return Path(path)

    def __str__(self) -> str:
        console = Console(file=io.StringIO(), width=110, record=False, highlight=False)
        render(self, console)
        return str(console.file.getvalue()).rstrip()  # type: ignore[attr-defined]

    def __rich_console__(self, console: Console, options: object) -> Iterator[str]:
        render(self, console)
        yield ""

    def __repr__(self) -> str:
        main = ", ".join(f"{k} {v:.3f}" for k, v in self.scores.items() if k in _MAIN)
        return f"Report({self.images} images: {main or 'no scores'})"


def _class_rows(scores: Scores) -> Iterator[tuple[str, str, float]]:
    """Class, score and value of panoptic quality, for the classes that occur."""
    for row in scores.panoptic.by_class if scores.panoptic is not None else ():
        for name, value in (("PQ", row.pq), ("SQ", row.sq), ("RQ", row.rq)):
            if value is not None:
                yield row.name, f"panoptic/{name}", value


def _write(data: bytes, file: IO[bytes]) -> None:
    file.write(data)


def _cell(value: float) -> str:
    return "" if value != value else repr(value)


def _text(value: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value

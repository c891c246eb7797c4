"""The report of an evaluation: frozen, prints itself, saves itself as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from rich.console import Console

from delineate import __version__
from delineate.core.errors import InputError, MissingDependencyError
from delineate.metrics.average_precision_report import AveragePrecisionReport
from delineate.metrics.cell_report import CellMatchingReport, CellScores
from delineate.metrics.counting import CountingReport
from delineate.metrics.crowd_report import CrowdReport
from delineate.metrics.mean_iou import MeanIoUReport
from delineate.metrics.panoptic_report import PanopticReport

from .atomic import write_atomically
from .report_text import render

_MAIN = ("mask/AP", "box/AP", "cells/AP50", "panoptic/PQ", "semantic/mIoU")


@dataclass(frozen=True, eq=False)
class Scores:
    """The metrics of one set of images; None for those not asked for, or not possible with boxes only."""

    mask: AveragePrecisionReport | None = None
    box: AveragePrecisionReport | None = None
    cells: CellMatchingReport | None = None
    counting: CountingReport | None = None
    crowd: CrowdReport | None = None
    panoptic: PanopticReport | None = None
    semantic: MeanIoUReport | None = None

    def flat(self) -> dict[str, float]:
        """Every number by a short name: ``mask/AP50``, ``cells/AP``, ``cells/F1_50``, ``count/bias``,
        ``crowd/merged_pairs``, ``panoptic/PQ``, ``panoptic/PQ_things``, ``semantic/mIoU``, ..

        ``cells/AP`` is the accuracy averaged over the thresholds, ``cells/AP50`` that at IoU 0.5, pooled over
        the images; ``cells/AP_by_image`` and ``cells/AP50_by_image`` are averaged over the images.
        """
        numbers: dict[str, float] = {}
        for kind, report in (("mask", self.mask), ("box", self.box)):
            numbers |= {f"{kind}/{name}": value for name, value in report.scores.items()} if report else {}
        if self.cells is not None:
            numbers["cells/AP"] = self.cells.mean_accuracy
            numbers |= dict(_cell_numbers(self.cells.pooled, ""))
            numbers["cells/AP_by_image"] = self.cells.mean_accuracy_by_image
            numbers |= dict(_cell_numbers(self.cells.by_image, "_by_image"))
        if self.counting is not None:
            numbers["count/bias"] = self.counting.bias
            numbers["count/MAE"] = self.counting.mean_absolute_error
        if self.crowd is not None:
            numbers |= {f"crowd/{name}": value for name, value in self.crowd.scores.items()}
        if self.panoptic is not None:
            scores = self.panoptic.scores()
            numbers |= {f"panoptic/{name.replace(' ', '_')}": value for name, value in scores.items()}
        if self.semantic is not None:
            numbers |= {f"semantic/{name}": value for name, value in self.semantic.scores().items()}
        return numbers

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, ready for JSON."""
        parts = {
            "mask": self.mask,
            "box": self.box,
            "cells": self.cells,
            "counting": self.counting,
            "crowd": self.crowd,
            "panoptic": self.panoptic,
            "semantic": self.semantic,
        }
        return {name: part.to_dict() for name, part in parts.items() if part is not None}


def _cell_numbers(scores: tuple[CellScores, ...], ending: str) -> Iterator[tuple[str, float]]:
    for s in scores:
        at = f"{round(100 * s.threshold)}{ending}"
        yield f"cells/AP{at}", s.accuracy
        if s is scores[0]:
            yield f"cells/precision_{at}", s.precision
            yield f"cells/recall_{at}", s.recall
            yield f"cells/F1_{at}", s.f1
            yield f"cells/PQ_{at}", s.panoptic_quality


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

    @property
    def scores(self) -> dict[str, float]:
        """Every number by a short name, see :meth:`Scores.flat`; NaN where undefined."""
        return self.total.flat()

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind the numbers, by metric."""
        total = self.total
        coco = total.mask or total.box
        chosen: dict[str, Any] = {}
        if coco is not None:
            taken = "all detections" if self.confidence is None else f"detections from {self.confidence:g} on"
            chosen["coco"] = {**coco.protocol, "taken": taken}
            chosen["coco"]["overlap"] = [r.kind for r in (total.mask, total.box) if r is not None]
            chosen["coco"]["detection_area"] = "of the mask for masks, of the box for boxes"
        if total.cells is not None:
            chosen["cells"] = {
                **total.cells.protocol,
                "taken": f"detections from {self.cell_confidence:g} on",
            }
        if total.crowd is not None:
            chosen["crowd"] = {
                **total.crowd.protocol,
                "taken": f"detections from {self.cell_confidence:g} on",
            }
        chosen |= {"panoptic": total.panoptic.protocol} if total.panoptic is not None else {}
        chosen |= {"semantic": total.semantic.protocol} if total.semantic is not None else {}
        return chosen

    @property
    def all_notes(self) -> tuple[str, ...]:
        """The notes, with what was not scored for lying beyond max_det."""
        kinds: dict[str, list[str]] = {}
        for report in filter(None, (self.total.mask, self.total.box)):
            for note in report.notes:
                kinds.setdefault(note, []).append(report.kind)
        return (*self.notes, *(f"{' and '.join(names)} AP: {note}" for note, names in kinds.items()))

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
            for kind, report in (("mask", scores.mask), ("box", scores.box)):
                for label, row in (report.per_class if report else {}).items():
                    rows.writerows(
                        [_text(group), _text(label), f"{kind}/{k}", _cell(v)] for k, v in row.items()
                    )
            if scores.crowd is not None:
                rows.writerows([_text(group), "", *row] for row in scores.crowd.rows())
            for label, name, value in _class_rows(scores):
                rows.writerow([_text(group), _text(label), name, _cell(value)])
        return file.getvalue()

    def save(self, path: str | Path) -> list[Path]:
        """Write the report.

        Args:
            path: a ``.json`` or ``.csv`` file, or a folder that gets ``report.json``, ``report.csv`` and
                ``report.txt``.

        Returns:
            The files written.
        """
        path = Path(path)
        content = {".json": self.to_json, ".csv": self.to_csv, ".txt": self.__str__}
        if path.suffix.lower() in content:
            files = {path: content[path.suffix.lower()]}
        elif path.suffix and not path.is_dir():
            raise InputError(
                f"{path}: expected a .json, .csv or .txt file or a folder, got {path.suffix!r}; choose one"
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
    """Class, score and value of panoptic quality and IoU, for the classes that occur."""
    for row in scores.panoptic.by_class if scores.panoptic is not None else ():
        for name, value in (("PQ", row.pq), ("SQ", row.sq), ("RQ", row.rq)):
            if value is not None:
                yield row.name, f"panoptic/{name}", value
    for label, iou in (scores.semantic.iou if scores.semantic is not None else {}).items():
        if iou is not None:
            yield label, "semantic/IoU", iou


def _write(data: bytes, file: IO[bytes]) -> None:
    file.write(data)


def _cell(value: float) -> str:
    return "" if value != value else repr(value)


def _text(value: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value

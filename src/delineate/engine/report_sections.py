"""Sections of the HTML report: each takes the report and gives markup, empty where it has nothing to show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from delineate.metrics.metric import ScoreTable, per_class_of, tables_of

from .markup import Markup, joined, table, tag
from .metric_registry import PARTS, title_of
from .svg_charts import bar, unit_chart

if TYPE_CHECKING:
    from .report import Report

NOTHING = Markup("")
OPEN, ROWS = 15, 200  # rows that stand open, rows at most
WORDS = 20  # a longer text is set as words, not as a number
TILES = (
    ("mask/AP", "mask AP, COCO"),
    ("mask/AP50", "mask AP50"),
    ("box/AP", "box AP, COCO"),
    ("cells/AP50", "cell AP at IoU 0.5"),
    ("cells/F1_50", "F1 at IoU 0.5"),
    ("count/MAE", "counting error"),
    ("panoptic/PQ", "panoptic quality"),
    ("semantic/mIoU", "mean IoU of classes"),
)
OWN = (
    *("mask", "box", "cells", "counting", "crowd", "intervals"),
    *("confusion", "box_confusion", "thresholds", "box_thresholds", "calibration", "box_calibration"),
    *("mask_errors", "box_errors", "label_errors", "box_label_errors"),
)
"""The parts with a section of their own."""


def number(value: float | None) -> str:
    """A ratio with three digits, a whole number as it is, a dash for what is undefined."""
    if value is None or value != value:
        return "–"
    whole = isinstance(value, int) or (abs(value) > 1 and value == int(value))
    return str(int(value)) if whole else f"{value:.3f}"


def first(report: Report, *parts: str) -> Any:
    """The report of the first part that there is."""
    return next((report.total[part] for part in parts if part in report.total), None)


def _intervals(report: Report) -> dict[str, Any]:
    found = first(report, "intervals")
    return found.intervals if found is not None else {}


def headline(report: Report) -> Markup:
    """The main numbers, with their intervals."""
    scores, intervals, tiles = report.scores, _intervals(report), []
    for name, words in TILES:
        if name in scores:
            around = intervals.get(name)
            span = f"95 %: {number(around.low)} to {number(around.high)}" if around is not None else ""
            tiles.append(
                tag(
                    "div",
                    tag("span", words),
                    tag("b", number(scores[name])),
                    tag("span", span),
                    class_="tile",
                )
            )
    return tag("div", *tiles, class_="tiles") if tiles else NOTHING


def overview(report: Report) -> Markup:
    """COCO's twelve numbers, cell scores at each IoU, counts, for all and for each group."""
    sets = [("all", report.total), *report.groups.items()]
    parts: list[Markup] = []
    for title, rows in (
        ("COCO AP and AR", _coco_rows(sets)),
        ("Cells: TP / (TP + FP + FN) at each IoU", _cell_rows(sets)),
    ):
        if rows:
            parts += [tag("h3", title), table(rows[0], rows[1:])]
    counts = [(name, s.counting) for name, s in sets if s.counting is not None]
    if counts:
        columns = ("objects an image", "true", "predicted", "bias", "mean absolute error", "images right")
        lines = [
            (
                name,
                c.true,
                c.predicted,
                f"{c.bias:+.2f}",
                f"{c.mean_absolute_error:.2f}",
                f"{100 * c.exact:.0f} %",
            )
            for name, c in counts
        ]
        parts += [tag("h3", "Counts"), table(columns, lines)]
    if _intervals(report):
        parts += [own_table(t) for t in tables_of(report.total["intervals"])]
    return joined(parts)


def _coco_rows(sets: Sequence[tuple[str, Any]]) -> list[list[object]]:
    rows: list[list[object]] = []
    for name, scores in sets:
        for kind in ("mask", "box"):
            if (found := getattr(scores, kind)) is not None:
                rows = rows or [["", *found.scores]]
                rows.append(
                    [kind if len(sets) == 1 else f"{name}: {kind}", *map(number, found.scores.values())]
                )
    return rows


def _cell_rows(sets: Sequence[tuple[str, Any]]) -> list[list[object]]:
    rows: list[list[object]] = []
    for name, scores in sets:
        if (cells := scores.cells) is not None:
            rows = rows or [["", *(f"{t:.2f}" for t in cells.thresholds), "mean"]]
            values = [s.accuracy for s in cells.pooled]
            rows.append([name, *map(number, values), number(cells.mean_accuracy)])
    return rows


def classes(report: Report) -> Markup:
    """AP of each class, where there are several."""
    found = first(report, "mask", "box")
    if found is None or len(found.per_class) < 2:
        return NOTHING
    used = [(name, row) for name, row in found.per_class.items() if row["truths"] or row["detections"]]
    used.sort(key=lambda item: -item[1]["truths"])
    rows = [
        (
            name,
            bar(r["AP"], number(r["AP"])),
            number(r["AP50"]),
            number(r["AP75"]),
            number(r["AR"]),
            r["truths"],
            r["detections"],
        )
        for name, r in used
    ]
    columns = ("class", f"{found.kind} AP", "AP50", "AP75", "AR", "objects", "detections")
    return long_table(columns, rows)


def long_table(columns: Sequence[object], rows: Sequence[Sequence[object]], class_: str = "") -> Markup:
    """A table of which the first rows stand open, the rest behind a click, up to a limit."""
    parts = [table(columns, rows[:OPEN], class_)]
    if len(rows) > OPEN:
        more = f", {len(rows) - ROWS} left out here" if len(rows) > ROWS else ""
        told = tag("summary", f"{min(len(rows), ROWS) - OPEN} more{more}")
        parts.append(tag("details", told, table(columns, rows[OPEN:ROWS], class_)))
    return joined(parts)


def precision_recall(report: Report) -> Markup:
    """COCO's curve at three IoU thresholds, and what each confidence gives."""
    charts = []
    found = first(report, "mask", "box")
    if found is not None:
        recalls = np.linspace(0, 1, found.precision.shape[1])
        lines = {}
        for t in (0, 5, 8):
            values = found.precision[t, :, :, 0, -1]
            kept = values[:, (values > -1).all(axis=0)]
            if kept.shape[1]:
                mean = kept.mean(axis=1)
                lines[f"IoU {0.5 + 0.05 * t:.2f}, {found.kind}"] = list(
                    zip(recalls.tolist(), mean.tolist(), strict=True)
                )
        if lines:
            title = "precision at each recall, mean over the classes"
            charts.append(unit_chart(lines, across="recall", up="precision", title=title))
    cuts = first(report, "thresholds", "box_thresholds")
    if cuts is not None and len(cuts.curves["all"]):
        curve = cuts.curves["all"].tolist()
        f1 = [(c, 2 * p * r / (p + r) if p + r else 0.0) for c, r, p in curve]
        lines = {
            "precision": [(c, p) for c, _, p in curve],
            "recall": [(c, r) for c, r, _ in curve],
            "F1": f1,
        }
        marks = [(cuts.best.confidence, cuts.best.f1, f"best F1 {cuts.best.f1:.3f}")] if cuts.best else []
        title = "precision, recall and F1 of the detections from a confidence on"
        charts.append(unit_chart(lines, across="from confidence", up="share", title=title, marks=marks))
    return tag("div", *charts, class_="row") if charts else NOTHING


def thresholds(report: Report) -> Markup:
    """The cuts of the grid, and the best of each class."""
    cuts = first(report, "thresholds", "box_thresholds")
    if cuts is None or cuts.best is None:
        return NOTHING
    best = cuts.best
    told = (
        f"Best F1 over all classes: {best.f1:.3f} with detections from {best.confidence:.3f} on "
        f"(precision {best.precision:.3f}, recall {best.recall:.3f}). It is chosen on this very data."
    )
    columns = ("from confidence", "detections", "matched", "precision", "recall", "F1")
    rows = [
        (
            f"{c.confidence:.2f}",
            c.predicted,
            c.matched,
            number(c.precision),
            number(c.recall),
            bar(c.f1, number(c.f1)),
        )
        for c in cuts.grid
    ]
    parts = [tag("p", told), table(columns, rows)]
    if len(cuts.by_class) > 1:
        ordered = sorted(cuts.by_class.items(), key=lambda item: -item[1].objects)
        rows = [
            (
                name,
                f"{c.confidence:.3f}",
                number(c.precision),
                number(c.recall),
                bar(c.f1, number(c.f1)),
                c.objects,
            )
            for name, c in ordered
        ]
        columns = ("class", "best confidence", "precision", "recall", "F1", "objects")
        parts += [tag("h3", "Each class at its best"), long_table(columns, rows)]
    return joined(parts)


def comparison(report: Report) -> Markup:
    """This predictor against another."""
    found = report.comparison
    if found is None:
        return NOTHING
    return joined([tag("p", found.sentence), *(own_table(t) for t in found.tables)])


def difference(report: Report) -> Markup:
    """Two protocols on the same predictions."""
    found = report.explained
    if found is None:
        return NOTHING
    return joined([tag("p", found.sentence), *(own_table(t) for t in found.tables)])


def more(report: Report) -> Markup:
    """Whatever was computed that has no section of its own."""
    parts = []
    for part in report.total:
        if part in OWN:
            continue
        found = report.total[part]
        parts.append(tag("h3", title_of(part)))
        rows = [
            (f"{PARTS[part].prefix or part}/{name}", number(value)) for name, value in found.scores.items()
        ]
        parts.append(table(("score", "value"), rows))
        if by_class := per_class_of(found):
            columns = list(next(iter(by_class.values())))
            lines = [(name, *(number(row[c]) for c in columns)) for name, row in by_class.items()]
            parts.append(long_table(("class", *columns), lines))
        parts += [own_table(t) for t in tables_of(found)]
    return joined(parts)


def own_table(given: ScoreTable) -> Markup:
    """A table that a metric brings."""
    rows = [[_cell(c) for c in row] for row in given.rows]
    caption = tag("p", given.caption, class_="soft") if given.caption else NOTHING
    return tag("div", tag("h3", given.title), long_table(given.columns, rows), caption)


def _cell(value: Any) -> object:
    """Numbers as numbers, long words in lines of their own."""
    if isinstance(value, str):
        return tag("td", value, class_="words") if len(value) > WORDS else value
    return number(value)


def remarks(report: Report) -> Markup:
    """What a reader of the numbers must know, and what could not be scored."""
    notes = [tag("p", note, class_="note") for note in report.all_notes]
    failed = [tag("p", f"not scored: {name}: {reason}", class_="note") for name, reason in report.failed]
    return joined([*notes, *failed])


def protocol(report: Report) -> Markup:
    """Every choice behind the numbers."""
    parts: list[Markup] = []
    for name, chosen in report.protocol.items():
        parts.append(tag("h3", name))
        terms = [joined([tag("dt", key), tag("dd", _words(value))]) for key, value in chosen.items()]
        parts.append(tag("dl", *terms))
    return joined(parts)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_words(entry)}" for key, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_words(entry) for entry in value)
    return f"{value:g}" if isinstance(value, float) else str(value)

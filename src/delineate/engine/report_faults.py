"""Sections of the HTML report on what went wrong: confusion, kinds of errors, crowds, scores, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from delineate.metrics.crowd_fates import PREDICTION_FATES, TRUTH_FATES
from delineate.metrics.error_report import ERRORS, MEANING
from delineate.metrics.metric import tables_of

from .crowd_pictures import PREDICTION_COLORS, TRUTH_COLORS
from .illustrations import DOUBT_TINT, TRUE_TINT
from .markup import Markup, joined, picture, table, tag
from .report_sections import NOTHING, first, number, own_table
from .svg_charts import bar, reliability_chart, stacked

if TYPE_CHECKING:
    from .report import Report


CLASSES = 12  # of a confusion matrix, those with most objects


def confusion(report: Report) -> Markup:
    """The matrix, coloured by the share of each true class."""
    found = first(report, "confusion", "box_confusion")
    if found is None or not found.matrix.any():
        return NOTHING
    names, matrix = found.occurring(CLASSES)
    whole = np.repeat(np.maximum(matrix.sum(axis=1, keepdims=True), 1), len(names), axis=1)
    whole[-1] = np.maximum(matrix.sum(axis=0), 1)  # what was found in vain is a share of what was predicted
    rows = []
    for name, counts, shares in zip(names, matrix.tolist(), (matrix / whole).tolist(), strict=True):
        cells = [
            tag("td", n or "", style=_heat(share), title=f"{100 * share:.1f} %")
            for n, share in zip(counts, shares, strict=True)
        ]
        rows.append([name, *cells])
    told = (
        "Rows are true classes, columns what they were taken for, with detections from "
        f"{report.cell_confidence:g} on. The last column is what was not found, the last row what was found "
        "in vain."
    )
    if len(names) <= len(found.names):
        told += f" The {len(names) - 1} classes with most objects are shown."
    parts = [tag("p", told), table(("true \\ predicted", *names), rows, "matrix")]
    if len(found.names) > 8 and found.mistakes:
        columns = ("true", "taken for", "times")
        parts += [tag("h3", "Confused most"), table(columns, found.mistakes[:CLASSES])]
    return joined(parts)


def _heat(share: float) -> str | None:
    return f"background:color-mix(in srgb, var(--c0) {round(70 * share)}%, var(--card))" if share else None


def errors(report: Report) -> Markup:
    """Each kind, how many, and what it costs."""
    parts = []
    for part in ("mask_errors", "box_errors"):
        found = first(report, part)
        if found is None:
            continue
        most = (
            max([found.costs[name] for name in ERRORS if found.costs[name] == found.costs[name]], default=0)
            or 1
        )
        rows = [
            (
                name,
                found.counts.get(name, ""),
                bar(cost / most, f"+{number(cost)}"),
                tag("td", MEANING[name], class_="words"),
            )
            for name, cost in found.costs.items()
        ]
        parts.append(
            tag(
                "div",
                tag("h3", f"By {found.kind}"),
                table(("kind", "number", "AP50 gained if mended", ""), rows),
            )
        )
    if not parts:
        return NOTHING
    told = (
        "Each detection without a match has one kind of error (TIDE). The gain is what AP50 would rise by, "
        "if an oracle mended all errors of that kind and no other; gains do not add up."
    )
    return joined([tag("p", told), *parts])


def crowd(report: Report) -> Markup:
    """What became of each true object, and what each detection is."""
    found = first(report, "crowd")
    if found is None:
        return NOTHING
    total = found.total
    fates = [(name, getattr(total, name)) for name in TRUTH_FATES]
    kinds = [(name, found.predictions[name]) for name in PREDICTION_FATES]
    rate = f"{100 * total.merged_pair_rate:.1f} %" if total.pairs else "none"
    told = f"{total.merged_pairs} of {total.pairs} neighbouring pairs are merged ({rate}); "
    told += f"{found.missed_beside_found} of {total.missed} missed objects lie beside one that was found."
    columns = ("neighbours", "objects", "recall", "merged", "split", "missed", "pairs", "pairs merged")
    rows = [
        (
            row.name,
            row.objects,
            bar(row.recall, number(row.recall)),
            row.merged,
            row.split,
            row.missed,
            row.pairs,
            row.merged_pairs,
        )
        for row in found.by["gap"]
        if row.objects
    ]
    return joined(
        [
            tag("p", told),
            stacked(fates, f"{total.objects} true objects"),
            stacked(kinds, f"{found.predicted} detections from {report.cell_confidence:g} on"),
            tag("h3", "By the gap to the nearest neighbour, in mean diameters"),
            table(columns, rows),
        ]
    )


def calibration(report: Report) -> Markup:
    """The reliability diagram."""
    found = first(report, "calibration", "box_calibration")
    if found is None or not any(b.detections for b in found.bins):
        return NOTHING
    bins = [(b.low, b.high, b.confidence, b.precision, b.detections) for b in found.bins if b.detections]
    over = found.scores["overconfidence"]
    way = "higher than" if over > 0 else "lower than"
    told = (
        f"Expected calibration error {found.error:.3f}, largest gap {found.largest:.3f}; on average scores "
        f"are {abs(over):.3f} {way} the share that is right at IoU 0.5."
    )
    chart = reliability_chart(bins, "share of right detections against their score")
    return joined(
        [tag("p", told), tag("div", chart, *(own_table(t) for t in tables_of(found)), class_="row")]
    )


def worst_images(report: Report) -> Markup:
    """The images with the most errors."""
    shown = [p for p in report.pictures if p.kind == "worst"]
    if not shown:
        return NOTHING
    keys = [(f"true: {name}", tint) for name, tint in TRUTH_COLORS.items() if name != "mislabelled"]
    keys += [("detection: merging, part, inexact", PREDICTION_COLORS["merging"])]
    keys += [("detection: duplicate, fragment, spurious", PREDICTION_COLORS["spurious"])]
    figures = [
        tag(
            "figure",
            picture(p.data, "jpeg", f"{p.title}: {p.caption}"),
            tag("figcaption", tag("b", p.title), f": {p.caption}"),
            class_="worst",
        )
        for p in shown
    ]
    return joined([_legend(keys), *figures])


def label_errors(report: Report) -> Markup:
    """Crops of the places, or the list of them where there are no images."""
    found = first(report, "label_errors", "box_label_errors")
    if found is None or not found.suspicions:
        return NOTHING
    counts = ", ".join(f"{n} {name}" for name, n in found.counts.items() if n)
    told = (
        f"Places where the truth and a sure detection (score from {found.confidence:g} on) disagree plainly: "
        f"{counts}. No proof, but where to look first: the truth may be wrong, or the model sure of an error."
    )
    shown = [p for p in report.pictures if p.kind == "label error"]
    figures = [
        tag(
            "figure",
            picture(p.data, "jpeg", p.caption),
            tag("figcaption", p.caption, tag("br"), short(p.title)),
        )
        for p in shown
    ]
    legend = _legend([("truth", TRUE_TINT), ("in doubt", DOUBT_TINT)]) if shown else NOTHING
    listed = tag("details", tag("summary", "All places"), *(own_table(t) for t in tables_of(found)))
    return joined([tag("p", told), legend, tag("div", *figures, class_="crops"), listed])


def short(name: str, most: int = 24) -> str:
    """A long name without its middle."""
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-most // 2 :]}"


def _legend(keys: Sequence[tuple[str, tuple[int, int, int]]]) -> Markup:
    spans = [
        tag("span", tag("i", class_="key", style=f"background:rgb({r},{g},{b})"), f" {name}")
        for name, (r, g, b) in keys
    ]
    return tag("p", *spans, class_="keys")

"""How an evaluation report looks on a terminal."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .text_tables import CLASSES_SHOWN, new_table, number, own_table, percent, tables_of_any, with_rest

if TYPE_CHECKING:
    from delineate.metrics.cell_report import CellScores
    from delineate.metrics.crowd_report import CrowdRow

    from .report import Report
    from .scores import Scores

_OWN_TABLES = ("mask", "box", "cells", "counting", "crowd", "panoptic", "semantic")


def render(report: Report, console: Console) -> None:
    """Print a report: tables first, then the protocol, notes and failures."""
    console.print(f"[bold]{escape(report.predictor)}[/] on {escape(report.data)}", soft_wrap=True)
    sets = [("all", report.total), *report.groups.items()]
    cells = (_cells(sets), _cells_at_first(sets), _counts(sets))
    crowd = (_crowd(sets), _crowd_predictions(sets), _crowd_neighbours(report.total))
    whole = (
        _panoptic(sets),
        _panoptic_classes(report.total),
        _semantic(sets),
        _semantic_classes(report.total),
    )
    rest: Iterator[Table] = (
        table for part in report.total if part not in _OWN_TABLES for table in tables_of_any(part, sets)
    )
    for found in (report.comparison, report.explained):
        if found is not None:
            console.print(f"[bold]{escape(found.sentence)}[/]", soft_wrap=True)
            rest = itertools.chain(rest, map(own_table, found.tables))
    for table in (_coco(sets), _classes(report.total), *cells, *crowd, *whole, *rest):
        if table is not None:
            console.print(table)
    _protocol(report, console)
    for note in report.all_notes:
        console.print(f"[yellow]note:[/] {escape(note)}", soft_wrap=True)
    for name, reason in report.failed:
        console.print(f"[red]not scored:[/] {escape(name)}: {escape(reason)}", soft_wrap=True)
    console.print(f"{report.images} images scored in {report.seconds:.1f} s", soft_wrap=True)


def _coco(sets: Sequence[tuple[str, Scores]]) -> Table | None:
    first = sets[0][1].mask or sets[0][1].box
    if first is None:
        return None
    table = new_table("COCO", "", *first.scores)
    for name, scores in sets:
        for report in (scores.mask, scores.box):
            if report is not None:
                label = report.kind if len(sets) == 1 else f"{name}: {report.kind}"
                table.add_row(escape(label), *map(number, report.scores.values()))
    return table


def _classes(scores: Scores) -> Table | None:
    report = scores.mask or scores.box
    if report is None or len(report.per_class) < 2:
        return None
    used = {name: row for name, row in report.per_class.items() if row["truths"] or row["detections"]}
    table = new_table(
        f"COCO by class, {report.kind}", "class", "AP", "AP50", "AP75", "AR", "objects", "detections"
    )
    for name, row in sorted(used.items(), key=lambda item: -item[1]["truths"])[:CLASSES_SHOWN]:
        numbers = [number(row[key]) for key in ("AP", "AP50", "AP75", "AR")]
        table.add_row(escape(name), *numbers, str(int(row["truths"])), str(int(row["detections"])))
    return with_rest(table, len(used))


def _cells(sets: Sequence[tuple[str, Scores]]) -> Table | None:
    first = sets[0][1].cells
    if first is None:
        return None
    table = new_table(
        "Cells: AP = TP / (TP + FP + FN) at each IoU", "", *(f"{t:.2f}" for t in first.thresholds), "mean"
    )
    for label, _, row in _cell_rows(sets):
        accuracy = [s.accuracy for s in row]
        table.add_row(escape(label), *map(number, accuracy), number(sum(accuracy) / len(accuracy)))
    return table


def _cells_at_first(sets: Sequence[tuple[str, Scores]]) -> Table | None:
    first = sets[0][1].cells
    if first is None:
        return None
    columns = ("images", "TP", "FP", "FN", "precision", "recall", "F1", "PQ", "mean IoU")
    table = new_table(f"Cells at IoU {first.thresholds[0]:.2f}", "", *columns)
    for label, images, row in _cell_rows(sets):
        s = row[0]
        ratios = (s.precision, s.recall, s.f1, s.panoptic_quality, s.mean_matched_score)
        table.add_row(escape(label), *map(str, (images, s.tp, s.fp, s.fn)), *map(number, ratios))
    return table


def _cell_rows(sets: Sequence[tuple[str, Scores]]) -> Iterator[tuple[str, int, tuple[CellScores, ...]]]:
    for name, scores in sets:
        if scores.cells is not None:
            yield f"{name}, pooled", scores.cells.images, scores.cells.pooled
            yield f"{name}, mean of images", scores.cells.images, scores.cells.by_image


def _counts(sets: Sequence[tuple[str, Scores]]) -> Table | None:
    if sets[0][1].counting is None:
        return None
    table = new_table("Counts per image", "", "true", "predicted", "bias", "mean absolute error", "exact")
    for name, scores in sets:
        if (c := scores.counting) is not None:
            numbers = f"{c.bias:+.2f}", f"{c.mean_absolute_error:.2f}", f"{100 * c.exact:.0f} %"
            table.add_row(escape(name), str(c.true), str(c.predicted), *numbers)
    return table


def _crowd(sets: Sequence[tuple[str, Scores]]) -> Table | None:
    if sets[0][1].crowd is None:
        return None
    table = _crowd_table("Crowd: what became of each true object", "recall")
    for name, scores in sets:
        if scores.crowd is not None:
            _crowd_row(table, name, scores.crowd.total)
    return table


def _crowd_neighbours(scores: Scores) -> Table | None:
    """The same for each neighbour situation, where it occurs."""
    if scores.crowd is None:
        return None
    table = _crowd_table("Crowd by neighbours, all images", "recall")
    titles = {"gap": "gap {} diameters", "overlap": "box IoU {}", "size": "size {} x median"}
    special = {"touching": "touching", "alone": "no neighbour within 0.5"}
    for situation, rows in scores.crowd.by.items():
        for row in rows:
            if row.objects or row.pairs:
                _crowd_row(table, special.get(row.name, titles[situation].format(row.name)), row)
        table.add_section()
    return table


def _crowd_table(title: str, last: str) -> Table:
    fates = ("matched", "merged", "split", "inexact", "missed")
    return new_table(title, "", "objects", *fates, last, "pairs", "merged", "rate")


def _crowd_row(table: Table, name: str, row: CrowdRow) -> None:
    numbers = (row.objects, row.matched, row.merged, row.split, row.inexact, row.missed)
    pairs = str(row.pairs), str(row.merged_pairs), percent(row.merged_pair_rate)
    table.add_row(escape(name), *map(str, numbers), number(row.recall), *pairs)


def _crowd_predictions(sets: Sequence[tuple[str, Scores]]) -> Table | None:
    """What each prediction is, with precision and F1, and what the fates do not tell."""
    if sets[0][1].crowd is None:
        return None
    kinds = ("matched", "merging", "part", "duplicate", "inexact", "fragment", "spurious")
    table = new_table("Crowd: what each prediction is", "", "predictions", *kinds, "precision", "F1")
    for name, scores in sets:
        if (c := scores.crowd) is not None:
            numbers = (c.predicted, *(c.predictions[kind] for kind in kinds))
            table.add_row(escape(name), *map(str, numbers), number(c.precision), number(c.f1))
    c = sets[0][1].crowd
    table.caption = (
        f"{c.missed_beside_found} of {c.total.missed} missed objects are beside one that was found"
    )
    table.caption_justify = "left"
    return table


def _panoptic(sets: Sequence[tuple[str, Scores]]) -> Table | None:
    if sets[0][1].panoptic is None:
        return None
    table = new_table("Panoptic quality", "", "PQ", "SQ", "RQ", "classes")
    for name, scores in sets:
        for part in ("all", "things", "stuff") if scores.panoptic is not None else ():
            q = getattr(scores.panoptic, part)
            label = part if len(sets) == 1 else f"{name}: {part}"
            table.add_row(escape(label), *map(number, (q.pq, q.sq, q.rq)), str(q.classes))
    return table


def _panoptic_classes(scores: Scores) -> Table | None:
    if scores.panoptic is None:
        return None
    used = [row for row in scores.panoptic.by_class if row.pq is not None]
    table = new_table("Panoptic quality by class", "class", "kind", "PQ", "SQ", "RQ", "TP", "FP", "FN")
    for row in sorted(used, key=lambda row: -row.tp - row.fn)[:CLASSES_SHOWN]:
        ratios = [number(0.0 if v is None else v) for v in (row.pq, row.sq, row.rq)]
        kind = "thing" if row.thing else "stuff"
        table.add_row(escape(row.name), kind, *ratios, str(row.tp), str(row.fp), str(row.fn))
    return with_rest(table, len(used))


def _semantic(sets: Sequence[tuple[str, Scores]]) -> Table | None:
    if sets[0][1].semantic is None:
        return None
    table = new_table(
        "Classes of pixels", "", "mIoU", "weighted IoU", "Dice", "pixel accuracy", "class accuracy", "pixels"
    )
    for name, scores in sets:
        if (s := scores.semantic) is not None:
            means = (s.mean_iou, s.weighted_iou, s.mean_dice, s.pixel_accuracy, s.class_accuracy)
            table.add_row(escape(name), *map(number, means), str(s.pixels))
    return table


def _semantic_classes(scores: Scores) -> Table | None:
    if scores.semantic is None:
        return None
    used = list(scores.semantic.per_class.items())
    table = new_table("Classes of pixels, one by one", "class", "IoU", "Dice", "accuracy")
    for name, row in sorted(used, key=lambda item: -item[1]["IoU"])[:CLASSES_SHOWN]:
        table.add_row(escape(name), *map(number, row.values()))
    return with_rest(table, len(used))


def _protocol(report: Report, console: Console) -> None:
    chosen = report.protocol
    lines = []
    if coco := chosen.get("coco"):
        sizes = {name: span for name, span in coco["area_ranges"].items() if name != "all"}
        areas = ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in sizes.items())
        lines.append(
            f"COCO protocol: {coco['definition']}; IoU {coco['iou_thresholds'][0]:.2f} to "
            f"{coco['iou_thresholds'][-1]:.2f} by 0.05; max_dets {', '.join(map(str, coco['max_dets']))} "
            f"{coco['max_dets_counted']}, AP at {coco['AP_at']}; area {areas} px; truth's area "
            f"{coco['truth_area']}; crowd: {coco['crowd']}; {coco['taken']}"
        )
    if cells := chosen.get("cells"):
        lines.append(
            f"Cells protocol: {cells['definition']}; {cells['match']}; pooled: {cells['pooled']}; mean of "
            f"images: {cells['by_image']}; crowd: {cells['crowd']}; {cells['taken']}"
        )
    if crowd := chosen.get("crowd"):
        lines.append(
            f"Crowd protocol: match: {crowd['match']}; merged: {crowd['merged']}; split: {crowd['split']}; "
            f"inexact: {crowd['inexact']}; neighbours: {crowd['neighbours']}; crowd: {crowd['crowd']}; "
            f"classes: {crowd['classes']}; {crowd['taken']}"
        )
    for name in (n for n in chosen if n not in ("coco", "cells", "crowd")):
        said = "; ".join(
            str(text) if key == "definition" else f"{key}: {text}" for key, text in chosen[name].items()
        )
        lines.append(f"{name.capitalize()} protocol: {said}")
    for line in lines:
        console.print(escape(line), style="dim")

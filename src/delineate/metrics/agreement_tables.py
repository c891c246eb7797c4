"""The agreement of annotators as tables and as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from .agreement_rows import Tally, plain
from .metric import Cell, ScoreTable

if TYPE_CHECKING:
    from .agreement_report import AgreementReport


def tables(report: AgreementReport) -> tuple[ScoreTable, ...]:
    """Annotators, vertices, pairs, classes, and objects by the number of annotators who drew them."""
    people = ScoreTable(
        "Annotators",
        ("annotator", "images", "objects", "PQ", "IoU", "distance px", "larger %", "alone %", "missed %"),
        tuple(
            (
                p.name,
                p.images,
                p.objects,
                p.quality,
                p.iou,
                p.distance,
                *_percent(p.larger, p.alone, p.missed),
            )
            for p in report.people
        ),
        "Against all others. Larger: how far the areas exceed the others' of the same objects. Alone: "
        "objects that nobody else drew. Missed: objects that more than half of the others drew.",
    )
    found = [people]
    if any(not np.isnan(p.points[1]) for p in report.people):
        drawn_with = tuple((p.name, *p.points, *p.density) for p in report.people)
        heads = ("annotator", "vertices p5", "median", "p95", "per 100 px p5", "median", "p95")
        found.append(
            ScoreTable("Vertices", heads, drawn_with, "Of an object, and per 100 pixels of its outline.")
        )
    pairs = tuple(
        (f"{report.annotators[a]} – {report.annotators[b]}", *_tally(t), t.kappa, t.count_difference)
        for (a, b), t in report.pairs.items()
    )
    between = ("pair", *TALLY, "kappa", "count difference")
    found.append(
        ScoreTable("Pairs", between, pairs, "Larger and count difference: the second's less the first's.")
    )
    if len(report.by_class) > 1:
        rows = tuple((name, *_tally(t)) for name, t in report.by_class.items())
        caption = (
            "Pooled over all pairs; an object that got two classes counts as drawn by one alone in each."
        )
        found.append(ScoreTable("Classes", ("class", *TALLY), rows, caption))
    drawn = tuple((str(k), n) for k, n in enumerate(report.drawn_by, 1))
    found.append(
        ScoreTable("Objects by the number of annotators who drew them", ("drawn by", "objects"), drawn)
    )
    return tuple(found)


TALLY = ("both", "first only", "second only", "PQ", "F1", "IoU", "distance px", "largest px", "larger %")


def _tally(t: Tally) -> tuple[Cell, ...]:
    alone = (t.matched, t.alone_first, t.alone_second)
    return (*alone, t.quality, t.f1, t.iou, t.distance, t.largest, *_percent(t.larger))


def _percent(*shares: float) -> tuple[Cell, ...]:
    return tuple(100 * share for share in shares)


def to_dict(report: AgreementReport) -> dict[str, Any]:
    """All numbers as plain values, None where undefined."""

    def values(record: Any, more: Sequence[str] = ()) -> dict[str, Any]:
        names = [f.name for f in fields(record)] + list(more)
        found = {name: getattr(record, name) for name in names}
        return {
            name: [plain(v) for v in value] if isinstance(value, tuple) else plain(value)
            for name, value in found.items()
        }

    return {
        "annotators": [values(person) for person in report.people],
        "threshold": report.threshold,
        "scores": {name: plain(value) for name, value in report.scores.items()},
        "pairs": [
            {"annotators": [report.annotators[a], report.annotators[b]], **values(t, ("f1", "quality"))}
            for (a, b), t in report.pairs.items()
        ],
        "classes": {name: values(t, ("f1", "quality")) for name, t in report.by_class.items()},
        "drawn_by": list(report.drawn_by),
        "images": [
            {
                "id": image.image_id,
                "name": image.name,
                "quality": plain(image.quality),
                "objects": [None if own is None else len(own.labels) for own in image.objects],
            }
            for image in report.images
        ],
        "protocol": report.protocol,
        "notes": list(report.notes),
    }

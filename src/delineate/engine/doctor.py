"""What `delineate doctor` tells: findings by kind, classes, settings that fit; as lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from delineate.data.check import KINDS, Checkup, Finding
from delineate.data.check.finding import Severity, place

from .doctor_settings import Suggestion

SHOWN = 5
"""So many cases of a kind are told, unless all are asked for."""
CLASSES_SHOWN = 20

CLEAN, FAULTY, UNUSABLE = 0, 1, 2


def exit_code(checkup: Checkup, strict: bool) -> int:
    """0 where there is no fault (``strict``: and no advice), 2 where nothing can be used, else 1."""
    if checkup.failed:
        return UNUSABLE
    return FAULTY if checkup.faults or (strict and checkup.findings) else CLEAN


def lines(
    checkup: Checkup, suggestion: Suggestion | None, *, shown: int | None = SHOWN, settings: bool = True
) -> Iterator[str]:
    """The report, line by line.

    Args:
        checkup: what was found.
        suggestion: settings that fit, or None.
        shown: so many cases of each kind; None: all.
        settings: tell classes and settings too.
    """
    yield title(checkup)
    for severity, heading in (("fault", "Faults"), ("advice", "Advice")):
        groups = _by_kind(checkup.findings, severity)
        if groups:
            yield ""
            yield heading
        for kind, cases in groups:
            yield from _cases(kind, cases, shown)
    if settings and not checkup.failed:
        yield from _classes(checkup)
        yield from _suggested(suggestion)
    yield ""
    yield verdict(checkup)


def verdict(checkup: Checkup) -> str:
    """One line: how many faults of how many kinds, and what advice."""
    if not checkup.findings:
        return "nothing wrong was found"
    kinds = [name for name, _ in _by_kind(checkup.findings, "fault")]
    advice = [name for name, _ in _by_kind(checkup.findings, "advice")]
    told = f"{_number(checkup.faults, 'fault')} ({', '.join(kinds)})" if kinds else "no faults"
    return f"{told}; advice: {', '.join(advice)}" if advice else told


def as_json(checkup: Checkup, suggestion: Suggestion | None, code: int) -> dict[str, Any]:
    """The same as plain values; every case is there."""
    return {
        "source": checkup.source,
        "format": checkup.format,
        "images": checkup.images,
        "objects": checkup.objects,
        "splits": checkup.splits,
        "classes": [
            {
                "name": one.name,
                "objects": one.total,
                "by_split": one.objects,
                "images": one.images,
                "median_side": None if one.side != one.side else round(one.side, 1),
            }
            for one in checkup.classes
        ],
        "findings": [
            {
                "kind": finding.kind,
                "severity": finding.severity,
                "message": finding.message,
                "image": finding.image or None,
                "split": finding.split or None,
                "annotation": finding.annotation,
                "where": finding.where or None,
                "other_images": [place(*key) for key in finding.images],
            }
            for finding in checkup.findings
        ],
        "counts": {kind: len(cases) for kind, cases in _by_kind(checkup.findings)},
        "suggested": None
        if suggestion is None
        else {
            "model": suggestion.model,
            "settings": suggestion.settings,
            "reasons": list(suggestion.reasons),
            "commands": list(suggestion.commands),
            "other_models": list(suggestion.others),
        },
        "exit_code": code,
    }


def title(checkup: Checkup) -> str:
    """One line: what was looked at."""
    splits = ", ".join(f"{n} {name or 'in no split'}" for name, n in checkup.splits.items())
    parts = f" ({splits})" if list(checkup.splits) != [""] and splits else ""
    return (
        f"{checkup.source}: {checkup.format}, {_number(checkup.images, 'image')}{parts}, "
        f"{_number(checkup.objects, 'object')}, {_number(len(checkup.classes), 'class')}"
    )


def _by_kind(
    findings: Sequence[Finding], severity: Severity | str | None = None
) -> list[tuple[str, list[Finding]]]:
    wanted = [finding for finding in findings if severity in (None, finding.severity)]
    return [(kind, list(cases)) for kind, cases in groupby(wanted, key=lambda finding: finding.kind)]


def _cases(name: str, cases: list[Finding], shown: int | None) -> Iterator[str]:
    kind = KINDS[name]
    yield f"  {name} ({len(cases)}): {kind.title}; {kind.mend}"
    told = cases if shown is None else cases[:shown]
    for finding in told:
        yield f"    {finding}"
    if len(cases) > len(told):
        yield f"    and {len(cases) - len(told)} more (--all)"


def _classes(checkup: Checkup) -> Iterator[str]:
    ordered = sorted(checkup.classes, key=lambda one: -one.total)
    if not checkup.objects:
        return
    splits = [name for name in checkup.splits if name]
    head = ["objects", *(splits if len(splits) > 1 else []), "images", "median side"]
    rows = [
        [
            str(one.total),
            *(str(one.objects.get(name, 0)) for name in (splits if len(splits) > 1 else [])),
            str(one.images),
            "-" if one.side != one.side else f"{one.side:.0f} px",
        ]
        for one in ordered[:CLASSES_SHOWN]
    ]
    wide = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    names = max(len(one.name) for one in ordered[:CLASSES_SHOWN])
    yield ""
    yield f"{'Classes':<{min(names, 40) + 2}}  " + "  ".join(
        cell.rjust(width) for cell, width in zip(head, wide, strict=True)
    )
    for one, row in zip(ordered, rows, strict=False):
        name = one.name if len(one.name) <= 40 else one.name[:39] + "…"
        yield f"  {name:<{min(names, 40)}}  " + "  ".join(
            cell.rjust(width) for cell, width in zip(row, wide, strict=True)
        )
    if len(ordered) > CLASSES_SHOWN:
        yield f"  and {len(ordered) - CLASSES_SHOWN} more classes (--json has all)"


def _suggested(suggestion: Suggestion | None) -> Iterator[str]:
    if suggestion is None:
        return
    yield ""
    yield "Suggested"
    for reason in suggestion.reasons:
        yield f"  {reason}"
    for command in suggestion.commands:
        yield f"  $ {command}"
    for other in suggestion.others:
        yield f"  for {other}"


def _number(count: int, word: str) -> str:
    many = f"{word}es" if word.endswith("s") else f"{word}s"
    return f"{count} {word if count == 1 else many}"

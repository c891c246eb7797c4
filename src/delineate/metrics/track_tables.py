"""Tables and plain values of the tracking reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .metric import Cell, ScoreTable

SEQUENCES_SHOWN = 30


def by_class_and_sequence(
    title: str,
    columns: Iterable[str],
    total: Mapping[str, float],
    classes: Mapping[str, Mapping[str, float]],
    sequences: Mapping[str, Mapping[str, Mapping[str, float]]],
    class_means: Mapping[str, float] | None = None,
) -> tuple[ScoreTable, ...]:
    """One table: all together, then each class, then each sequence, where there are several."""
    shown = tuple(columns)
    rows = [_row("all", total, shown)]
    if len(classes) > 1:
        rows += [_row("mean of classes", class_means, shown)] if class_means is not None else []
        rows += [_row(name, scores, shown) for name, scores in classes.items()]
    several = len(sequences) > 1
    listed = [
        (f"{name}: {label}" if len(classes) > 1 else name, scores)
        for name, each in sequences.items()
        for label, scores in each.items()
    ]
    rows += [_row(name, scores, shown) for name, scores in listed[: SEQUENCES_SHOWN * several]]
    hidden = len(listed) - SEQUENCES_SHOWN if several else 0
    caption = f"{hidden} more rows in the saved report" if hidden > 0 else ""
    return (ScoreTable(title, ("", *shown), tuple(rows), caption),)


def _row(name: str, scores: Mapping[str, float], columns: Iterable[str]) -> tuple[Cell, ...]:
    return (name, *(scores.get(column) for column in columns))


def mean_of_defined(values: Iterable[float]) -> float:
    """The mean of those that are not NaN; NaN where there is none."""
    defined = [value for value in values if value == value]
    return float(np.mean(defined)) if defined else float("nan")


def plain(values: Any) -> Any:
    """Plain numbers for JSON, None for NaN; of a mapping or an array."""
    if isinstance(values, Mapping):
        return {name: plain(value) for name, value in values.items()}
    if isinstance(values, np.ndarray | list | tuple):
        return [plain(value) for value in np.asarray(values).tolist()]
    if isinstance(values, float) and values != values:
        return None
    return values


def by_sequence(
    title: str, total: Mapping[str, float], sequences: Mapping[str, Mapping[str, float]]
) -> tuple[ScoreTable, ...]:
    """One table: all together, then each sequence where there are several."""
    return by_class_and_sequence(
        title, total, total, {}, {name: {"": row} for name, row in sequences.items()}
    )

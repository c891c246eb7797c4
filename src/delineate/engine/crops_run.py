"""Fruit and leaves, image by image: one bad file never stops the rest, and what is done is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from delineate.core.errors import DelineateError

from .measure_journal import MeasureJournal
from .measure_sources import Item
from .objects_page import PageEntry

Told = Callable[[str, Mapping[str, Any]], object]


@dataclass(frozen=True, eq=False)
class CropsResult:
    """The tables of a run.

    Attributes:
        tables: by name; ``objects`` first, whose ``attrs`` have units, sources and settings.
        images: one row per image, failed ones with the reason.
        failed: (name, reason) of each image that could not be done.
        pages: that tie rows to objects, for the index.
    """

    tables: dict[str, pd.DataFrame]
    images: pd.DataFrame
    failed: tuple[tuple[str, str], ...]
    pages: tuple[PageEntry, ...] = ()


def each_item(
    items: Sequence[Item],
    look: Callable[[Item], dict[str, Any]],
    journal: MeasureJournal | None = None,
    tell: Told | None = None,
) -> tuple[list[dict[str, Any]], tuple[tuple[str, str], ...]]:
    """The record of every item.

    Args:
        items: images.
        look: an item's record: ``image``, its row, and lists of rows by table; plain values for JSON.
        journal: what is done already is taken from it; what is done is noted in it.
        tell: called with an item's name and its row; a failed one has ``reason``.

    Returns:
        Records in order, those of failed items with ``image`` alone; and who failed why.
    """
    records, failed = [], []
    for item in items:
        known = journal.get(item.name, item.stamp) if journal is not None else None
        reason = ""
        if known is None:
            try:
                known = look(item)
            except DelineateError as error:
                reason = str(error)
            except OSError as error:
                reason = f"{error.strerror or error}; choose another place"
            except MemoryError:
                reason = "not enough memory; use smaller images"
            except Exception as error:
                reason = f"a fault of delineate, please report it: {type(error).__name__}: {error}"
            if known is None:
                reason = " ".join(reason.split()).removeprefix(f"{item.name}: ")
                failed.append((item.name, reason))
                known = {"image": {"image": item.name, "status": "failed", "reason": reason}}
            elif journal is not None:
                journal.add(item.name, item.stamp, known)
        records.append(known)
        if tell is not None:
            tell(item.name, known["image"])
    return records, tuple(failed)


def table_of(records: Sequence[Mapping[str, Any]], name: str, columns: Sequence[str]) -> pd.DataFrame:
    """All images' rows one under another; with ``columns`` where there is no row."""
    rows = [row for record in records for row in record.get(name, ())]
    frame = pd.DataFrame(rows) if rows else pd.DataFrame({column: [] for column in columns})
    ordered = [c for c in columns if c in frame] + [c for c in frame.columns if c not in columns]
    return frame[ordered]


def plain(value: Any) -> Any:
    """A NumPy value as JSON has it; NaN as None."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value

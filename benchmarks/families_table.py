"""The table of `families.py`: a row per method, mean and range over its seeds."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

Row = dict[str, Any]
COLUMNS = {  # heading: (key in the results, digits)
    "AP": ("scores.mask/AP", 3),
    "AP50": ("scores.mask/AP50", 3),
    "cells AP50": ("scores.cells/AP50", 3),
    "matched": ("scores.equal/matched", 0),
    "merged": ("scores.equal/merged", 0),
    "missed": ("scores.equal/missed", 0),
    "minutes": ("minutes", 1),
    "images/s": ("images_per_second", 1),
    "ms/image": ("ms", 0),
    "M parameters": ("millions", 1),
}


def table(out: Path, suffix: str = "") -> str:
    """Markdown tables, one per dataset, of the results in ``out``."""
    rows: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(out.glob("*/result.json")):
        row = json.loads(path.read_text())
        if path.parent.name != f"{row['method']}-{row['data']}-{row['seed']}{suffix}" or "scores" not in row:
            continue
        row["images_per_second"] = row["batches"] * row["batch_size"] / (60 * row["minutes"])
        row["millions"] = row["parameters"] / 1e6
        rows[row["data"]][row["method"]].append(row)
    parts = []
    for data, methods in sorted(rows.items()):
        known = {
            heading: c
            for heading, c in COLUMNS.items()
            if any(_has(r, c[0]) for m in methods.values() for r in m)
        }
        parts += [f"\n**{data}**\n", f"| | seeds | {' | '.join(known)} |", "|---" * (len(known) + 2) + "|"]
        for method, runs in methods.items():
            cells = [
                _cell([_get(r, key) for r in runs if _has(r, key)], digits) for key, digits in known.values()
            ]
            parts.append(f"| {method} | {len(runs)} | {' | '.join(cells)} |")
    return "\n".join(parts)


def _get(row: Row, key: str) -> float:
    first, _, rest = key.partition(".")
    return float(row[first][rest] if rest else row[first])


def _has(row: Row, key: str) -> bool:
    first, _, rest = key.partition(".")
    return first in row and (not rest or rest in row[first])


def _cell(values: list[float], digits: int) -> str:
    """The mean, and the range where there is one."""
    if not values:
        return ""
    mean, low, high = (f"{v:.{digits}f}" for v in (sum(values) / len(values), min(values), max(values)))
    return mean if low == high else f"{mean} ({low} to {high})"

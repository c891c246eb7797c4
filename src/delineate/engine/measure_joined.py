"""All images' rows one under another, and what is told of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from delineate.measurements import distributions, spreads
from delineate.measurements.glossary import explain

LONG = 100_000
"""Rows of an image above which its columns are held as arrays."""


@dataclass(frozen=True, eq=False)
class Measured:
    """The tables of a run.

    Attributes:
        objects: one row per object; ``attrs`` has units, sources and settings.
        images: one row per image, failed ones with the reason.
        pairs: objects that touch, where neighbours were asked for; else None.
        failed: (name, reason) of each image that could not be measured.
    """

    objects: pd.DataFrame
    images: pd.DataFrame
    pairs: pd.DataFrame | None
    failed: tuple[tuple[str, str], ...]


def plain(column: pd.Series) -> Any:
    """A column as a list that JSON takes, or as an array where it is long."""
    if len(column) > LONG and column.dtype.kind in "bif":
        return column.to_numpy()
    return column.tolist()


def kind_of(column: pd.Series) -> str:
    """``b``, ``i`` or ``f`` of truth values, whole numbers and fractions; ``O`` of all else."""
    return column.dtype.kind if column.dtype.kind in "bif" else "O"


def joined(records: Sequence[Mapping[str, Any]], failed: tuple[tuple[str, str], ...]) -> Measured:
    """All images' rows one under another."""
    images = _whole_numbers([record["image"] for record in records])
    done = [record for record in records if "objects" in record]
    kinds: dict[str, set[str]] = {}
    for record in done:
        for name, kind in record["kinds"].items():
            kinds.setdefault(name, set()).add(kind)
    columns: dict[str, Any] = {}
    lengths = [len(record["objects"]["label"]) for record in done]
    for name, which in kinds.items():
        parts = [record["objects"].pop(name, None) for record in done]  # not held twice
        columns[name] = _column(parts, lengths, which)
    objects = pd.DataFrame(columns)
    for key in ("units", "sources", "settings"):
        together: dict[str, Any] = {}
        for record in done:
            together |= record[key]
        objects.attrs[key] = together
    return Measured(objects, images, _all_pairs(done), failed)


def _whole_numbers(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """One row per image; counts stay whole numbers where failed images have none."""
    table = pd.DataFrame(rows)
    for name in table.columns:
        known = [row[name] for row in rows if name in row]
        if len(known) < len(rows) and all(isinstance(v, int) and not isinstance(v, bool) for v in known):
            table[name] = pd.array([row.get(name) for row in rows], dtype="Int64")
    return table


def _column(parts: Sequence[Any], lengths: Sequence[int], kinds: set[str]) -> Any:
    """One column of all images, of which some (None) may have none."""
    everywhere = all(part is not None for part in parts)
    if "O" in kinds or (kinds == {"b"} and not everywhere):
        texts: list[Any] = []
        for part, length in zip(parts, lengths, strict=True):
            texts += [None] * length if part is None else list(part)
        return pd.Series(texts, dtype=object)
    kind: Any = np.bool_ if kinds == {"b"} else np.int64 if kinds == {"i"} and everywhere else np.float64
    known = [
        np.full(length, np.nan) if part is None else np.array(part, dtype=kind)
        for part, length in zip(parts, lengths, strict=True)
    ]
    return np.concatenate(known) if known else np.zeros(0, dtype=kind)


def _all_pairs(done: Sequence[Mapping[str, Any]]) -> pd.DataFrame | None:
    if not any(record.get("pairs") is not None for record in done):
        return None
    rows = [(record["image"]["image"], *pair) for record in done for pair in record.get("pairs") or ()]
    return pd.DataFrame(rows, columns=["image", "label", "neighbour", "border", "overlap"])


def by_image(objects: pd.DataFrame) -> pd.DataFrame:
    """How every measure is spread in each image, one row for an image and a column."""
    parts = [spreads(some).assign(image=image) for image, some in objects.groupby("image", sort=False)]
    whole = pd.concat(parts, ignore_index=True) if parts else spreads(objects).assign(image="")
    return whole[["image", *(name for name in whole.columns if name != "image")]]


def by_group(objects: pd.DataFrame, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How the objects of each value of a column are spread: over all images, and image by image.

    Args:
        objects: with columns ``image`` and ``name``.
        name: such as ``class`` or ``modality``.
    """
    over_all, each = [], []
    for value, some in objects.groupby(name, sort=True, dropna=False):
        over_all.append({name: value, "images": some["image"].nunique(), **distributions(some)})
        for image, mine in some.groupby("image", sort=False):
            each.append({"image": image, name: value, **distributions(mine)})
    return pd.DataFrame(over_all), pd.DataFrame(each)


def described(tables: Mapping[str, pd.DataFrame], unit: str = "µm") -> pd.DataFrame:
    """One row per column of every table: its unit, empty for a plain number or a text, and its source."""
    known = tables["objects"].attrs
    rows = []
    for table, frame in tables.items():
        for name in map(str, frame.columns):
            measured, source = explain(name, unit)
            measured = known.get("units", {}).get(name, measured) if table == "objects" else measured
            source = known.get("sources", {}).get(name, source) if table == "objects" else source
            if table == "distributions" and name not in ("image", "column", "count"):
                measured, source = "as the column", f"{name} over the image's objects"
            rows.append((table, name, measured, source or "as the dataset has it"))
    return pd.DataFrame(rows, columns=["table", "column", "unit", "source"])

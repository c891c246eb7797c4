"""The totals of a run over many images: by class, and by well of a plate."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from delineate.measurements.glossary import explain
from delineate.measurements.summary import MARKS

from .atomic import write_atomically
from .batch_journal import BatchJournal
from .batch_tables import unpacked
from .plate_map import plate_picture, well_table

QUANTILES = (5, 25, 50, 75, 95)
EVERY = "every class"
_STATISTICS = {"mean": "mean", "median": "median", "min": "least", "max": "most"}


def totals_table(entries: Iterable[Mapping[str, Any]], failed: int = 0) -> pd.DataFrame:
    """The whole run in a row for each class, and one for all of them where there are several.

    Args:
        entries: what was noted of each image, read once.
        failed: how many images failed.

    Returns:
        ``class``, ``images`` (done), ``images_failed``, ``images_with_objects``, ``count``,
        ``per_image_mean``, ``_median``, ``_min``, ``_max``; of the objects ``score_mean`` and the mean and
        quantiles of ``area`` (with a pixel size in µm^2 too, where every image has one) and ``sphericity``.
        Of each object three numbers are held meanwhile.
    """
    counts: dict[str, array[int]] = {}
    values: dict[str, dict[str, array[float]]] = {}
    images = 0
    for images, entry in enumerate(entries, 1):
        table = entry["table"]["columns"]
        names = np.array(table["class"], dtype=object)
        for category in entry["categories"]:
            if category["name"] not in counts:
                counts[category["name"]] = array("q", [0] * (images - 1))
        for name in counts:
            mine = np.flatnonzero(names == name)
            counts[name].append(len(mine))
            held = values.setdefault(name, {})
            for column in ("area", "area_um2", "sphericity", "score"):
                if column in table:
                    some = np.array(table[column], dtype=np.float64)[mine]
                    held.setdefault(column, array("d")).frombytes(some.tobytes())
    rows = [_row(n, np.array(counts[n], dtype=np.int64), failed, values[n]) for n in counts]
    if len(rows) != 1:
        whole = np.sum([np.array(c) for c in counts.values()], axis=0) if counts else np.zeros(0)
        columns = {c for held in values.values() for c in held}
        joined = {
            c: array("d", np.concatenate([np.array(held.get(c, ())) for held in values.values()]))
            for c in sorted(columns)
        }
        rows.append(_row(EVERY, np.asarray(whole, dtype=np.int64), failed, joined))
    return pd.DataFrame(rows)


def _row(name: str, counts: Any, failed: int, values: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "class": name,
        "images": len(counts),
        "images_failed": failed,
        "images_with_objects": int((counts > 0).sum()),
        "count": int(counts.sum()),
    }
    known = len(counts) > 0
    for statistic in ("mean", "median", "min", "max"):
        row[f"per_image_{statistic}"] = float(getattr(np, statistic)(counts)) if known else np.nan
    objects = int(counts.sum())
    row["score_mean"] = float(np.mean(values["score"])) if objects and "score" in values else np.nan
    for column in ("area", "area_um2", "sphericity"):
        measured = np.array(values.get(column, ()), dtype=np.float64)
        if column == "area_um2" and (not len(measured) or len(measured) < objects):
            continue  # some images have no pixel size: a mixture would mislead
        measured = measured[np.isfinite(measured)]
        row[f"{column}_mean"] = float(measured.mean()) if len(measured) else np.nan
        for q in QUANTILES:
            row[f"{column}_q{q:02d}"] = float(np.percentile(measured, q)) if len(measured) else np.nan
    return row


def explain_total(name: str) -> tuple[str, str]:
    """Unit and source of a column of the table of totals."""
    told = {
        "class": "the objects' class",
        "images": "images done",
        "images_failed": "images that could not be done",
        "images_with_objects": "images with at least one object of the class",
        "count": "objects of the class in all images",
    }
    if name in told:
        return "", told[name]
    statistic = name.rpartition("_")[2]
    if name.startswith("per_image_"):
        return "", f"{_STATISTICS[statistic]} over the images of the objects in each"
    return explain_statistic(name)


def explain_statistic(name: str) -> tuple[str, str]:
    """Unit and source of a column of the tables of images, wells and totals.

    Example:
        >>> explain_statistic("outlier")[1][:45]
        'number of objects with the mark: log area mor'
    """
    if name.startswith("count "):
        return "", "objects of this class"
    unit, source = explain(name, "µm")
    return unit, f"number of objects with the mark: {source}" if name in MARKS else source


def wells_table(journal: BatchJournal, sources: Mapping[str, str]) -> pd.DataFrame | None:
    """A row per well, as :func:`~delineate.engine.plate_map.well_table` has it; one well is held at a time.

    Args:
        journal: the run's notes.
        sources: stamp by source.

    Returns:
        the table; None where no image's name tells a well.
    """
    members: dict[str, list[tuple[str, int]]] = {}
    for source, unit, entry in journal.entries(sources):
        if entry.get("well"):
            members.setdefault(entry["well"], []).append((source, unit))
    if not members:
        return None
    rows = [_well(name, _of(journal, sources, members[name])) for name in sorted(members)]
    return pd.concat(rows, ignore_index=True)


def write_plate(path: Path, wells: pd.DataFrame) -> None:
    """Objects per image of each well, drawn on the plate, as SVG."""
    values = dict(zip(wells["well"], wells["count_per_image"].astype(float), strict=True))
    picture = plate_picture(values, "count per image").encode()
    write_atomically(path, lambda file: file.write(picture))


def _of(
    journal: BatchJournal, sources: Mapping[str, str], keys: Iterable[tuple[str, int]]
) -> Iterator[dict[str, Any]]:
    for source, unit in keys:
        entry = journal.get(source, unit, sources[source])
        if entry is not None:
            yield entry


def _well(name: str, entries: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    images, objects = [], []
    for entry in entries:
        if "table" in entry:
            images.append(unpacked(entry["line"]))
            objects.append(unpacked(entry["table"]))
        else:  # no rows were kept: counts alone
            images.append(pd.DataFrame([{"well": name, "count": entry["told"]["summary"]["count"]}]))
    rows = [o for o in objects if len(o)]
    joined = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame({"well": pd.Series(dtype=object)})
    return well_table(pd.concat(images, ignore_index=True), joined)

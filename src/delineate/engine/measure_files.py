"""Measuring many images in one go: image by image, kept as it goes, one bad file never stops the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from delineate.core.errors import DelineateError
from delineate.data.images import write_label_tiff, write_png
from delineate.measurements import (
    Groups,
    distributions,
    measured_table,
    summary,
    touching_pairs,
    volume_table,
)
from delineate.measurements.summary import MARKS

from .measure import renumbered
from .measure_journal import MeasureJournal
from .measure_overlay import numbered_overlay
from .measure_scale import Scale
from .measure_sources import Found, Item
from .plate_map import well_of

Told = Callable[[str, Mapping[str, Any]], object]
ATTRIBUTES = ("background_width_px", "radius_px", "texture")
"""What a table's ``attrs`` tell of its settings."""


@dataclass(frozen=True)
class RunSettings:
    """What is measured, and what is written beside the tables.

    Attributes:
        groups: columns beyond shape and brightness.
        pixel_size: side of a pixel in ``unit``; None takes what each file tells.
        unit: of ``pixel_size``; files tell their own.
        z_step: distance of slices, in the same unit, of stacks.
        pictures: folder for the numbered overlays, and for label images of objects that had none.
        plate: read wells from the images' names.
    """

    groups: Groups = field(default_factory=Groups)
    pixel_size: float | None = None
    unit: str = "µm"
    z_step: float | None = None
    pictures: Path | None = None
    plate: bool = False

    def plain(self) -> dict[str, Any]:
        """All of it as plain values, for the journal."""
        return {**asdict(self), "pictures": self.pictures is not None}


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


def measure_items(
    items: Sequence[Item],
    settings: RunSettings,
    journal: MeasureJournal | None = None,
    tell: Told | None = None,
) -> Measured:
    """Measures every item.

    Args:
        items: what to measure.
        settings: how.
        journal: what is done already is taken from it; what is measured is noted in it.
        tell: called with an item's name and its row of the table of images; a failed one has ``reason``.
    """
    records: list[dict[str, Any]] = []
    failed: list[tuple[str, str]] = []
    for item in items:
        known = journal.get(item.name, item.stamp) if journal is not None else None
        if known is None:
            try:
                known = _measured(item, settings)
            except DelineateError as error:
                reason = str(error)
            except OSError as error:
                reason = f"{error.strerror or error}; choose another place"
            except MemoryError:
                reason = "not enough memory; measure a smaller image, or windows of it"
            except Exception as error:
                reason = f"a fault of delineate, please report it: {type(error).__name__}: {error}"
            if known is None:
                reason = " ".join(reason.split()).removeprefix(f"{item.name}: ")
                failed.append((item.name, reason))
                known = {"image": _head(item, settings) | {"status": "failed", "reason": reason}}
            elif journal is not None:
                journal.add(item.name, item.stamp, known)
        records.append(known)
        if tell is not None:
            tell(item.name, known["image"])
    return _joined(records, tuple(failed))


def _head(item: Item, settings: RunSettings) -> dict[str, Any]:
    """The columns that tell which image it is."""
    clash = {key: value for key, value in item.groups.items() if key != "image"}
    return {"image": item.name, **clash} | ({"well": well_of(item.name)} if settings.plate else {})


def _measured(item: Item, settings: RunSettings) -> dict[str, Any]:
    """The record of one image: its rows, its line, its pairs, as plain values."""
    found = item.look()
    scale = _scale(found, settings)
    head = _head(item, settings)
    if found.stack is not None:
        size: Any = scale.size
        frame = volume_table(found.stack, found.image, size, scale.unit)
        line, pairs = _stack_line(frame), None
    else:
        assert found.objects is not None
        side: Any = scale.size
        frame = measured_table(found.objects, found.image, side, scale.unit, settings.groups)
        line = distributions(frame)
        line |= {str(k): v for k, v in summary(frame).iloc[0].items() if k not in ("count", "area_median")}
        pairs = _pairs(found) if settings.groups.neighbours else None
        if found.ids is not None:
            renumbered(frame, found.ids)
    written = _pictures(item, found, frame, scale, settings)
    for at, (name, value) in enumerate((head | written).items()):
        frame.insert(at, name if name not in frame else f"image_{name}", value)
    sides = frame.attrs["size"]
    size_of = dict(zip(("slices", "height", "width")[-len(sides) :], sides, strict=True))
    told = {"pixel_size": _shown(scale.size), "unit": scale.unit if scale.size is not None else ""}
    told |= {"pixel_size_source": scale.source, "notes": "; ".join(found.notes)}
    return {
        "image": head | {"status": "done", "reason": ""} | size_of | line | told | written,
        "objects": {str(name): frame[name].tolist() for name in frame.columns},
        "kinds": {str(name): _kind(frame[name]) for name in frame.columns},
        "units": frame.attrs["units"],
        "sources": frame.attrs["sources"],
        "settings": {name: frame.attrs[name] for name in ATTRIBUTES if name in frame.attrs},
        "pairs": pairs,
    }


def _scale(found: Found, settings: RunSettings) -> Scale:
    """As given, else as the file tells."""
    if settings.pixel_size is None:
        return (
            found.scale
            if found.stack is None or settings.z_step is None
            else _with_step(found.scale, settings)
        )
    if found.stack is None:
        return Scale(settings.pixel_size, settings.unit, "given")
    across = settings.z_step if settings.z_step is not None else settings.pixel_size
    return Scale((across, settings.pixel_size, settings.pixel_size), settings.unit, "given")


def _with_step(scale: Scale, settings: RunSettings) -> Scale:
    if not isinstance(scale.size, tuple):
        return scale
    assert settings.z_step is not None
    return replace(scale, size=(settings.z_step, *scale.size[1:]), source=f"{scale.source}, slices given")


def _stack_line(frame: pd.DataFrame) -> dict[str, Any]:
    return distributions(frame) | {"coverage": frame.attrs["coverage"]}


def _pairs(found: Found) -> list[list[int]]:
    assert found.objects is not None
    if found.objects.masks is None:
        return []
    pairs = touching_pairs(found.objects)
    return (pairs if found.ids is None else renumbered(pairs, found.ids)).to_numpy().tolist()


def _pictures(
    item: Item, found: Found, frame: pd.DataFrame, scale: Scale, settings: RunSettings
) -> dict[str, str]:
    """Writes an image's overlay, and its label image where there was none; returns their paths by column."""
    if settings.pictures is None or found.objects is None or found.objects.masks is None:
        return {}
    written = {"overlay": f"overlays/{item.file}.png"}
    (settings.pictures / "overlays").mkdir(parents=True, exist_ok=True)
    marked = frame[[name for name in MARKS[1:] if name in frame]].any(axis=1).to_numpy(bool)
    numbers = frame["label"].to_numpy(np.int64)
    picture = numbered_overlay(found.objects, found.image, numbers, marked)
    write_png(settings.pictures / written["overlay"], np.asarray(picture))
    if found.ids is None:
        written["label_image"] = f"labels/{item.file}.labels.tif"
        (settings.pictures / "labels").mkdir(parents=True, exist_ok=True)
        side = scale.size if scale.unit == "µm" and isinstance(scale.size, float) else None
        write_label_tiff(settings.pictures / written["label_image"], found.objects.to_label_image(), side)
    return written


def _shown(size: Any) -> Any:
    return (
        "" if size is None else " x ".join(f"{s:g}" for s in size) if isinstance(size, tuple) else float(size)
    )


def _kind(column: pd.Series) -> str:
    return column.dtype.kind if column.dtype.kind in "bif" else "O"


def _joined(records: Sequence[Mapping[str, Any]], failed: tuple[tuple[str, str], ...]) -> Measured:
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
        values: list[Any] = []
        for record, length in zip(done, lengths, strict=True):
            values += record["objects"].get(name, [None] * length)
        columns[name] = _column(values, which, all(name in record["objects"] for record in done))
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


def _column(values: list[Any], kinds: set[str], everywhere: bool) -> Any:
    if "O" in kinds:
        return pd.Series(values, dtype=object)
    if kinds == {"b"}:
        return np.array(values, dtype=bool) if everywhere else pd.Series(values, dtype=object)
    if kinds == {"i"} and everywhere:
        return np.array(values, dtype=np.int64)
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def _all_pairs(done: Sequence[Mapping[str, Any]]) -> pd.DataFrame | None:
    if not any(record.get("pairs") is not None for record in done):
        return None
    rows = [(record["image"]["image"], *pair) for record in done for pair in record.get("pairs") or ()]
    return pd.DataFrame(rows, columns=["image", "label", "neighbour", "border", "overlap"])


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


def described(objects: pd.DataFrame) -> pd.DataFrame:
    """One row per column of a table: its name, unit and source."""
    units, sources = objects.attrs.get("units", {}), objects.attrs.get("sources", {})
    rows = [(name, units.get(name, ""), sources.get(name, "")) for name in objects.columns]
    return pd.DataFrame(rows, columns=["column", "unit", "source"])

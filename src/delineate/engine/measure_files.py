"""Measuring many images in one go: image by image, kept as it goes, one bad file never stops the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from delineate.core.errors import DelineateError, InputError
from delineate.measurements import (
    Groups,
    distributions,
    measured_table,
    summary,
    touching_pairs,
    volume_table,
)
from delineate.measurements.volume import numbered_labels
from delineate.measurements.volume_groups import touching_voxels

from .measure import renumbered
from .measure_joined import Measured, joined, kind_of, plain
from .measure_journal import MeasureJournal
from .measure_large import measure_large
from .measure_pictures import PictureSettings, write_pictures
from .measure_scale import Scale
from .measure_sources import Found, Item
from .plate_map import well_of

Told = Callable[[str, Mapping[str, Any]], object]
MOST_NOTED = 100_000
"""Rows of an image that are kept against a kill; one with more is measured again."""
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
        pictures: overlays, label images and pages that are written beside the tables; None: none.
        plate: read wells from the images' names.
    """

    groups: Groups = field(default_factory=Groups)
    pixel_size: float | None = None
    unit: str = "µm"
    z_step: float | None = None
    pictures: PictureSettings | None = None
    plate: bool = False

    def plain(self) -> dict[str, Any]:
        """All of it as plain values, for the journal."""
        shown = self.pictures
        drawn = None if shown is None else [shown.overlays, shown.pages]
        return {**asdict(self), "pictures": drawn}


def measure_items(
    items: Sequence[Item],
    settings: RunSettings,
    journal: MeasureJournal | None = None,
    tell: Told | None = None,
    given_up: Mapping[str, str] | None = None,
) -> Measured:
    """Measures every item.

    Args:
        items: what to measure.
        settings: how.
        journal: what is done already is taken from it; what is measured is noted in it.
        tell: called with an item's name and its row of the table of images; a failed one has ``reason``.
        given_up: reason by name of items that were tried elsewhere and are not tried again.
    """
    records: list[dict[str, Any]] = []
    failed: list[tuple[str, str]] = []
    for item in items:
        known = journal.get(item.name, item.stamp) if journal is not None else None
        if known is None:
            try:
                if given_up is not None and item.name in given_up:
                    raise InputError(given_up[item.name])
                known = record_of(item, settings)
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
            elif journal is not None and len(known["objects"]["label"]) <= MOST_NOTED:
                journal.add(item.name, item.stamp, known)
        records.append(known)
        if tell is not None:
            tell(item.name, known["image"])
    return joined(records, tuple(failed))


def _head(item: Item, settings: RunSettings) -> dict[str, Any]:
    """The columns that tell which image it is."""
    clash = {key: value for key, value in item.groups.items() if key != "image"}
    return {"image": item.name, **clash} | ({"well": well_of(item.name)} if settings.plate else {})


def _looked_at(item: Item, found: Found, scale: Scale, settings: RunSettings) -> Any:
    """An image's rows, what its line tells, its pairs, and the columns and the line of its pictures."""
    groups, size = settings.groups, scale.size
    if found.large is not None:
        made = measure_large(found.large, groups, scale, settings.pictures, item.file)
        pairs = None if made.pairs is None else [[*pair, 0] for pair in made.pairs.tolist()]
        return made.frame, _line(made.frame), pairs, {}, made.line
    if found.stack is not None:
        frame = volume_table(found.stack, found.image, size, scale.unit, groups)
        pairs = _stack_pairs(found.stack) if groups.neighbours else None
        line = distributions(frame) | {"coverage": frame.attrs["coverage"]}
        return frame, line, pairs, {}, {}
    assert found.objects is not None
    side: Any = size
    frame = measured_table(found.objects, found.image, side, scale.unit, groups)
    pairs = _pairs(found) if groups.neighbours else None
    if found.ids is not None:
        renumbered(frame, found.ids)
    return frame, _line(frame), pairs, *_pictures(item, found, frame, scale, settings)


def _line(frame: pd.DataFrame) -> dict[str, Any]:
    own = {str(k): v for k, v in summary(frame).iloc[0].items() if k not in ("count", "area_median")}
    return distributions(frame) | own


def record_of(item: Item, settings: RunSettings) -> dict[str, Any]:
    """The record of one image: its rows, its line, its pairs, as plain values."""
    found = item.look()
    scale = _scale(found, settings)
    head = _head(item, settings)
    frame, line, pairs, columns, shown = _looked_at(item, found, scale, settings)
    for at, (name, value) in enumerate((head | columns).items()):
        frame.insert(at, name if name not in frame else f"image_{name}", value)
    sides = frame.attrs["size"]
    size_of = dict(zip(("slices", "height", "width")[-len(sides) :], sides, strict=True))
    told = {"pixel_size": _shown(scale.size), "unit": scale.unit if scale.size is not None else ""}
    told |= {"pixel_size_source": scale.source, "notes": "; ".join(found.notes)}
    return {
        "image": head | {"status": "done", "reason": ""} | size_of | line | told | shown,
        "objects": {str(name): plain(frame[name]) for name in frame.columns},
        "kinds": {str(name): kind_of(frame[name]) for name in frame.columns},
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


def _stack_pairs(stack: NDArray[Any]) -> list[list[int]]:
    ids, numbered = numbered_labels(stack)
    pairs = touching_voxels(numbered)
    return [[int(ids[i - 1]), int(ids[j - 1]), n, 0] for i, j, n in pairs.tolist()]


def _pairs(found: Found) -> list[list[int]]:
    assert found.objects is not None
    if found.objects.masks is None:
        return []
    pairs = touching_pairs(found.objects)
    return (pairs if found.ids is None else renumbered(pairs, found.ids)).to_numpy().tolist()


def _pictures(
    item: Item, found: Found, frame: pd.DataFrame, scale: Scale, settings: RunSettings
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Writes an image's overlay, page, and label image where there was none; their columns and line."""
    if settings.pictures is None or found.objects is None:
        return {}, {}
    side = scale.size if scale.unit == "µm" and isinstance(scale.size, float) else None
    written = settings.pictures
    return write_pictures(
        item.file, found.objects, found.image, frame, written, side, item.name, found.ids is None
    )


def _shown(size: Any) -> Any:
    return (
        "" if size is None else " x ".join(f"{s:g}" for s in size) if isinstance(size, tuple) else float(size)
    )

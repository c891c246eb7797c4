"""Fruit in photographs: counted, measured in millimetres with an error, graded by colour; a row for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delineate.apply.crops import EDGE, check_kind, sizes
from delineate.apply.plane_scale import PlaneScale
from delineate.apply.ripeness import Grades, colours
from delineate.apply.round_fruit import Lens
from delineate.core.errors import InputError
from delineate.core.instances import Instances

from .crops_columns import annotated
from .crops_overlap import Seen, mark_counted, number_fruit, seen
from .crops_plots import Plots, put_into_plots, yield_table
from .crops_run import CropsResult, Told, each_item, plain, table_of
from .crops_scale import ScaleChoice, check_shape, lens_of_photo, scale_of_photo
from .crops_tags import photo_tags, photograph
from .crops_views import CropsViews, Shown, page_entries, with_links
from .measure_journal import MeasureJournal
from .measure_sources import Found, Item
from .track import of_classes

HIDDEN = 0.9
"""Solidity below which something probably lies over a fruit."""
FIRST = ("image", "overlay", "link", "number", "class", "score")
LENGTHS = (
    "equivalent_diameter_area",
    "feret_diameter_max",
    "feret_diameter_min",
    "axis_major_length",
    "axis_minor_length",
)


@dataclass(frozen=True)
class FruitSettings:
    """What is measured of fruit, and what is written beside the tables.

    Attributes:
        scale: how millimetres are found.
        edge: pixels by which outlines may be wrong, all around.
        diameter: which diameter counts; see :data:`delineate.apply.crops.KINDS`.
        grades: by colour, or None.
        classes: these alone; none: all.
        views: overlays and pages that are written, or None.
        overlapping: photographs overlap, and a fruit in several of them counts once.
        plots: of the field, or None.
        density: g/cm3, for masses, or None.
        shape: of the fruit; see :data:`delineate.engine.crops_scale.SHAPES`.

    Raises:
        InputError: an unknown diameter, an edge that is negative, or a density that is not positive.
    """

    scale: ScaleChoice = field(default_factory=ScaleChoice)
    edge: float = EDGE
    diameter: str = "equal_area"
    grades: Grades | None = None
    classes: tuple[str, ...] = ()
    views: CropsViews | None = None
    overlapping: bool = False
    plots: Plots | None = None
    density: float | None = None
    shape: str = "auto"

    def __post_init__(self) -> None:
        check_kind(self.diameter)
        check_shape(self.shape)
        if not 0 <= self.edge <= 100:
            raise InputError(f"--edge-error: expected 0 to 100 pixels, got {self.edge:g}; try 0.5")
        if self.density is not None and not 0 < self.density < 30:
            raise InputError(f"--density: expected g/cm3 above 0, got {self.density:g}; water has 1")

    def plain(self) -> dict[str, Any]:
        """All of it as plain values, for journal and tables."""
        plain_ones = {
            f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("plots", "grades", "views")
        }
        shown = None if self.views is None else [self.views.overlays, self.views.pages]
        scale, grades = asdict(self.scale), None if self.grades is None else asdict(self.grades)
        return {**plain_ones, "scale": scale, "grades": grades, "views": shown}

    def told(self) -> dict[str, Any]:
        """What the tables' metadata say."""
        grades = {} if self.grades is None else {"grades": self.grades.told()}
        shape = "round" if self.scale.is_round(self.shape) else "flat"
        told = {"diameter": self.diameter, "edge_error_px": self.edge, "scale": self.scale.kind}
        told |= {"shape": shape, **grades}
        return told if self.density is None else {**told, "density_g_per_cm3": self.density}


def fruit_items(
    items: Sequence[Item],
    settings: FruitSettings,
    journal: MeasureJournal | None = None,
    tell: Told | None = None,
) -> CropsResult:
    """Counts, measures and grades the fruit of every item.

    Args:
        items: photographs and their objects, as :mod:`delineate.engine.measure_sources` gives them.
        settings: how.
        journal: what is done already is taken from it.
        tell: called with each item's name and its row.
    """
    photos: list[Seen] = []
    keep = photos.append if settings.overlapping else None
    journal = None if settings.overlapping else journal  # outlines, which overlaps need, are not kept in it
    records, failed = each_item(items, lambda item: fruit_of(item, settings, keep), journal, tell)
    if settings.overlapping:
        _number(records, photos)
    return joined(records, failed, settings)


def _number(records: Sequence[dict[str, Any]], photos: list[Seen]) -> None:
    """Writes into the rows of all photographs which of them are one fruit."""
    numbers, pairs = number_fruit(photos)
    by_name = {photo.name: mine for photo, mine in zip(photos, numbers, strict=True)}
    rows = []
    for record in records:
        mine = record.get("objects", [])
        for row, number in zip(mine, by_name.get(record["image"]["image"], ()), strict=True):
            row["fruit"] = int(number)
        rows += mine
        name = record["image"]["image"]
        record["image"]["overlaps"] = "; ".join(b if a == name else a for a, b, _ in pairs if name in (a, b))
    mark_counted(rows)
    for record in records:
        if "objects" in record:
            record["image"]["counted"] = sum(row["counted"] for row in record["objects"])


def joined(
    records: Sequence[dict[str, Any]], failed: tuple[tuple[str, str], ...], settings: FruitSettings
) -> CropsResult:
    """The tables of all images' records."""
    objects = table_of(records, "objects", [*dict.fromkeys((*FIRST, *fruit_columns(settings)))])
    lines, pages = page_entries(records, settings.views, ("count",))
    images = pd.DataFrame(lines)
    tables = {"objects": objects, "images": images}
    if settings.plots is not None:
        put_into_plots(images, objects, settings.plots)
        tables["plots"] = yield_table(images, objects, settings.plots, settings.density)
    annotated(objects, list(tables.values())[1:], settings.told())
    return CropsResult(tables, images, failed, pages)


def fruit_of(
    item: Item, settings: FruitSettings, keep: Callable[[Seen], object] | None = None
) -> dict[str, Any]:
    """The record of one photograph: its rows and its line, as plain values; ``keep`` gets its features."""
    found = item.look()
    path = photograph(item.files)
    objects = _chosen(found, settings)
    if keep is not None:
        if found.image is None:
            raise InputError("--overlapping: expected the photographs, got labels alone; give them too")
        keep(seen(item.name, found.image, objects))
    scale, lens, warning = _scale(found, objects, path, settings)
    frame = fruit_table(objects, found.image, scale, settings, lens)
    numbers = np.arange(1, len(objects) + 1) if found.ids is None else found.ids
    head: dict[str, Any] = {"image": item.name, **item.groups}
    links: list[str] | None = None
    page: dict[str, Any] = {}
    if settings.views is not None:
        head |= settings.views.head(item.file)
        marked = frame[["partly_hidden", "touches_border", "degenerate"]].any(axis=1).to_numpy(bool)
        told = tuple(warning) if scale is None else (f"scale: {scale.source}", *warning)
        shown = Shown(frame, np.asarray(numbers, np.int64), marked, told)
        links, page = settings.views.write(item.file, item.name, objects, found.image, shown)
    tags = photo_tags(path)
    line = head | {"status": "done", "reason": "", "warning": "; ".join([*found.notes, *warning])}
    line |= {"height": objects.size[0], "width": objects.size[1], **_summary(frame, objects, scale, settings)}
    if settings.scale.is_round(settings.shape):
        line["focal_px"] = None if lens is None else lens.focal
        line["focal_source"] = "" if lens is None else lens.source
    line |= {"latitude": tags.latitude, "longitude": tags.longitude}
    rows = [
        {**head, "number": int(number), **{str(k): plain(v) for k, v in row.items()}}
        for number, row in zip(numbers, frame.to_dict("records"), strict=True)
    ]
    image = {k: plain(v) for k, v in (line | page).items()}
    return {"image": image, "objects": with_links(rows, links)}


def _chosen(found: Found, settings: FruitSettings) -> Instances:
    if found.objects is None:
        raise InputError("expected a photograph, got a stack of slices; give single images")
    if settings.classes and found.ids is None:
        return of_classes(found.objects, settings.classes)
    return found.objects


def _scale(
    found: Found, objects: Instances, path: Path | None, settings: FruitSettings
) -> tuple[PlaneScale | None, Lens | None, list[str]]:
    """The photograph's scale and, for round fruit, its lens; without them fruit is counted all the same."""
    try:
        scale = scale_of_photo(settings.scale, found.image, objects.size, path, found.scale, objects)
    except InputError as error:
        return None, None, [f"no size in mm: {error}"]
    lens = lens_of(scale, objects.size, settings, path)
    notes = [scale.note] if scale is not None and scale.note else []
    if lens is not None and lens.source.startswith("assumed"):
        notes.append(
            f"the focal length is not known and taken to be {lens.focal:g} px, so round fruit are less sure; "
            "give --focal"
        )
    return scale, lens, notes


def lens_of(
    scale: PlaneScale | None, size: tuple[int, int], settings: FruitSettings, path: Path | None = None
) -> Lens | None:
    """The lens by which round fruit are measured; None where they are flat, or there is no scale."""
    if scale is None or not settings.scale.is_round(settings.shape):
        return None
    return lens_of_photo(settings.scale, scale, size, path)


def fruit_columns(settings: FruitSettings) -> tuple[str, ...]:
    """The columns of :func:`fruit_table`, in order, where there are all of them."""
    empty = Instances.empty((1, 1))
    scale = PlaneScale.of_pixel(1.0) if settings.scale.kind else None
    return tuple(map(str, fruit_table(empty, np.zeros((1, 1, 3), np.uint8), scale, settings).columns))


def fruit_table(
    objects: Instances,
    image: NDArray[Any] | None,
    scale: PlaneScale | None,
    settings: FruitSettings,
    lens: Lens | None = None,
) -> pd.DataFrame:
    """A row for each fruit, in order.

    Args:
        objects: N fruit with masks.
        image: (H, W, 3) for the colours; None or grey leaves them out.
        scale: of the image; None leaves millimetres out.
        settings: how.
        lens: of the camera, for round fruit; None: flat.
    """
    flat = sizes(objects, None, settings.edge)
    columns: dict[str, Any] = {"class": objects.names, "score": objects.scores.astype(np.float64)}
    columns |= {"x": flat.x, "y": flat.y, "area": flat.area, "diameter": flat.diameter(settings.diameter)}
    columns["diameter_error"] = flat.diameter_error(settings.diameter)
    columns |= {name: getattr(flat, name) for name in LENGTHS}
    if scale is not None:
        columns |= _in_mm(objects, scale, settings, lens)
    columns |= _marks(objects)
    if image is not None and image.ndim == 3 and image.shape[2] == 3:
        seen = colours(objects, image, settings.grades)
        columns |= {name: getattr(seen, name) for name in ("lightness", "a", "b", "hue", "chroma")}
        columns["judged_share"] = seen.judged
        if settings.grades is not None:
            columns["ripe_share"] = seen.ripe
            columns["grade"] = [settings.grades.grade(float(share)) for share in seen.ripe]
    return pd.DataFrame(columns)


def _in_mm(
    objects: Instances, scale: PlaneScale, settings: FruitSettings, lens: Lens | None
) -> dict[str, Any]:
    real = sizes(objects, scale, settings.edge, lens)
    places = scale.to_mm(np.nan_to_num(real.feet))
    places[np.isnan(real.x)] = np.nan
    return {
        "diameter_mm": real.diameter(settings.diameter),
        "diameter_error_mm": real.diameter_error(settings.diameter),
        "area_mm2": real.area,
        **{f"{name}_mm": getattr(real, name) for name in LENGTHS},
        "volume_cm3": real.volume / 1000,
        "x_mm": places[:, 0],
        "y_mm": places[:, 1],
        "mm_per_pixel": real.unit_per_pixel,
        "scale_error": real.scale_error,
    }


def _marks(objects: Instances) -> dict[str, Any]:
    """What is in doubt of each, flagged instead of left out."""
    from delineate.measurements import Groups, measured_table

    frame = measured_table(objects, None, None, "px", Groups())
    return {
        "solidity": frame["solidity"].to_numpy(),
        "partly_hidden": (frame["solidity"] < HIDDEN).to_numpy(bool),
        "touches_border": frame["touches_border"].to_numpy(bool),
        "degenerate": frame["degenerate"].to_numpy(bool),
    }


def _summary(
    frame: pd.DataFrame, objects: Instances, scale: PlaneScale | None, settings: FruitSettings
) -> dict[str, Any]:
    """The image's numbers: count, scale, medians, grades."""
    line: dict[str, Any] = {"count": len(frame), "median_diameter": _median(frame["diameter"])}
    if settings.scale.kind:
        line["scale_source"] = "" if scale is None else scale.source
        middle = [[objects.size[1] / 2, objects.size[0] / 2]]
        line["mm_per_pixel"] = np.nan if scale is None else float(scale.mm_per_pixel(middle)[0])
        line["scale_error"] = np.nan if scale is None else float(scale.error_at(middle)[0])
        line["median_diameter_mm"] = np.nan if scale is None else _median(frame["diameter_mm"])
        line["photographed_m2"] = np.nan if scale is None else photographed(scale, objects.size)
    if settings.grades is not None:
        graded = frame["grade"] if "grade" in frame else pd.Series([], dtype=object)
        for name, _ in settings.grades.steps:
            line[f"grade_{name.replace(' ', '_')}"] = int((graded == name).sum())
    return line


def photographed(scale: PlaneScale, size: tuple[int, int]) -> float:
    """Square metres of the plane that an image of ``size`` (height, width) shows.

    Example:
        >>> photographed(PlaneScale.of_pixel(10.0), (100, 200))
        2.0
    """
    x, y = scale.to_mm([[0, 0], [size[1], 0], [size[1], size[0]], [0, size[0]]]).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2e6)


def _median(values: Any) -> float:
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    return float(np.median(known)) if len(known) else float("nan")

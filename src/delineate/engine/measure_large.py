"""Label images of any size, measured by windows: each object whole, in the window that holds it.

A first walk (:mod:`delineate.engine.measure_survey`) finds every object's box. Objects are then taken tile by
tile, by the middle of their boxes; a window reaches as far as the tile's objects do, so none is cut, and the
numbers are those of the whole image. What compares objects with one another (marks, neighbours, the grey
levels of texture) is done over all of them. Memory follows the tile and the number of rows, not the image; an
object as large as the image needs the image.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.data.rasters import Raster
from delineate.measurements import Groups, measured_table
from delineate.measurements.glossary import annotate
from delineate.measurements.neighbours import place_columns
from delineate.measurements.quality import blurred, outliers
from delineate.measurements.units import add_physical

from .measure import labelled
from .measure_large_files import LargeLabels
from .measure_pictures import PictureSettings, write_pictures
from .measure_scale import Scale
from .measure_survey import Survey, survey
from .objects_page import THUMBNAIL, PageEntry, thumbnail_of, write_index

TILE = 2048
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LargeTable:
    """What is measured of a large label image.

    Attributes:
        frame: a row per object, columns of pictures included.
        pairs: (P, 3) labels that touch and the edges that they share; None where not asked for.
        line: columns of the image's row about its pictures.
    """

    frame: pd.DataFrame
    pairs: Ints | None
    line: dict[str, Any]


def measure_large(
    files: LargeLabels,
    groups: Groups,
    scale: Scale,
    pictures: PictureSettings | None = None,
    file: str = "image",
    tell: Callable[[int, int], object] | None = None,
) -> LargeTable:
    """Measures by windows; the numbers are those of :func:`delineate.measure` on the whole.

    Args:
        files: what to measure.
        groups: columns beyond shape and brightness.
        scale: of the pixels.
        pictures: overlays and pages, a tile each; None: none.
        file: what they are called.
        tell: called with the tiles done and all of them.

    Raises:
        InputError: damaged files.
    """
    labels, image = files.open()
    try:
        ranged = groups.texture and groups.value_range is None
        known = survey(labels, image if ranged else None, groups.neighbours)
        plain = replace(groups, neighbours=False, radius=None, value_range=known.ranges or groups.value_range)
        tiles = list(_tiles(known, labels.size, 2 * int(np.ceil(groups.background)) + 1))
        parts, entries = [], []
        for number, tile in enumerate(tiles):
            found, pixels, frame = _measured(labels, image, tile, plain)
            columns, line = _drawn(found, pixels, frame, tile, pictures, file)
            _moved(frame, tile)
            for at, (name, value) in enumerate(columns.items()):
                frame.insert(at, name, value)
            parts.append(frame)
            entries += [_entry(line, tile, pictures, len(frame))] if "page" in line and pictures else []
            if tell is not None:
                tell(number + 1, len(tiles))
        whole = _whole(parts, labels, image, known, groups)
        line = _index(pictures, file, entries, labels if image is None else image)
    finally:
        labels.close()
        if image is not None:
            image.close()
    if scale.size is not None:
        whole = add_physical(whole, float(scale.size), scale.unit)  # type: ignore[arg-type]
    return LargeTable(annotate(whole), known.pairs if groups.neighbours else None, line)


@dataclass(frozen=True)
class _Tile:
    """Objects that are measured together, and the window that holds them.

    Attributes:
        ids: (K,) their labels.
        box: x0, y0, x1, y1 of the window.
    """

    ids: Ints
    box: tuple[int, int, int, int]

    @property
    def name(self) -> str:
        return f"y{self.box[1]:06d}-x{self.box[0]:06d}"


def _tiles(known: Survey, size: tuple[int, int], margin: int) -> Iterator[_Tile]:
    """Objects by the tile that has the middle of their box; one larger than a tile stands alone."""
    boxes = known.boxes
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)
    middle = (boxes[:, :2] + boxes[:, 2:]) // 2 // TILE
    place = middle[:, 0] * (size[1] // TILE + 1) + middle[:, 1]
    alone = np.flatnonzero(sides > TILE)
    place[alone] = place.max(initial=0) + 1 + np.arange(len(alone))
    order = np.argsort(place, kind="stable")
    for some in np.split(order, np.flatnonzero(np.diff(place[order])) + 1):
        if len(some):
            y0, x0 = np.maximum(boxes[some, :2].min(axis=0) - margin, 0).tolist()
            y1, x1 = np.minimum(boxes[some, 2:].max(axis=0) + margin, size).tolist()
            yield _Tile(known.ids[some], (x0, y0, x1, y1))


def _measured(
    labels: Raster, image: Raster | None, tile: _Tile, groups: Groups
) -> tuple[Instances, NDArray[Any] | None, pd.DataFrame]:
    """A tile's objects, its pixels, and the objects' rows, still in the window's own rows and columns."""
    window = labels.window(*tile.box)
    pixels = None if image is None else image.window(*tile.box)
    found, ids = labelled(window)
    mine = np.flatnonzero(np.isin(ids, tile.ids))
    if not groups.background:  # of which the neighbours are needed
        found, ids, mine = found[mine], ids[mine], np.arange(len(mine))
    frame = measured_table(found, pixels, groups=groups).iloc[mine].reset_index(drop=True)
    frame["label"] = ids[mine]
    return found[mine], pixels, frame


def _moved(frame: pd.DataFrame, tile: _Tile) -> None:
    """Rows and columns become those of the whole image, in place."""
    for axis, first in ((0, tile.box[1]), (1, tile.box[0])):
        for name in (f"bbox-{axis}", f"bbox-{axis + 2}", f"centroid-{axis}"):
            frame[name] += first


def _drawn(
    found: Instances,
    pixels: NDArray[Any] | None,
    frame: pd.DataFrame,
    tile: _Tile,
    pictures: PictureSettings | None,
    file: str,
) -> tuple[dict[str, Any], dict[str, Any]]:
    if pictures is None:
        return {}, {}
    x0, y0, x1, y1 = tile.box
    title = f"{file}: rows {y0} to {y1}, columns {x0} to {x1}"
    return write_pictures(f"{file}/{tile.name}", found, pixels, frame, pictures, title=title)


def _entry(line: dict[str, Any], tile: _Tile, pictures: PictureSettings, count: int) -> PageEntry:
    thumbnail = base64.b64decode(line["thumbnail"])
    return PageEntry(pictures.folder / line["page"], tile.name, count, thumbnail)


def _index(
    pictures: PictureSettings | None, file: str, entries: list[PageEntry], shown: Raster
) -> dict[str, Any]:
    """What the image's row tells: the index of its tiles' pages, and a thumbnail of the whole."""
    if pictures is None or not entries:
        return {}
    path = pictures.folder / "pages" / file / "index.html"
    write_index(path, entries, f"{file}, by tiles")
    overview = shown.overview(THUMBNAIL)
    if shown.labels:
        overview = (overview > 0).astype(np.uint8) * np.uint8(255)
    line = {"page": path.relative_to(pictures.folder).as_posix()}
    return line | {"thumbnail": base64.b64encode(thumbnail_of(overview)).decode("ascii")}


def _whole(
    parts: list[pd.DataFrame], labels: Raster, image: Raster | None, known: Survey, groups: Groups
) -> pd.DataFrame:
    """All rows, labels ascending, with what only the whole image tells."""
    if not parts:
        channels = () if image is None or image.channels == 1 else (image.channels,)
        blank = None if image is None else np.zeros((1, 1, *channels), image.dtype)
        parts = [measured_table(Instances.empty((1, 1), Labels(("object",))), blank, groups=groups)]
    kept = parts[0].attrs
    for part in parts:
        part.attrs = {}
    frame = pd.concat(parts, ignore_index=True)
    parts.clear()
    frame = frame.iloc[np.argsort(frame["label"].to_numpy(), kind="stable")].reset_index(drop=True)
    height, width = labels.size
    frame["touches_border"] = (
        (frame["bbox-0"] <= 0)
        | (frame["bbox-1"] <= 0)
        | (frame["bbox-2"] >= height)
        | (frame["bbox-3"] >= width)
    ) & (frame["area"] > 0)
    frame["outlier"] = outliers(frame["area"].to_numpy(np.float64))
    if "sharpness" in frame:
        frame["blurred"] = blurred(frame["sharpness"].to_numpy(np.float64))
    if groups.neighbours and len(known.ids):
        for name, values in _neighbours(frame, known, groups.radius).items():
            frame[name] = values
    frame.attrs = {k: v for k, v in kept.items() if k in ("background_width_px", "texture")}
    frame.attrs |= {"size": labels.size, "coverage": float(known.areas.sum()) / (height * width)}
    if groups.neighbours and groups.radius is not None:
        frame.attrs["radius_px"] = groups.radius
    return frame


def _neighbours(frame: pd.DataFrame, known: Survey, radius: float | None) -> dict[str, NDArray[Any]]:
    place = np.searchsorted(known.ids, known.pairs[:, :2])
    touching = np.bincount(place.ravel(), minlength=len(known.ids))
    centroids = frame[["centroid-0", "centroid-1"]].to_numpy(np.float64)
    columns = place_columns(touching, centroids, radius)
    nearest = columns["nearest_label"]
    far = np.isfinite(nearest)
    own = known.ids[nearest[far].astype(np.int64) - 1]
    if far.all():
        return {**columns, "nearest_label": own}  # whole numbers, as of a small image
    nearest[far] = own
    return columns

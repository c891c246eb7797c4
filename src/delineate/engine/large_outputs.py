"""The files of one large image: which there are, and their sinks."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.input_spec import Brightness
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.data.rasters import OmeTiffWriter, OmeZarrWriter

from .large_pictures import Canvas, FullPicture, LabelCanvas, Painter, SmallPicture
from .large_tables import CsvSink, GeoJsonSink, ParquetSink, Piece, Sink, Whole, measured_rows
from .large_windows import Region, cells

KINDS = ("overlay", "numbers", "labels", "zarr", "csv", "parquet", "geojson", "qupath")
SAVED = ("overlay", "labels", "csv", "geojson")
ENDINGS = {
    "overlay": ".overlay.png",
    "numbers": ".numbers.ome.tif",
    "labels": ".labels.ome.tif",
    "zarr": ".objects.ome.zarr",
    "csv": ".measurements.csv",
    "parquet": ".measurements.parquet",
    "geojson": ".geojson",
    "qupath": ".qupath.geojson",
}
"""How the files of an image end, by kind."""
CELL = 1024
"""Objects are measured together that lie in one square of so many pixels."""
MEASURED = ("area", "perimeter", "circularity", "solidity", "eccentricity", "feret_diameter_max")
"""Measures that go into QuPath's own table, beside the brightness."""


def check_kinds(kinds: tuple[str, ...]) -> None:
    """Refuse, before a long run, kinds of files that are not written.

    Raises:
        InputError: there is one.
    """
    if not set(kinds) <= set(KINDS):
        strange = ", ".join(k for k in kinds if k not in KINDS)
        raise InputError(
            f"save: expected some of {','.join(KINDS)} for a large image, got {strange}; choose of these"
        )


class LargeOutputs:
    """All files of one image; finished objects are numbered, measured and handed to each.

    Args:
        folder: where they go; it exists.
        stem: what they are called, without ending.
        kinds: which of :data:`KINDS`.
        region: the image.
        whole: what tables say of it.
        classes: of the objects.
    """

    def __init__(
        self,
        folder: Path,
        stem: str,
        kinds: tuple[str, ...],
        region: Region,
        whole: Whole,
        classes: Labels,
    ) -> None:
        self.paths = {kind: folder / (stem + ENDINGS[kind]) for kind in KINDS if kind in kinds}
        self.region, self.whole, self.classes = region, whole, classes
        self.count = 0
        self.found = np.zeros(len(classes), dtype=np.int64)
        self._sinks: list[Sink] = []
        self._painter = Painter(region, [])
        try:
            self._open()
        except BaseException:
            self.abort()
            raise

    def _open(self) -> None:
        paths, region = self.paths, self.region
        makers: dict[str, Any] = {"csv": CsvSink, "parquet": ParquetSink, "geojson": GeoJsonSink}
        makers["qupath"] = lambda path: GeoJsonSink(path, quantities)
        for kind, path in paths.items():
            if kind in makers:
                self._sinks.append(makers[kind](path))
        canvases = self._painter.canvases
        side, size = self.whole.pixel_size, region.raster.size
        if "labels" in paths:
            tiff = OmeTiffWriter(paths["labels"], size, dtype=np.uint32, labels=True, pixel_size=side)
            canvases.append(LabelCanvas(tiff, region))
        if "zarr" in paths:
            zarr = OmeZarrWriter(
                paths["zarr"], size, dtype=np.uint32, labels="objects", pixel_size=side, overwrite=True
            )
            canvases.append(LabelCanvas(zarr, region))
        if "overlay" in paths or "numbers" in paths:
            self._open_pictures(canvases)

    def _open_pictures(self, canvases: list[Canvas]) -> None:
        region, paths = self.region, self.paths
        shown = _shown(region)
        tints: NDArray[np.uint8] | None = self.classes.colors if len(self.classes) > 1 else None
        if "overlay" in paths:
            canvases.append(SmallPicture(paths["overlay"], region, tints, shown))
        if "numbers" in paths:
            writer = OmeTiffWriter(
                paths["numbers"], region.size, channels=3, pixel_size=self.whole.pixel_size
            )
            canvases.append(FullPicture(writer, region, tints, shown))

    def add(self, top: int, found: Instances) -> None:
        """Some finished objects, in a frame of the region that begins at row ``top``.

        They are numbered from left to right in squares, in each by descending score.
        """
        if not len(found):
            return
        middle = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
        square = (middle[:, 1] + top) // CELL * (found.size[1] // CELL + 1) + middle[:, 0] // CELL
        order = np.lexsort((-found.scores, square))
        found, square = found[order], square[order]
        bounds = [0, *(np.flatnonzero(np.diff(square)) + 1).tolist(), len(found)]
        for first, last in pairwise(bounds):
            self._add_some(top, found[first:last])

    def _add_some(self, top: int, found: Instances) -> None:
        """Objects of one square: in a frame of their own, just large enough."""
        x0, y0 = np.maximum(0, np.floor(found.boxes[:, :2].min(axis=0)) - 2).astype(int).tolist()
        y0 = max(-top, y0)
        x1, y1 = (np.ceil(found.boxes[:, 2:].max(axis=0)) + 2).astype(int).tolist()
        x1, y1 = min(x1, self.region.size[1]), min(y1, self.region.size[0] - top)
        masks = None if found.masks is None else found.masks.window(x0, y0, x1, y1)
        boxes = found.boxes - np.array([x0, y0, x0, y0], dtype=np.float32)
        framed = found.replace(size=(y1 - y0, x1 - x0), boxes=boxes, masks=masks)
        corner = (self.region.x + x0, self.region.y + top + y0)
        rows = pd.DataFrame()
        if self._sinks:
            pixels = self.region.pixels((x0, top + y0, x1, top + y1))
            rows = measured_rows(framed, corner, self.count + 1, pixels, self.whole)
        piece = Piece(*corner, framed, self.count + 1, rows)
        for sink in self._sinks:
            sink.add(piece)
        self._painter.add(piece)
        self.count += len(found)
        self.found += np.bincount(found.labels, minlength=len(self.classes))

    def paint(self, final: int) -> None:
        """No object is to come above row ``final`` of the region: what lies there is painted."""
        self._painter.paint(final)

    def close(self) -> dict[str, Path]:
        """Completes all files. Returns path by kind."""
        if not self.count:
            self._describe_nothing()
        self._painter.close()
        for sink in self._sinks:
            sink.close()
        return self.paths

    def _describe_nothing(self) -> None:
        """Tables without a row have their columns all the same."""
        nothing = Instances.empty((4, 4), self.classes)
        pixels = self.region.pixels((0, 0, min(4, self.region.size[1]), min(4, self.region.size[0])))
        image = np.zeros((4, 4, *pixels.shape[2:]), pixels.dtype)
        piece = Piece(0, 0, nothing, 1, measured_rows(nothing, (0, 0), 1, image, self.whole))
        for sink in self._sinks:
            sink.add(piece)

    def abort(self) -> None:
        """Leaves nothing behind."""
        self._painter.abort()
        for sink in self._sinks:
            sink.abort()


def _shown(region: Region) -> Brightness | None:
    """What a picture shows as black and white, of images that are not of bytes."""
    from delineate.core.input_spec import brightness_of

    if region.raster.dtype == np.uint8:
        return None
    picture = region.raster.overview(1024)
    nodata = region.raster.nodata
    if nodata is not None:
        values = picture[picture != nodata]
        picture = values[:, None] if len(values) else picture
    return brightness_of(picture, "range")


def quantities(rows: pd.DataFrame) -> dict[str, Any]:
    """Columns for QuPath's table of measurements, named as it names its own: ``Area px^2``."""
    units = rows.attrs.get("units", {})
    found = {}
    for name in rows.columns:
        stem = re.sub(r"_um2?$", "", str(name))
        if stem in MEASURED or str(name).startswith("intensity_mean"):
            title = stem.replace("_", " ").capitalize()
            found[f"{title} {units.get(name, '')}".strip()] = rows[name].to_numpy(np.float64)
    return found


def sample_windows(region: Region, of_tissue: Any) -> list[tuple[int, int, int, int]]:
    """What is read for the brightness: all of a region in squares, or those that have tissue."""
    every = cells(region.size, CELL)
    if of_tissue is None:
        return every
    x, y = region.x, region.y
    return [w for w in every if of_tissue.meets(w[0] + x, w[1] + y, w[2] + x, w[3] + y)]

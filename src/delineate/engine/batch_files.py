"""The files that `predict` writes for each image: pictures, labels, outlines, regions."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from delineate.apply.cutouts import cutouts
from delineate.apply.draw import overlay
from delineate.apply.geojson import to_geojson
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.lean_outlines import lean_outlines
from delineate.data.formats.imagej_roi import LARGEST_SIDE, encode
from delineate.data.images import ImageFile, write_label_tiff, write_png
from delineate.data.rasters.write_ome_zarr import OmeZarrWriter
from delineate.data.write import atomic
from delineate.measurements.summary import MARKS

from .atomic import write_atomically
from .measure_overlay import numbered_overlay
from .objects_page import write_page

ENDINGS = {
    "overlay": ".overlay.png",
    "numbers": ".numbers.png",
    "page": ".html",
    "labels": ".labels.tif",
    "zarr": ".objects.ome.zarr",
    "geojson": ".geojson",
    "qupath": ".qupath.geojson",
    "rois": "_RoiSet.zip",
    "crops": ".crops",
}
"""How the files of an image end, by kind."""
NEED_MASKS = ("numbers", "labels", "zarr", "geojson", "qupath", "rois")
FROM_TABLE = (
    "area",
    "perimeter",
    "circularity",
    "solidity",
    "eccentricity",
    "feret_diameter_max",
    "feret_diameter_min",
)
"""Measures that go into QuPath's own table, beside those in physical units and the brightness."""


@dataclass(frozen=True, eq=False)
class Picture:
    """What is written of one image.

    Attributes:
        image: its pixels and what is known of it.
        found: its objects.
        measured: a row for each.
        pixel_size: side of a pixel in µm, or None.
    """

    image: ImageFile
    found: Instances
    measured: pd.DataFrame
    pixel_size: float | None


def write_kind(kind: str, path: Path, picture: Picture) -> None:
    """Writes one file (for ``crops`` a folder) of an image, whole or not at all.

    Args:
        kind: one of :data:`ENDINGS`.
        path: where to.
        picture: what is written.
    """
    WRITERS[kind](path, picture)


def write_json(path: Path, record: Any) -> None:
    """One JSON document, atomically, in ASCII."""
    text = json.dumps(record, separators=(",", ":"), allow_nan=False).encode("ascii")
    write_atomically(path, lambda file: file.write(text))


def _overlay(path: Path, picture: Picture) -> None:
    write_png(path, np.asarray(overlay(picture.found, picture.image.pixels)))


def _numbers(path: Path, picture: Picture) -> None:
    frame = picture.measured.copy(deep=False)
    frame.attrs = {}
    marked = frame[[name for name in MARKS[1:] if name in frame]].fillna(False).any(axis=1).to_numpy(bool)
    numbers = frame["label"].to_numpy(np.int64)
    write_png(path, np.asarray(numbered_overlay(picture.found, picture.image.pixels, numbers, marked)))


def _labels(path: Path, picture: Picture) -> None:
    write_label_tiff(path, picture.found.to_label_image(), picture.pixel_size)


def _page(path: Path, picture: Picture) -> None:
    write_page(path, picture.image.pixels, picture.found, picture.measured, title=picture.image.name)


def _zarr(path: Path, picture: Picture) -> None:
    """An OME-Zarr image with its label image ``objects``."""
    pixels, size = picture.image.pixels, picture.pixel_size
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    height, width = picture.image.size
    with OmeZarrWriter(
        path, (height, width), channels=channels, dtype=pixels.dtype, pixel_size=size, overwrite=True
    ) as out:
        out.write(0, 0, pixels)
    labels = picture.found.to_label_image()
    kind = np.uint16 if len(picture.found) < 2**16 else np.uint32
    with OmeZarrWriter(path, (height, width), dtype=kind, labels="objects", pixel_size=size) as out:
        out.write(0, 0, labels.astype(kind))


def _geojson(path: Path, picture: Picture) -> None:
    write_json(path, to_geojson(picture.found))


def _qupath(path: Path, picture: Picture) -> None:
    """As GeoJSON, with a name and measurements that QuPath shows in its tables, and the image's name."""
    document = to_geojson(picture.found)
    measures = _measures(picture.measured)
    for feature in document["features"]:
        own = feature["properties"]
        row = own["label"] - 1
        own["name"] = str(own["label"])
        values = {"Detection probability": own["score"]}
        for name, column in measures.items():
            if np.isfinite(column[row]):
                values[name] = round(float(column[row]), 6)
        own["measurements"] = values
    height, width = picture.found.size
    document["image"] = {"name": picture.image.name, "width": width, "height": height}
    write_json(path, document)


def _measures(frame: pd.DataFrame) -> dict[str, Any]:
    """Columns for QuPath, named as it names them: ``Area px^2``."""
    units = frame.attrs.get("units", {})
    frame = frame.copy(deep=False)
    frame.attrs = {}  # pandas copies them for every column that it hands out
    found = {}
    for name in frame.columns:
        stem = re.sub(r"_um2?$", "", str(name))
        if stem in FROM_TABLE or str(name).startswith("intensity_mean"):
            unit = units.get(name, "").replace("intensity", "")
            title = stem.replace("_", " ").capitalize()
            found[f"{title} {unit}".strip()] = frame[name].to_numpy(np.float64)
    return found


def _rois(path: Path, picture: Picture) -> None:
    """ImageJ's ROI Manager: a region per object, named by its number; its group is its class."""
    found = picture.found
    if max(found.size) > LARGEST_SIDE:
        raise InputError(
            f"{path.name}: expected sides of at most {LARGEST_SIDE} pixels, as ImageJ's regions hold, got "
            f"{found.size[1]} x {found.size[0]}; leave rois out of --save"
        )
    assert found.masks is not None
    colors = found.classes.colors.tolist()
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as packed:
        for i, parts in enumerate(lean_outlines(found.masks)):
            if not parts:
                continue
            label, name = int(found.labels[i]), f"{i + 1:05d}"
            properties = {"class": found.names[i], "label": str(i + 1)}
            properties["score"] = repr(round(float(found.scores[i]), 6))
            group = label + 1 if label < 255 else 0
            entry = zipfile.ZipInfo(f"{name}.roi")  # the same bytes whenever it is written
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, encode(name, parts, None, group, colors[label], properties))


def _crops(folder: Path, picture: Picture) -> None:
    """00001.png and so on, numbered as in table and label image; those of an earlier run go."""
    folder.mkdir(exist_ok=True)
    written = set()
    for i, cut in cutouts(picture.found, picture.image.pixels):
        name = f"{i + 1:05d}.png"
        write_png(folder / name, np.asarray(cut))
        written.add(name)
    for old in [p for p in folder.iterdir() if re.fullmatch(r"\d{5,}\.png", p.name)]:
        if old.name not in written:
            old.unlink()


WRITERS: dict[str, Callable[[Path, Picture], None]] = {
    "overlay": _overlay,
    "numbers": _numbers,
    "page": _page,
    "labels": _labels,
    "zarr": _zarr,
    "geojson": _geojson,
    "qupath": _qupath,
    "rois": _rois,
    "crops": _crops,
}

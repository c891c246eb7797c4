"""All formats of datasets, one row each: what it is called, which module reads and writes it, what it holds.

A format is a module in ``formats/`` with

- ``recognise(path: Path) -> bool``: by names and first bytes alone, cheap, never raising;
- ``read(path, images=None, skip_invalid=False) -> Dataset``;
- ``write(out: Path, data: Dataset, losses: Losses, place: Place) -> None``: ``out`` is an empty folder that
  exists, or a file to make where the name has one of the row's ``files`` endings (then ``place`` does
  nothing). Image by image, every file atomic; images go where ``place(record, target)`` puts them.

Tracked objects: the records of a video have the columns ``sequence`` (its name) and ``frame`` (a number) in
``groups``, and the ``ids`` of their objects are tracks. Splits are the column ``split``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from delineate.core.errors import DatasetError

from .formats import (
    ade20k,
    bdd100k,
    bdd100k_masks,
    bop,
    cellpose,
    cityscapes,
    coco,
    coco_panoptic,
    ctc_dataset,
    cvat,
    cvat_video,
    geojson,
    geopackage,
    hf_folder,
    hf_parquet,
    imagej,
    kitti_tracking,
    label_image,
    label_studio,
    labelme,
    lvis,
    mots_dataset,
    mots_png,
    qupath,
    sa1b,
    sav,
    stardist,
    supervisely,
    via,
    via3,
    voc,
    yolo_dataset,
)
from .losses import KINDS, Kind, Losses
from .place import Place
from .records import Dataset

EVERYTHING: frozenset[Kind] = frozenset(KINDS) - {"stuff"}


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: as ``--to`` and ``--from`` take it.
        title: as messages have it.
        module: with ``read``, and ``write`` where it can be written.
        recognise: whether a file or folder is of this format, by names and first bytes; None: never guessed.
        holds: what it can hold, of :data:`delineate.data.losses.KINDS`.
        files: endings of the one file that it may be written to, such as ``.json``; empty: folders alone.
    """

    name: str
    title: str
    module: ModuleType
    recognise: Callable[[Path], bool] | None
    holds: frozenset[Kind]
    files: tuple[str, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether it can be written."""
        return hasattr(self.module, "write")

    def read(
        self, path: Path, images: str | Path | Literal[False] | None = None, skip_invalid: bool = False
    ) -> Dataset:
        """Reads a dataset of this format.

        Raises:
            DatasetError: not of this format, or malformed.
        """
        found: Dataset = self.module.read(path, images=images, skip_invalid=skip_invalid)
        return found

    def write(self, out: Path, data: Dataset, losses: Losses, place: Place) -> None:
        """Writes a dataset in this format.

        Raises:
            DatasetError: the format cannot be written, or not with these data.
        """
        if not self.writes:
            raise DatasetError(
                f"{self.name}: expected a format that can be written, got {self.title}, which is only read; "
                f"choose one of {', '.join(f.name for f in FORMATS.values() if f.writes)}"
            )
        writer: Any = self.module.write
        writer(out, data, losses, place)


_ROWS = (
    Format("cityscapes", "Cityscapes", cityscapes, cityscapes.recognise,
           frozenset({"holes", "parts", "crowd", "stuff"})),
    Format("voc", "PASCAL VOC", voc, voc.recognise,
           frozenset({"holes", "parts", "crowd", "classes", "boxes only"})),
    Format("ade20k", "ADE20K", ade20k, ade20k.is_ade20k, frozenset({"holes", "parts", "stuff"})),
    Format("bop", "BOP", bop, bop.recognise, frozenset({"holes", "parts", "overlaps"})),
    Format("ctc", "Cell Tracking Challenge", ctc_dataset, ctc_dataset.recognise,
           frozenset({"holes", "parts", "tracks"})),
    Format("mots", "MOTS text", mots_dataset, mots_dataset.recognise,
           frozenset({"holes", "parts", "tracks", "crowd", "classes"})),
    Format("mots-png", "MOTS PNG", mots_png, mots_png.recognise,
           frozenset({"holes", "parts", "tracks", "crowd", "classes"})),
    Format("bdd100k-masks", "BDD100K bitmasks", bdd100k_masks, bdd100k_masks.recognise,
           frozenset({"holes", "parts", "tracks", "crowd"})),
    Format("bdd100k", "BDD100K", bdd100k, bdd100k.recognise, EVERYTHING - {"ids", "attributes"}),
    Format("kitti-tracking", "KITTI tracking", kitti_tracking, kitti_tracking.recognise,
           frozenset({"tracks", "crowd", "overlaps", "scores", "boxes only"})),
    Format("stardist", "StarDist", stardist, stardist.recognise, frozenset({"holes", "parts"})),
    Format("label-images", "label images", label_image, label_image.recognise, frozenset({"holes", "parts"})),
    Format("cellpose", "Cellpose", cellpose, cellpose.recognise, frozenset({"holes", "parts"})),
    Format("yolo", "YOLO", yolo_dataset, yolo_dataset.recognise,
           frozenset({"holes", "parts", "overlaps", "classes", "boxes only"})),
    Format("cvat", "CVAT", cvat, cvat.recognise,
           EVERYTHING - {"scores", "tracks", "ids", "attributes"}, (".xml",)),
    Format("cvat-video", "CVAT video", cvat_video, cvat_video.recognise,
           EVERYTHING - {"scores", "ids", "attributes"}, (".xml",)),
    Format("via", "VIA", via, via.recognise, EVERYTHING - {"ids", "attributes"}, (".json", ".csv")),
    Format("via3", "VIA 3", via3, via3.recognise, EVERYTHING - {"ids", "attributes"}, (".json", ".csv")),
    Format("label-studio", "Label Studio", label_studio, label_studio.recognise,
           EVERYTHING - {"crowd", "tracks", "ids", "attributes"}, (".json",)),
    Format("supervisely", "Supervisely", supervisely, supervisely.recognise, EVERYTHING - {"attributes"}),
    Format("labelme", "labelme", labelme, labelme.recognise,
           EVERYTHING - {"scores", "tracks", "ids", "attributes"}),
    Format("qupath", "QuPath", qupath, qupath.recognise, EVERYTHING - {"ids", "attributes"}, (".geojson",)),
    Format("imagej", "ImageJ ROIs", imagej, imagej.recognise, EVERYTHING - {"ids", "attributes"}, (".zip",)),
    Format("geojson", "GeoJSON", geojson, geojson.recognise,
           EVERYTHING - {"ids", "attributes"}, (".geojson",)),
    Format("geopackage", "GeoPackage", geopackage, geopackage.recognise,
           EVERYTHING - {"ids", "attributes"}, (".gpkg",)),
    Format("lvis", "LVIS", lvis, lvis.recognise,
           frozenset({"holes", "parts", "overlaps", "tracks", "classes", "ids", "boxes only"}), (".json",)),
    Format("huggingface", "Hugging Face imagefolder", hf_folder, hf_folder.recognise,
           EVERYTHING - {"ids", "attributes"}),
    Format("parquet", "Hugging Face Parquet", hf_parquet, hf_parquet.recognise,
           EVERYTHING - {"attributes"}),
    Format("sa-v", "SA-V", sav, sav.recognise, frozenset({"holes", "parts", "tracks", "overlaps"})),
    Format("sa-1b", "SA-1B", sa1b, sa1b.recognise,
           frozenset({"holes", "parts", "overlaps", "scores", "ids"})),
    Format("coco-panoptic", "COCO panoptic", coco_panoptic, coco_panoptic.recognise,
           frozenset({"holes", "parts", "crowd", "tracks", "classes", "ids", "stuff", "scores"}), (".json",)),
    Format("coco", "COCO", coco, coco.recognise, EVERYTHING - {"scores", "attributes"}, (".json",)),
)  # fmt: skip

FORMATS: dict[str, Format] = {row.name: row for row in _ROWS}
"""By name, in the order in which they are tried: the more particular first."""


def guess(path: Path) -> Format | None:
    """The format of a file or folder by names and first bytes alone; None where none is recognised."""
    for row in FORMATS.values():
        if row.recognise is not None and row.recognise(path):
            return row
    return None


def named(name: str) -> Format:
    """The format of a name.

    Raises:
        DatasetError: no such format; the message lists them.
    """
    key = name.strip().lower().replace("_", "-").replace(" ", "-")
    if key not in FORMATS:
        raise DatasetError(f"{name!r}: expected a format, one of {', '.join(FORMATS)}; choose one of them")
    return FORMATS[key]


def written_as(title: str) -> str:
    """The name of the format whose title is ``Dataset.format``; empty where it is only read."""
    return next((row.name for row in FORMATS.values() if row.title == title and row.writes), "")

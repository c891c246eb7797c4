"""Cellpose's layout: ``X.tif`` and beside it ``X_masks.tif`` (or ``X_cp_masks.png``, or ``X_seg.npy``).

Ids of objects, 0 is background (cellpose.readthedocs.io, "Training" and "Outputs"). Splits are folders,
``train/`` and ``test/``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

from ..find import natural_order
from ..images import read_size
from ..losses import Losses
from ..place import Place, stems
from ..records import SPLIT_NAMES, Dataset, Record
from ..sniff import SUFFIXES
from . import label_image
from .cellpose_npy import read_masks
from .label_write import write_files

ENDINGS = ("_masks", "_cp_masks", "_seg")
"""What stands after an image's name: label images, and Cellpose's own file ``_seg.npy``."""
_OTHER = ("_flows", "_outlines", "_cp_outlines", "_cp_output")


def recognise(path: Path) -> bool:
    """Whether a folder, or one of its splits, has files that end in ``_masks`` or ``_seg.npy``."""
    if not path.is_dir():
        return False
    return any(_is_masks(file) for folder in _folders(path) for file in folder.iterdir())


def _folders(path: Path) -> list[Path]:
    return [path, *(p for p in sorted(path.iterdir()) if p.is_dir() and p.name.lower() in SPLIT_NAMES)]


def _is_masks(file: Path) -> bool:
    suffix = file.suffix.lower()
    if suffix == ".npy":
        return file.stem.endswith("_seg")
    return suffix in label_image.LABEL_SUFFIXES and file.stem.endswith(ENDINGS[:2])


def read(
    path: str | Path, images: str | Path | Literal[False] | None = None, skip_invalid: bool = False
) -> Dataset:
    """Reads a folder, or its splits; nothing is decoded yet. Column: ``split`` where there are such folders.

    Args:
        path: holds images and their masks, or ``train/`` and ``test/`` of those.
        images: the folder of the images where they do not lie beside their masks; False: beside them.
        skip_invalid: leave masks without an image out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: no masks, or masks without an image.
    """
    path = Path(path)
    records: list[Record] = []
    missing: list[str] = []
    for folder in _folders(path):
        split = "" if folder == path else SPLIT_NAMES[folder.name.lower()]
        pictures = _images(Path(images) if images else folder)
        for stem, file in _masks(folder).items():
            image = pictures.get(stem)
            if image is None:
                missing.append(file.name)
                continue
            groups = {"split": split} if split else {}
            records.append(Record(image.name, image, len(records) + 1, None, file, groups))
    if missing and (not skip_invalid or not records):
        raise DatasetError(
            f"{path}: expected an image beside each file of masks, got none for {len(missing)}, such as "
            f"{missing[0]}; add them, or skip_invalid=True (`--skip-invalid`)"
        )
    if not records:
        raise DatasetError(
            f"{path}: expected files such as X_masks.tif or X_seg.npy, got none; check the path"
        )
    notes = (f"{len(missing)} files of masks without an image left out",) if missing else ()
    return Dataset(tuple(records), Labels(("object",)), decode, "Cellpose", path, notes)


def _masks(folder: Path) -> dict[str, Path]:
    """The file of masks for each image; label images before ``_seg.npy``."""
    found: dict[str, Path] = {}
    for ending in ENDINGS:
        for file in natural_order(p for p in folder.iterdir() if _is_masks(p) and p.stem.endswith(ending)):
            if ending == "_masks" and file.stem.endswith("_cp_masks"):
                continue
            found.setdefault(file.stem.removesuffix(ending), file)
    return found


def _images(folder: Path) -> dict[str, Path]:
    files = (p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not _is_masks(p))
    return {p.stem: p for p in natural_order(files) if not p.stem.endswith(_OTHER)}


def decode(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    """The truth of one image: one instance per id, in ascending order."""
    file: Path = record.annotation
    if file.suffix.lower() != ".npy":
        return label_image.decode(record, classes)
    labels = read_masks(file)
    size = read_size(record.path)
    if labels.shape != size:
        raise DatasetError(
            f"{file}: expected masks of {size} pixels (height, width) as {record.path.name}, got "
            f"{labels.shape}; make them anew"
        )
    masks = Masks.from_label_image(labels)
    first = masks.runs.offsets[:-1]
    ids = np.asarray(labels[masks.runs.y[first], masks.runs.x[first]], np.int64)
    return Instances(size, masks=masks, ids=ids, classes=classes), ()


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes ``X_masks.tif`` beside each image; of several splits, a folder each.

    Raises:
        DatasetError: an annotation that cannot be read.
    """
    roots = [out / record.groups.get("split", "") for record in data.records]
    names = stems(data.records)
    pictures = [
        root / f"{name}{record.path.suffix}"
        for root, name, record in zip(roots, names, data.records, strict=True)
    ]
    files = [root / f"{name}_masks.tif" for root, name in zip(roots, names, strict=True)]
    write_files(data, files, pictures, losses, place)

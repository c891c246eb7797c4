"""Cityscapes (Cordts et al. 2016, "The Cityscapes Dataset"): ``leftImg8bit/`` and ``gtFine/``.

A pixel of ``*_instanceIds.png`` is 1000 times the class and the object's number, or the class alone: stuff,
or a group of objects that nobody told apart. The 19 evaluated classes are kept, all else is void, as in the
dataset's own ``createPanopticImgs.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic

from ..records import SPLIT_NAMES, Dataset, Record
from .cityscapes_write import write as write
from .label_image import read_ids

FOLDERS = ("gtFine", "gtCoarse")
IMAGES = "leftImg8bit"
_STUFF = {
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light",
    20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky",
}  # fmt: skip
_THINGS = {
    24: "person", 25: "rider", 26: "car", 27: "truck", 28: "bus", 31: "train", 32: "motorcycle",
    33: "bicycle",
}  # fmt: skip
CLASSES = Labels(
    (*_STUFF.values(), *_THINGS.values()),
    (*_STUFF, *_THINGS),
    (*(False for _ in _STUFF), *(True for _ in _THINGS)),
)
"""The 19 classes that are evaluated, with the dataset's own ids."""


def recognise(folder: Path) -> bool:
    """Whether the folder is laid out so."""
    return any((folder / name).is_dir() for name in FOLDERS)


def read(
    folder: str | Path, images: str | Path | Literal[False] | None = None, skip_invalid: bool = False
) -> Dataset:
    """Reads Cityscapes; pictures are decoded when asked for. Columns: ``split`` and ``city``.

    Args:
        folder: holds ``gtFine/`` (or ``gtCoarse/``) and ``leftImg8bit/``.
        images: in place of ``leftImg8bit/``; False asks for no images.
        skip_invalid: leave annotations without an image out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: no annotations, or images that are missing.
    """
    folder = Path(folder)
    kind = next((name for name in FOLDERS if (folder / name).is_dir()), FOLDERS[0])
    truth = sorted((folder / kind).glob("*/*/*_instanceIds.png"))
    if not truth:
        raise DatasetError(
            f"{folder / kind}: expected SPLIT/CITY/*_instanceIds.png, got none; "
            f"unpack {kind}_trainvaltest.zip here"
        )
    pictures = folder / IMAGES if images is None or images is False else Path(images)
    records: list[Record] = []
    missing: list[str] = []
    for path in truth:
        split, city = path.parts[-3:-1]
        stem = path.name.removesuffix(f"_{kind}_instanceIds.png")
        name = f"{split}/{city}/{stem}_{IMAGES}.png"
        if images is not False and not (pictures / name).is_file():
            missing.append(name)
            continue
        groups = {"split": SPLIT_NAMES.get(split.lower(), split), "city": city}
        records.append(Record(name, pictures / name, len(records) + 1, None, path, groups))
    if missing and (not skip_invalid or not records):
        raise DatasetError(
            f"{pictures}: expected an image for each annotation, got none for {len(missing)}, such as "
            f"{missing[0]}; unpack {IMAGES}_trainvaltest.zip here, or skip_invalid=True (`--skip-invalid`)"
        )
    notes = (f"{len(missing)} annotations without an image left out",) if missing else ()
    return Dataset(tuple(records), CLASSES, decode, "Cityscapes", folder, notes, segments=segments)


def segments(record: Record, classes: Labels) -> Panoptic:
    """All segments of one image, stuff first; groups of objects are ``crowd``.

    Raises:
        DatasetError: a picture that cannot be read, or ids that are none of the dataset's.
    """
    ids = read_ids(record.annotation)
    values, at = np.unique(ids, return_inverse=True)
    if values[0] < 0 or values[-1] >= 34_000:
        raise DatasetError(
            f"{record.annotation}: expected ids below 34000 as Cityscapes has them, "
            f"got {values[0]}..{values[-1]}; give the *_instanceIds.png"
        )
    own = np.where(values >= 1000, values // 1000, values)
    index = np.array([classes.ids.index(i) if i in classes.ids else -1 for i in own.tolist()])
    known = index >= 0
    labels = index[known]
    things = np.array(classes.things)[labels]
    crowd = things & (values[known] < 1000)
    number = np.where(known, np.cumsum(known), 0).astype(np.int32)
    return Panoptic(number[at].reshape(ids.shape), labels, crowd=crowd, ids=values[known], classes=classes)


def decode(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    """The things of one image."""
    return segments(record, classes).to_instances(), ()

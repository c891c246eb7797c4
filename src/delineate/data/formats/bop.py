"""BOP, the benchmark for object poses, as a dataset of masks: what shows of each object (``mask_visib/``).

Poses, cameras and depth are read by :mod:`delineate.data.bop_scene`. The class of an object is its model,
``obj_000005``; its id is its place in ``scene_gt.json``, from 1. It is only read: a dataset without poses
cannot be written in this format.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

from ..bop_scene import read_scene, scene_folders
from ..images import read as read_image
from ..images import read_size
from ..records import SPLIT_NAMES, Dataset, Record


def recognise(path: Path) -> bool:
    """Whether a folder holds scenes of BOP."""
    return path.is_dir() and bool(scene_folders(path))


def read(
    path: str | Path, images: str | Path | Literal[False] | None = None, skip_invalid: bool = False
) -> Dataset:
    """Reads scenes; masks are decoded when a sample is asked for.

    Args:
        path: a scene, a split or a whole dataset.
        images: BOP's pictures lie in its scenes; anything else is refused.
        skip_invalid: leave out images whose masks are missing, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: no scenes, malformed JSON, masks that are missing.
    """
    path = Path(path)
    folders = scene_folders(path)
    if not folders:
        raise DatasetError(
            f"{path}: expected scenes of BOP (folders with scene_camera.json), got none; check it"
        )
    if images:
        raise DatasetError(
            f"{path}: expected no folder of images, as BOP keeps them in its scenes; leave it out"
        )
    records: list[Record] = []
    known: set[int] = set()
    bare = 0
    for folder in folders:
        split = folder.parent.name if folder.parent != path and folder != path else ""
        groups = {"scene": folder.name} | (
            {"split": SPLIT_NAMES.get(split.split("_")[0], split)} if split else {}
        )
        for image in read_scene(folder):
            if image.poses and not image.masks:
                bare += 1
                continue
            known |= {pose.obj_id for pose in image.poses}
            parts = (image.masks, tuple(pose.obj_id for pose in image.poses))
            name = image.color.relative_to(path).as_posix()
            records.append(Record(name, image.color, len(records) + 1, None, parts, groups))
    if bare and not skip_invalid:
        raise DatasetError(
            f"{path}: expected mask_visib/ for each object, got none for {bare} images; make them by BOP's "
            "toolkit, or skip_invalid=True (`--skip-invalid`)"
        )
    ids = tuple(sorted(known)) or (1,)
    classes = Labels(tuple(f"obj_{number:06d}" for number in ids), ids)
    notes = (f"{bare} images without mask_visib left out",) if bare else ()
    return Dataset(tuple(records), classes, decode, "BOP", path, notes)


def decode(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    """What shows of each object of one image; wholly hidden ones are left out and noted."""
    paths, models = record.annotation
    size = read_size(record.path)
    crops = []
    for path in paths:
        pixels = read_image(path).pixels
        plane = pixels if pixels.ndim == 2 else pixels[:, :, 0]
        if plane.shape != size:
            raise DatasetError(
                f"{path}: expected a mask of {size} pixels (height, width) as its picture, got "
                f"{plane.shape}; make it anew"
            )
        crops.append(plane > 0)
    masks = Masks.from_crops(crops, np.zeros((len(crops), 2), np.int64), size) if crops else Masks.empty(size)
    seen = np.flatnonzero(masks.area > 0)
    truth = Instances(
        size,
        masks=masks[seen],
        labels=np.array([classes.index(models[k]) for k in seen], np.int64),
        ids=seen + 1,
        classes=classes,
    )
    gone = len(paths) - len(seen)
    return truth, (f"{gone} objects are wholly hidden",) if gone else ()

"""Writing Cityscapes: ids of classes, ids of instances and polygons in ``gtFine/``, ``leftImg8bit/``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.panoptic import Panoptic

from ..losses import Losses
from ..painted import paint
from ..place import Place
from ..records import Dataset, Record
from ..rings import single_ring
from ..write import atomic, write_png

CLASS_IDS = {
    "road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17, "traffic light": 19,
    "traffic sign": 20, "vegetation": 21, "terrain": 22, "sky": 23, "person": 24, "rider": 25, "car": 26,
    "truck": 27, "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33,
}  # fmt: skip
"""The evaluated classes; those from 24 on have instances."""
FIRST_THING = 24
PER_CLASS = 1000
IMAGES = "leftImg8bit"


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes the 19 evaluated classes, matched by name; objects of other classes are left out and counted.

    Objects of the classes without instances (a traffic light) are joined in one region. Images become PNG.
    Crowd regions are groups. Stuff is written where the data have it.

    Raises:
        DatasetError: no class of Cityscapes among those of the data, or an annotation that cannot be read.
    """
    ids = np.array([CLASS_IDS.get(name, 0) for name in data.classes.names], np.int64)
    if not ids.any():
        raise DatasetError(
            f"{data.source}: expected classes of Cityscapes such as person or car, got none of them; rename "
            "the classes, or choose another format"
        )
    names = _names(data)
    for index, record in enumerate(data.records):
        truth = data.truth(index)
        losses.tally(truth, record.name, "scores")
        if "sequence" in record.groups:
            losses.count("tracks", record.name, len(truth))
        own = ids[truth.labels]
        losses.count("classes", record.name, int((own < FIRST_THING).sum()))
        split, city, stem = names[index]
        place(record, out / IMAGES / split / city / f"{stem}_{IMAGES}.png")
        folder = out / "gtFine" / split / city
        folder.mkdir(parents=True, exist_ok=True)
        pixels, numbers = _numbers(paint(truth, losses, record.name), own, truth, losses, record)
        stuff = None if data.segments is None else data.segments(record, data.classes)
        if isinstance(stuff, Panoptic):
            behind = _stuff(stuff, ids)
            pixels = np.where(pixels == 0, behind, pixels)
        write_png(folder / f"{stem}_gtFine_instanceIds.png", pixels.astype(np.uint16))
        classes = np.where(pixels >= PER_CLASS, pixels // PER_CLASS, pixels)
        write_png(folder / f"{stem}_gtFine_labelIds.png", classes.astype(np.uint8))
        with atomic(folder / f"{stem}_gtFine_polygons.json") as temporary:
            temporary.write_text(json.dumps(_polygons(data, index, truth, numbers)), encoding="utf-8")


def _names(data: Dataset) -> list[tuple[str, str, str]]:
    """(split, city, stem) of each image; a stem is ``city_sequence_frame``, as Cityscapes' tools want it."""
    found: dict[tuple[str, str, str], None] = {}
    for number, record in enumerate(data.records):
        split = record.groups.get("split") or "train"
        city = re.sub(r"[^A-Za-z0-9-]", "", record.groups.get("city", "")) or "city"
        stem = Path(record.name).stem.removesuffix(f"_{IMAGES}")
        if not re.fullmatch(r"[A-Za-z0-9-]+_\d+_\d+", stem) or (split, city, stem) in found:
            stem = f"{city}_{number:06d}_000000"
        found[split, city, stem] = None
    return list(found)


def _numbers(
    painted: NDArray[np.int32], own: NDArray[np.int64], truth: Instances, losses: Losses, record: Record
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The picture of instance ids, and (N,) the objects' ids: class * 1000 + k, or the class of groups."""
    numbers = own.copy()
    met: dict[int, int] = {}
    beyond = 0
    for i, (class_id, crowd) in enumerate(zip(own.tolist(), truth.crowd.tolist(), strict=True)):
        if class_id < FIRST_THING or crowd:
            continue
        k = met.get(class_id, 0)
        met[class_id] = k + 1
        if k < PER_CLASS:
            numbers[i] = class_id * PER_CLASS + k
        else:
            beyond += 1
    losses.count("ids", record.name, beyond)
    return np.concatenate([[0], numbers])[painted], numbers


def _stuff(segments: Panoptic, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """(H, W) class ids of the stuff, 0 elsewhere."""
    own = np.where(segments.things, 0, ids[segments.labels])
    return np.concatenate([[0], own])[segments.map]


def _polygons(data: Dataset, index: int, truth: Instances, numbers: NDArray[np.int64]) -> dict[str, Any]:
    height, width = truth.size
    objects = []
    for i, parts in enumerate(data.polygons(index, truth) if truth.masks is not None else []):
        if numbers[i] and parts:
            group = "group" if FIRST_THING <= numbers[i] < PER_CLASS else ""
            ring = np.round(single_ring(parts), 2).tolist()
            objects.append({"label": truth.names[i] + group, "polygon": ring})
    return {"imgHeight": height, "imgWidth": width, "objects": objects}

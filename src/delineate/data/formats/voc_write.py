"""Writing PASCAL VOC: see :mod:`delineate.data.formats.voc` for the layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels

from ..losses import Losses
from ..painted import paint
from ..place import Place, stems
from ..records import Dataset
from ..write import atomic
from . import voc_colors
from .xml_file import clean

FOLDERS = ("JPEGImages", "Annotations", "SegmentationClass", "SegmentationObject", "ImageSets/Segmentation")


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes ``JPEGImages/``, ``Annotations/``, both pictures of each image, lists and ``labelmap.txt``.

    Images keep their format. Crowd regions are ``difficult``. Images of objects with boxes alone get no
    pictures. A picture with more than 254 objects has 16 bits, which other tools may not read.

    Raises:
        DatasetError: an annotation that cannot be read, or more than 254 classes.
    """
    numbers = class_numbers(data.classes)
    for name in FOLDERS:
        (out / name).mkdir(parents=True)
    lists: dict[str, list[str]] = {}
    for index, (record, stem) in enumerate(zip(data.records, stems(data.records), strict=True)):
        truth = data.truth(index)
        losses.tally(truth, record.name, "scores")
        if "sequence" in record.groups:
            losses.count("tracks", record.name, len(truth))
        image = f"{stem}{record.path.suffix}"
        place(record, out / "JPEGImages" / image)
        if truth.masks is not None:
            _write_pictures(out, stem, truth, numbers, paint(truth, losses, record.name))
        with atomic(out / "Annotations" / f"{stem}.xml") as temporary:
            temporary.write_text("\n".join(_xml(image, truth)) + "\n", encoding="utf-8")
        lists.setdefault(record.groups.get("split", ""), []).append(stem)
    voc_colors.write_labelmap(out / "labelmap.txt", data.classes, numbers)
    for split, listed in lists.items():
        with atomic(out / "ImageSets" / "Segmentation" / f"{split or 'trainval'}.txt") as temporary:
            temporary.write_text("".join(f"{stem}\n" for stem in listed), encoding="utf-8")


def class_numbers(classes: Labels) -> list[int]:
    """The number of each class in the pictures: VOC's own for its 20 names, else 1..K.

    Raises:
        DatasetError: more than 254.
    """
    if set(classes.names) <= set(voc_colors.NAMES) and len(set(classes.names)) == len(classes):
        ordered = [name for name in voc_colors.NAMES if name in classes.names]
        if ordered == list(voc_colors.NAMES):
            return [voc_colors.NAMES.index(name) + 1 for name in classes.names]
    if len(classes) > voc_colors.VOID - 1:
        raise DatasetError(
            f"PASCAL VOC: expected at most {voc_colors.VOID - 1} classes, got {len(classes)}; "
            "choose another format"
        )
    return list(range(1, len(classes) + 1))


def _write_pictures(
    out: Path, stem: str, truth: Instances, numbers: list[int], painted: NDArray[np.int32]
) -> None:
    objects = painted.astype(np.int64)
    if len(truth) >= voc_colors.VOID:
        objects = np.where(painted >= voc_colors.VOID, painted + 1, painted)  # 255 is void
    voc_colors.write_numbers(out / "SegmentationObject" / f"{stem}.png", objects)
    of = np.array([0, *(numbers[k] for k in truth.labels.tolist())], np.int64)
    voc_colors.write_numbers(out / "SegmentationClass" / f"{stem}.png", of[painted])


def _xml(image: str, truth: Instances) -> Iterator[str]:
    height, width = truth.size
    yield "<annotation>"
    yield f"  <filename>{escape(clean(image))}</filename>"
    yield f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    yield f"  <segmented>{int(truth.masks is not None)}</segmented>"
    for i, name in enumerate(truth.names):
        x1, y1, x2, y2 = (float(np.round(v, 2)) for v in truth.boxes[i])
        yield "  <object>"
        yield f"    <name>{escape(clean(name))}</name>"
        yield f"    <difficult>{int(truth.crowd[i])}</difficult>"
        corners = zip(("xmin", "ymin", "xmax", "ymax"), (x1 + 1, y1 + 1, x2, y2), strict=True)
        yield f"    <bndbox>{''.join(f'<{side}>{value:g}</{side}>' for side, value in corners)}</bndbox>"
        yield "  </object>"
    yield "</annotation>"

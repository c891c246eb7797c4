"""SA-1B (Kirillov et al. 2023, "Segment Anything", section 5): a JSON file of masks beside each image.

Masks are COCO's run lengths; the score is the predicted IoU. Objects have no class: all are ``object``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from delineate.core.errors import DatasetError, MaskError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

from ..records import Dataset, Record
from .coco_check import Bad, Findings
from .drawn import json_files, some_files
from .image_search import Images, ImageSearch, relative
from .json_file import load_json


class _Image(msgspec.Struct):
    """The image of a file."""

    image_id: Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
    width: int
    height: int
    file_name: str


class _Annotation(msgspec.Struct):
    """One mask."""

    id: Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
    segmentation: dict[str, Any]
    predicted_iou: float = 1.0


class _Content(msgspec.Struct):
    """A file."""

    image: _Image
    annotations: list[_Annotation]


def recognise(path: Path) -> bool:
    """Whether it is a file of SA-1B, or a folder that has one among its first JSON files."""
    try:
        return any(map(_is_sa1b, some_files(path, (".json",)) if path.is_dir() else [path]))
    except OSError:
        return False


def _is_sa1b(path: Path) -> bool:
    if path.suffix.lower() != ".json":
        return False
    with path.open("rb") as file:
        head = file.read(65536)
    return b'"image"' in head and b'"image_id"' in head and b'"predicted_iou"' in head


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads a folder of SA-1B's JSON files, or one; a file is read again when its masks are asked for.

    Args:
        path: the folder or the file.
        images: the folder of the images where they do not lie beside the files; False asks for none.
        skip_invalid: leave malformed files out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: nothing annotated, or a malformed file.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    files = [f for f in json_files(folder) if _is_sa1b(f)] if path.is_dir() else [path]
    findings = Findings(path)
    search = ImageSearch(folder, images)
    records: list[Record] = []
    for file in files:
        try:
            image = _content(file).image
            name = relative(image.file_name, f"{file.name}: image.file_name")
        except (Bad, DatasetError) as error:
            findings.problems.append(str(error).split("; ")[0])
            continue
        found = search(name, beside=file.parent)
        if found is not None:
            records.append(Record(name, found, image.image_id, (image.height, image.width), file))
    search.settle(findings, skip_invalid)
    notes = findings.settle(skip_invalid)
    if not records:
        raise DatasetError(f"{path}: expected SA-1B files with masks, got none that can be used")
    if len({record.image_id for record in records}) < len(records):
        records = [Record(r.name, r.path, n, r.size, r.annotation) for n, r in enumerate(records, 1)]
    return Dataset(tuple(records), Labels(("object",)), decode, "SA-1B", path, notes)


def _content(file: Path) -> _Content:
    try:
        found = msgspec.convert(load_json(file), _Content)
    except msgspec.ValidationError as error:
        raise DatasetError(f"{file}: expected masks as SA-1B has them, got {error}; fetch it again") from None
    if found.image.width < 1 or found.image.height < 1:
        raise DatasetError(f"{file}: expected an image with a width and a height, got others; fetch it again")
    return found


def decode(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    """The masks of one image.

    Raises:
        DatasetError: run lengths that are damaged or of another size.
    """
    file: Path = record.annotation
    rows = _content(file).annotations
    assert record.size is not None
    names = [f"annotations[{i}].segmentation" for i in range(len(rows))]
    try:
        masks = Masks.from_rle([row.segmentation for row in rows], record.size, names)
    except MaskError as error:
        raise DatasetError(f"{file}: {error}") from None
    kept = np.flatnonzero(masks.area)
    scores = np.clip([rows[i].predicted_iou for i in kept], 0, 1)
    ids = np.array([rows[i].id for i in kept], np.int64)
    truth = Instances(record.size, masks=masks[kept], scores=scores, ids=ids, classes=classes)
    lost = len(rows) - len(kept)
    return truth, ((f"{lost} masks without any pixel left out",) if lost else ())

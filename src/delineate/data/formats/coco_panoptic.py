"""COCO panoptic annotations (cocodataset.org, "Data format", 4): a JSON file and a folder of PNG pictures.

A picture's colour is the segment's id, R + 256 G + 65536 B; the JSON says what each segment is.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError, InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.panoptic import LARGEST_ID, Panoptic

from ..limits import MAX_PIXELS, check_size
from ..png import decode_png
from ..records import Dataset, Record
from ..sniff import read_header, sniff
from . import coco_check as check
from .coco import image_folder, image_records
from .coco_check import Bad, Findings
from .coco_columns import with_columns
from .coco_panoptic_write import document as document
from .coco_panoptic_write import write as write
from .coco_panoptic_write import write_picture as write_picture
from .json_file import ends, load_json, show


class Segments(NamedTuple):
    """The annotation of one image.

    Attributes:
        picture: the PNG file.
        rows: ``segments_info``, checked.
    """

    picture: Path
    rows: tuple[dict[str, Any], ...]


def recognise(path: Path) -> bool:
    """Whether a JSON file has ``segments_info`` at its beginning or end."""
    return path.suffix.lower() == ".json" and path.is_file() and b'"segments_info"' in ends(path)


def read(
    path: str | Path,
    images: str | Path | Literal[False] | None = None,
    skip_invalid: bool = False,
    pictures: str | Path | None = None,
) -> Dataset:
    """Reads a COCO panoptic file; pictures are decoded when asked for.

    A sample's ``truth`` holds its things; ``Dataset.panoptic`` gives all segments.

    Args:
        path: the JSON file.
        images: the folder that the file names are relative to; None looks beside the file; False asks for no
            images.
        skip_invalid: leave malformed images and annotations out, counted in ``notes``, instead of refusing.
        pictures: the folder of the PNG files; default the folder named as the JSON file, else that beside it.

    Raises:
        DatasetError: not a COCO panoptic file, or a malformed entry; the message has its JSON path.
    """
    path = Path(path)
    content = load_json(path)
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DatasetError(f"{path}: expected a list {key!r} as COCO panoptic has it, got none; add it")
    findings = Findings(path)
    classes = check.categories(content["categories"], findings)
    classes = replace(classes, things=_things(content["categories"], path))
    folder = None if images is False else image_folder(path, images, content["images"])
    records, dropped = image_records(content["images"], folder, findings, skip_invalid)
    holder = _pictures(path, pictures)
    found = _annotations(
        content["annotations"], {r.image_id for r in records} | dropped, holder, classes, findings
    )
    bare = [r.name for r in records if r.image_id not in found]
    if bare:
        findings.problems.append(f"{len(bare)} images have no annotation ({', '.join(bare[:3])})")
    notes = findings.settle(skip_invalid)
    kept = tuple(replace(r, annotation=found[r.image_id]) for r in records if r.image_id in found)
    kept = with_columns(kept, content)
    return Dataset(kept, classes, decode, "COCO panoptic", path, notes, segments=segments)


def _things(rows: list[dict[str, Any]], path: Path) -> tuple[bool, ...]:
    for index, row in enumerate(rows):
        if row.get("isthing") not in (0, 1):
            got = show(row["isthing"]) if "isthing" in row else "nothing"
            raise DatasetError(f"{path}: categories[{index}].isthing: expected 0 or 1, got {got}; add it")
    return tuple(bool(row["isthing"]) for row in rows)


def _pictures(path: Path, given: str | Path | None) -> Path:
    folder = Path(given) if given is not None else path.with_suffix("")
    if folder.is_dir():
        return folder
    if given is not None:
        raise DatasetError(f"{folder}: expected the folder of the panoptic PNG files, got no folder; name it")
    return path.parent


def _annotations(
    rows: list[Any], known: set[int], folder: Path, classes: Labels, findings: Findings
) -> dict[int, Segments]:
    """Checked annotations by image id."""
    found: dict[int, Segments] = {}
    for index, row in enumerate(rows):
        where = f"annotations[{index}]"
        try:
            if not isinstance(row, dict):
                raise Bad(f"{where}: expected an object, got {show(row)}")
            image_id = check.number(row, "image_id", where)
            if image_id not in known:
                raise Bad(f"{where}.image_id: expected the id of one of the images, got {image_id}")
            if image_id in found:
                raise Bad(f"{where}.image_id: expected one annotation per image, got {image_id} again")
            picture = folder / check.file_name(row, where, findings)
            if not picture.is_file():
                raise Bad(f"{where}.file_name: expected a PNG file, got nothing at {picture}")
            found[image_id] = Segments(picture, _rows(row.get("segments_info"), classes, where))
        except Bad as bad:
            findings.problems.append(str(bad))
    return found


def _rows(rows: Any, classes: Labels, where: str) -> tuple[dict[str, Any], ...]:
    if not isinstance(rows, list):
        raise Bad(f"{where}.segments_info: expected a list, got {show(rows)}")
    seen: set[int] = set()
    for index, row in enumerate(rows):
        at = f"{where}.segments_info[{index}]"
        if not isinstance(row, dict):
            raise Bad(f"{at}: expected an object, got {show(row)}")
        identity = check.number(row, "id", at)
        if not 1 <= identity <= LARGEST_ID or identity in seen:
            raise Bad(f"{at}.id: expected distinct ids in 1..{LARGEST_ID}, got {identity}")
        seen.add(identity)
        category = check.number(row, "category_id", at)
        if category not in classes.ids:
            raise Bad(f"{at}.category_id: expected the id of one of the categories, got {category}")
        if row.get("iscrowd", 0) not in (0, 1):
            raise Bad(f"{at}.iscrowd: expected 0 or 1, got {show(row['iscrowd'])}")
        score = row.get("score", 1)
        if not check.finite(score) or not 0 <= score <= 1:
            raise Bad(f"{at}.score: expected a number in 0..1, got {show(score)}")
    return tuple(rows)


def segments(record: Record, classes: Labels) -> Panoptic:
    """All segments of one image.

    Raises:
        DatasetError: picture and rows do not fit each other or the image's size.
    """
    annotation: Segments = record.annotation
    try:
        found = Panoptic.from_coco(read_colors(annotation.picture), annotation.rows, classes)
    except InputError as error:
        raise DatasetError(f"{annotation.picture}: {error}") from None
    if record.size is not None and found.size != record.size:
        raise DatasetError(
            f"{annotation.picture}: expected {record.size} pixels (height, width) as the JSON says, "
            f"got {found.size}; correct one of them"
        )
    return found


def decode(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    """The things of one image."""
    return segments(record, classes).to_instances(), ()


def read_colors(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) bytes as stored, without any correction of colours."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"expected a PNG file, got {error.strerror!r}; check the path") from None
    if (kind := sniff(data[:512], path.name)) != "PNG":
        raise InputError(f"expected PNG, got {kind}; a format with loss destroys the ids")
    check_size(read_header(kind, data, path.name).size, path.name, MAX_PIXELS)
    try:
        pixels: NDArray[np.uint8] = decode_png(data)
    except Exception as error:  # the decoder has exceptions of its own
        raise InputError(f"expected a whole PNG file, got a damaged one: {error}; save it again") from None
    return pixels

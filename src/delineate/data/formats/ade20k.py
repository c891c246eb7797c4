"""ADE20K (Zhou et al. 2017, "Scene Parsing through ADE20K Dataset"), full annotations of 2017 and of 2020.

Beside ``X.jpg`` lies ``X_seg.png``: blue tells the objects of an image apart (its values in rising order are
the objects 1, 2, ..), and red and green hold the class, red // 10 * 256 + green. Names stand in ``X_atr.txt``
by the object's number (2017) or in ``X.json`` by the class's number, ``name_ndx`` (2020). Parts of objects
are not read.

The dataset does not divide things from stuff. The names in :data:`STUFF` are stuff here: all regions of such
a class in an image are one segment.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic

from ..records import SPLIT_NAMES, Dataset, Record
from .coco_panoptic import read_colors
from .json_file import load_json

ENDING = "_seg.png"
STUFF = frozenset(
    (
        "sky", "wall", "floor", "ceiling", "road", "grass", "sidewalk", "earth", "ground", "mountain", "hill",
        "water", "sea", "river", "lake", "waterfall", "field", "sand", "path", "runway", "land", "snow",
        "dirt", "vegetation", "rock", "soil", "pavement",
    )
)  # fmt: skip
"""Classes that are stuff here, by their first name."""


class Annotation(NamedTuple):
    """What is known of one image.

    Attributes:
        picture: ``X_seg.png``.
        names: class name by the object's number (2017) or the class's (2020).
        by_class: True for 2020.
    """

    picture: Path
    names: dict[int, str]
    by_class: bool


def is_ade20k(folder: Path) -> bool:
    """Whether the folder has ``training/`` or ``validation/`` with pictures of segments inside."""
    parts = [folder / name for name in ("training", "validation")]
    return any(part.is_dir() and next(part.rglob(f"*{ENDING}"), None) is not None for part in parts)


def read(
    folder: str | Path, images: str | Path | Literal[False] | None = None, skip_invalid: bool = False
) -> Dataset:
    """Reads ADE20K; pictures are decoded when asked for. Columns: ``split`` and ``scene``, the folder in it.

    Args:
        folder: holds ``training/`` and ``validation/``.
        images: nothing else than None or False: the images lie beside their annotations.
        skip_invalid: leave images with a malformed annotation out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: an image or a list of names is missing or malformed.
    """
    folder = Path(folder)
    if images not in (None, False):
        raise DatasetError(f"{folder}: expected no folder of images for ADE20K, got {images}; leave it out")
    records: list[Record] = []
    problems: list[str] = []
    for split in ("training", "validation"):
        for picture in sorted((folder / split).rglob(f"*{ENDING}")):
            try:
                records.append(_record(folder, split, picture, len(records) + 1))
            except DatasetError as error:
                if not skip_invalid:
                    raise
                problems.append(str(error))
    if not records:
        raise DatasetError(
            f"{folder}: expected training/**/*{ENDING}, got none that can be used; check the path"
        )
    names = sorted({name for record in records for name in record.annotation.names.values()})
    classes = Labels(tuple(names), things=tuple(name not in STUFF for name in names))
    notes = (f"{len(problems)} images left out, the first: {problems[0]}",) if problems else ()
    return Dataset(tuple(records), classes, decode, "ADE20K", folder, notes, segments=segments)


def _record(folder: Path, split: str, picture: Path, number: int) -> Record:
    stem = picture.with_name(picture.name.removesuffix(ENDING))
    image = stem.with_name(f"{stem.name}.jpg")
    if not image.is_file():
        raise DatasetError(f"{image}: expected the image of {picture.name}, got none; add it")
    lines, document = stem.with_name(f"{stem.name}_atr.txt"), stem.with_name(f"{stem.name}.json")
    if document.is_file():
        names = _names_of_classes(document)
    elif lines.is_file():
        names = _names_of_objects(lines)
    else:
        raise DatasetError(
            f"{picture}: expected {lines.name} or {document.name} beside it, got neither; add one"
        )
    name = image.relative_to(folder).as_posix()
    scene = image.parent.relative_to(folder / split).as_posix()
    groups = {"split": SPLIT_NAMES[split], "scene": "" if scene == "." else scene}
    return Record(name, image, number, None, Annotation(picture, names, document.is_file()), groups)


def _first(name: str) -> str:
    """The first of several names: ``person, individual, someone`` is ``person``."""
    return name.split(",")[0].strip()


def _names_of_objects(path: Path) -> dict[int, str]:
    """2017: ``number # part level # occluded # class # raw name # attributes`` a line; parts are left out."""
    names: dict[int, str] = {}
    for row, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        columns = [column.strip() for column in line.split("#")]
        if not line.strip():
            continue
        try:
            number, level, name = int(columns[0]), int(columns[1]), _first(columns[3])
        except (ValueError, IndexError):
            raise DatasetError(
                f"{path}, line {row}: expected 'number # part level # occluded # class # ..', "
                f"got {line[:60]!r}; correct it"
            ) from None
        if level == 0:
            names[number] = name
    return names


def _names_of_classes(path: Path) -> dict[int, str]:
    """2020: ``annotation.object[]`` with ``name``, ``name_ndx`` and ``parts.part_level``."""
    content = load_json(path)
    try:
        rows: list[Mapping[str, Any]] = content["annotation"]["object"]
        whole = [row for row in rows if int(row["parts"]["part_level"]) == 0]
        return {int(row["name_ndx"]): _first(str(row["name"])) for row in whole}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DatasetError(
            f"{path}: expected annotation.object[] with name, name_ndx and parts.part_level as ADE20K of "
            f"2020 has them, got another structure ({error}); correct it"
        ) from None


def segments(record: Record, classes: Labels) -> Panoptic:
    """All segments of one image.

    Raises:
        DatasetError: a picture that cannot be read, or an object whose class has no name.
    """
    annotation: Annotation = record.annotation
    colors = read_colors(annotation.picture)
    if colors.ndim != 3 or colors.shape[2] != 3:
        raise DatasetError(
            f"{annotation.picture}: expected RGB (H, W, 3), got {colors.shape}; give ADE20K's own"
        )
    values, at = np.unique(colors[..., 2], return_inverse=True)
    at = at.reshape(colors.shape[:2]) + int(values[0] != 0)  # (H, W) 0 nothing, else the object's number
    index = {name: i for i, name in enumerate(classes.names)}
    numbers = np.unique(at[at > 0]).tolist()
    labels = [index[_name(annotation, colors, at, number)] for number in numbers]
    member: dict[tuple[int, int], int] = {}
    table = np.zeros(int(at.max()) + 1, dtype=np.int32)
    for number, label in zip(numbers, labels, strict=True):
        key = (label, number if classes.things[label] else 0)  # stuff of one class is one segment
        table[number] = member.setdefault(key, len(member) + 1)
    return Panoptic(table[at], np.array([label for label, _ in member], dtype=np.int64), classes=classes)


def _name(annotation: Annotation, colors: NDArray[np.uint8], at: NDArray[np.int64], number: int) -> str:
    """The class name of an object."""
    key = number
    if annotation.by_class:
        red, green = (int(v) for v in colors[at == number][0, :2])
        key = red // 10 * 256 + green
    if key not in annotation.names:
        what = f"class {key}" if annotation.by_class else f"object {key}"
        raise DatasetError(
            f"{annotation.picture}: expected a name for {what} in the list beside it, got none; add it"
        )
    return annotation.names[key]


def decode(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    """The things of one image."""
    return segments(record, classes).to_instances(), ()

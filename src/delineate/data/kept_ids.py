"""A small file in a written dataset that keeps what its format has no place for: ids, names and columns.

``.delineate/ids`` is JSON: the classes with their ids, and for each image file its name, id and columns
(split, sequence, frame, ..) in the dataset that it was made of. Other tools do not look at it; without it the
dataset is read all the same, with ids given anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from delineate.core.errors import DatasetError
from delineate.core.labels import Labels

from .records import Dataset, Record
from .write import atomic

FILE = Path(".delineate") / "ids"


class _Image(msgspec.Struct):
    """One image: its name, id and columns."""

    name: str
    id: int
    groups: dict[str, str] = {}


class _Content(msgspec.Struct):
    """The file."""

    names: list[str]
    ids: list[int]
    things: list[bool]
    images: dict[str, _Image]


def keep(folder: Path, classes: Labels, placed: Mapping[str, Record]) -> None:
    """Writes the file.

    Args:
        folder: the dataset's.
        classes: of what was written.
        placed: the records by where their images stand, relative to the folder.
    """
    images = {
        file: {
            "name": record.name,
            "id": record.image_id,
            **({"groups": dict(record.groups)} if record.groups else {}),
        }
        for file, record in placed.items()
    }
    (folder / FILE).parent.mkdir(exist_ok=True)
    content = {**classes.to_dict(), "images": images}
    with atomic(folder / FILE) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def restore(data: Dataset, folder: Path) -> Dataset:
    """The dataset with the ids, names and columns of the file; as it is where there is no such file.

    The one class of a format that has no classes gets its name back. Class ids come back where the names are
    the same and the format's own ids run 0, 1, .. or 1, 2, ..

    Raises:
        DatasetError: the file is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        return data
    try:
        content = msgspec.json.decode(file.read_bytes(), type=_Content)
    except (OSError, msgspec.MsgspecError) as error:
        raise DatasetError(f"{file}: expected ids of images, got {error}; remove the file to go on") from None
    root = folder.resolve()
    records = tuple(_restored(record, content.images, root) for record in data.records)
    different = len({r.image_id for r in records}) == len(records)
    return replace(
        data, records=records if different else data.records, classes=_classes(data.classes, content)
    )


def _restored(record: Record, images: Mapping[str, _Image], root: Path) -> Record:
    """The record under its own name; what the reader says of a column stands above what the file says."""
    path = record.path.resolve()
    known: Any = images.get(path.relative_to(root).as_posix()) if path.is_relative_to(root) else None
    if known is None:
        return record
    groups = {**known.groups, **{c: v for c, v in record.groups.items() if c in known.groups}}
    return replace(record, name=known.name, image_id=known.id, groups=groups)


def _classes(classes: Labels, content: _Content) -> Labels:
    count = len(classes)
    plain = classes.ids in (tuple(range(count)), tuple(range(1, count + 1)))
    if count == len(content.names) == 1:
        return Labels(tuple(content.names), tuple(content.ids), tuple(content.things))
    if not plain or len(set(content.names)) < len(content.names):
        return classes
    at = {name: k for k, name in enumerate(content.names)}
    if not set(classes.names) <= set(at):
        return classes
    order = np.array([at[name] for name in classes.names], dtype=np.int64).tolist()
    return Labels(
        classes.names, tuple(content.ids[k] for k in order), tuple(content.things[k] for k in order)
    )

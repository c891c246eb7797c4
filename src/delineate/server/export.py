"""What was drawn, as a dataset, and from there in any format."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.data.known_formats import FORMATS, named
from delineate.data.place import How
from delineate.data.records import Dataset, Record
from delineate.engine.convert import Conversion, write_dataset

from .store import classes
from .store.tables import images

if TYPE_CHECKING:
    from .studio import Studio


def formats() -> list[dict[str, str]]:
    """Name and title of every format that can be written, COCO first."""
    rows = sorted(
        (row for row in FORMATS.values() if row.writes), key=lambda row: (row.name != "coco", row.title)
    )
    return [{"name": row.name, "title": row.title} for row in rows]


def drawn(studio: Studio, states: Sequence[str] = (), suggestions: bool = False) -> Dataset:
    """The studio's images with what is drawn on them now; objects are read when they are asked for.

    Args:
        studio: the studio.
        states: only images in these states; none: all.
        suggestions: take suggestions that nobody has accepted along.

    Raises:
        InputError: no image is in those states.
    """
    query = select(images).where(images.c.fault == "").order_by(images.c.record, images.c.id)
    with studio.database.read() as connection:
        rows = list(connection.execute(query.where(images.c.state.in_(states)) if states else query))
        palette, _ = classes.labels(connection)
    if not rows:
        raise InputError(
            f"export: expected images that are {' or '.join(states) or 'readable'}, got none; choose others"
        )
    records = tuple(
        Record(
            row.name,
            Path(row.path),
            row.dataset_id,
            (row.height, row.width) if row.width else None,
            row.id,
            json.loads(row.columns),
        )
        for row in rows
    )

    def decode(record: Record, _: Labels) -> tuple[Instances, tuple[str, ...]]:
        return studio.instances(record.annotation, suggestions), ()

    return Dataset(records, palette, decode, "studio", studio.data.source, channels=studio.data.channels)


def to_file(data: Dataset, to: str, name: str, images_how: How, folder: Path) -> tuple[Path, Conversion]:
    """Writes a dataset to one file for a download: the format's own where it has one, else a zip.

    Args:
        data: the dataset.
        to: the format's name.
        name: how the file is called, without its ending.
        images_how: whether images go along (then it is always a zip).
        folder: where it is made; empty.

    Raises:
        DatasetError: the format cannot be written.
    """
    row = named(to)
    stem = "".join(c if c.isalnum() or c in "-_." else "_" for c in name) or "studio"
    if row.files and images_how == "none":
        path = folder / f"{stem}{row.files[0]}"
        return path, write_dataset(data, path, row.name, images="none")
    inside = folder / stem
    done = write_dataset(data, inside, row.name, images=images_how)
    path = folder / f"{stem}-{row.name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(p for p in inside.rglob("*") if p.is_file()):
            packed = file.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp", ".zip", ".gpkg")
            kind = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            archive.write(file, Path(stem) / file.relative_to(inside), kind)
    shutil.rmtree(inside)
    return path, done

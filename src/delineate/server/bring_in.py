"""Objects of the dataset into the database: each image once, whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, update

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon
from delineate.data.images import read_size
from delineate.data.records import Dataset

from .store import history, images
from .store.classes import labels
from .store.database import tick
from .store.history import Change
from .store.objects import Shape
from .store.tables import images as table


@dataclass(frozen=True)
class Found:
    """What the dataset has on one image: its size (height, width) and objects, or why it cannot be read."""

    image_id: int
    size: tuple[int, int] = (0, 0)
    truth: Instances | None = None
    fault: str = ""


def look(data: Dataset, row: Any) -> Found:
    """Reads one image's objects from the dataset; the database is not touched.

    Args:
        data: the dataset.
        row: the image's row.

    Raises:
        InputError: the dataset lacks the image, or the two do not fit together.
    """
    if not 0 <= row.record < len(data.records):
        raise InputError(
            f"{row.name}: expected it in the dataset, got a dataset without it; open the right one"
        )
    truth, _ = data.decode(data.records[row.record], data.classes)
    path = Path(row.path)
    size = read_size(path) if path.exists() else truth.size
    if len(truth) and truth.size != size:
        raise InputError(
            f"{row.name}: expected an image of {truth.size} pixels (height, width) as its annotation says, "
            f"got {size}; correct the annotation or the image"
        )
    return Found(row.id, size, truth)


def put(connection: Connection, found: Sequence[Found]) -> None:
    """Writes what was found on some images; those that came in meanwhile are left as they are."""
    classes, numbers = labels(connection)
    by_index = {index: number for number, index in numbers.items()}
    by_name = {name: by_index[index] for index, name in enumerate(classes.names)}
    for one in found:
        image = history.lock(connection, one.image_id)
        here = table.c.id == one.image_id
        if one.fault:
            connection.execute(
                update(table).where(here).values(fault=one.fault[:500], clock=tick(connection))
            )
            continue
        if images.row_of(connection, one.image_id).imported:
            continue
        height, width = one.size
        values: dict[str, Any] = {"width": width, "height": height, "imported": True, "fault": ""}
        changes = _changes(one.truth, by_name)
        if not changes:
            values["clock"] = tick(connection)
        connection.execute(update(table).where(here).values(**values))
        if changes:
            whole = replace(image, size=one.size)
            history.record(connection, whole, "import", "import", f"import {len(changes)} objects", changes)


def _changes(truth: Instances | None, by_name: dict[str, int]) -> list[Change]:
    if truth is None or not len(truth):
        return []
    masks = truth.masks if truth.masks is not None else _rectangles(truth)
    full = np.flatnonzero(masks.area)
    return [
        Change(
            None,
            Shape(
                masks[i],
                by_name[truth.classes.name(int(truth.labels[i]))],
                source="import",
                z=i,
                crowd=bool(truth.crowd[i]),
                track=None if truth.ids is None else int(truth.ids[i]),
            ),
        )
        for i in full.tolist()
    ]


def _rectangles(truth: Instances) -> Masks:
    """Boxes as masks, where a dataset has nothing else."""
    corners: list[list[float]] = truth.boxes.tolist()
    rings = [np.array([[a, b], [c, b], [c, d], [a, d]]) for a, b, c, d in corners]
    return Masks.from_polygons([[Polygon(ring)] for ring in rings], truth.size)

"""The images of a project: brought in from a dataset, listed, and their states."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Row, Select, and_, exists, func, insert, select, update

from delineate.core.errors import InputError
from delineate.data.records import Dataset, Record

from ..source import BARE, UNNAMED
from .database import tick
from .history import ConflictError
from .tables import classes, comments, images, objects, versions

STATES = ("todo", "done", "reviewed", "rejected")
Sort = Literal["name", "objects", "updated", "queue"]


def enter(connection: Connection, data: Dataset) -> int:
    """Brings the dataset's classes and images in, without reading a file; those known already are kept.

    Returns:
        how many images are new.
    """
    _enter_classes(connection, data)
    known = {
        row.name: row
        for row in connection.execute(select(images.c.id, images.c.name, images.c.path, images.c.record))
    }
    by_path = {row.path: name for name, row in known.items()}
    now, new, moved = time.time(), [], []
    for index, (record, name) in enumerate(zip(data.records, own_names(data.records), strict=True)):
        path = str(record.path.resolve())
        row = known.pop(name, None) or known.pop(by_path.get(path, ""), None)
        if row is None:
            height, width = record.size or (0, 0)
            new.append(
                {
                    "name": name, "path": path, "dataset_id": record.image_id, "record": index,
                    "columns": json.dumps(dict(record.groups)), "width": width, "height": height,
                    "imported": False, "fault": "", "state": "todo", "version": 1, "revision": 0, "clock": 0,
                    "updated": now, "objects": 0, "suggested": 0, "comments": 0,
                }
            )  # fmt: skip
        elif (row.path, row.record) != (path, index):
            moved.append((row.id, path, index))
    if new:
        connection.execute(insert(images), new)
    for number, path, index in moved:
        connection.execute(update(images).where(images.c.id == number).values(path=path, record=index))
    for row in known.values():
        connection.execute(update(images).where(images.c.id == row.id).values(record=-1))
    return len(new)


def own_names(records: Sequence[Record]) -> list[str]:
    """A name for each image that no other has: its own, with the split before it where two are alike.

    Example:
        >>> from pathlib import Path
        >>> given = [("a", "train"), ("a", "val"), ("b", "val"), ("b", "val")]
        >>> own_names([Record(n, Path(n), 1, None, None, {"split": s}) for n, s in given])
        ['train/a', 'val/a', 'val/b', 'val/b (2)']
    """
    often = Counter(record.name for record in records)
    met: Counter[str] = Counter()
    names = []
    for record in records:
        name, split = record.name, record.groups.get("split", "")
        if often[name] > 1 and split:
            name = f"{split}/{name}"
        met[name] += 1
        names.append(name if met[name] == 1 else f"{name} ({met[name]})")
    return names


def _enter_classes(connection: Connection, data: Dataset) -> None:
    known = {row.name: row.dataset_id for row in connection.execute(select(classes))}
    taken = set(known.values())
    labels = data.classes
    if known and data.format == BARE and labels.names == (UNNAMED,):
        return  # opened again without a word about classes: those of the first time stay alone
    for index, (name, number) in enumerate(zip(labels.names, labels.ids, strict=True)):
        if name in known:
            continue
        number = number if number not in taken else max(taken) + 1
        taken.add(number)
        red, green, blue = labels.colors[index].tolist()
        row = {"name": name, "color": f"#{red:02x}{green:02x}{blue:02x}", "dataset_id": number}
        connection.execute(insert(classes).values(**row, thing=labels.things[index]))


def row_of(connection: Connection, image_id: int) -> Row[Any]:
    """The row of an image.

    Raises:
        InputError: there is none of this number.
    """
    row = connection.execute(select(images).where(images.c.id == image_id)).first()
    if row is None:
        raise InputError(f"image {image_id}: expected one of this project, got an unknown number; reload")
    return row


def brief(row: Row[Any]) -> dict[str, Any]:
    """An image as the list gives it."""
    columns = json.loads(row.columns)
    return {
        "id": row.id,
        "name": row.name,
        "width": row.width,
        "height": row.height,
        "state": row.state,
        "objects": row.objects,
        "suggested": row.suggested,
        "comments": row.comments,
        "split": columns.get("split", ""),
        "columns": columns,
        "updated": row.updated,
        "version": row.version,
        "revision": row.revision,
        "imported": row.imported,
        "fault": row.fault,
    }


def listed(
    connection: Connection,
    *,
    state: str = "",
    search: str = "",
    class_id: int | None = None,
    sort: Sort = "name",
    offset: int = 0,
    limit: int = 200,
    order: Sequence[int] = (),
) -> tuple[int, list[Row[Any]]]:
    """How many images meet the conditions, and one page of them.

    Args:
        connection: a transaction.
        state: only this one; empty for all.
        search: part of the name, without regard to case.
        class_id: only images with an object of this class.
        sort: by name, most objects first, latest change first, or ``queue``: in ``order``, then the rest.
        offset: how many to leave out.
        limit: how many to give.
        order: image numbers in the order of the queue.
    """
    query = select(images)
    if state:
        query = query.where(images.c.state == state)
    if search:
        query = query.where(images.c.name.icontains(search, autoescape=True))
    if class_id is not None:
        now = and_(versions.c.object_id == objects.c.id, versions.c.version == objects.c.version)
        has = select(objects.c.id).join(versions, now).where(
            objects.c.image_id == images.c.id, versions.c.deleted.is_(False), versions.c.class_id == class_id
        )  # fmt: skip
        query = query.where(exists(has))
    total = connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    if sort == "queue" and order:
        return total, _in_order(connection, query, order, offset, limit)
    by = {
        "name": (images.c.name,),
        "objects": ((images.c.objects + images.c.suggested).desc(), images.c.name),
        "updated": (images.c.updated.desc(), images.c.name),
    }.get(sort, (images.c.record, images.c.name))
    return total, list(connection.execute(query.order_by(*by, images.c.id).offset(offset).limit(limit)))


def _in_order(
    connection: Connection, query: Select[Any], order: Sequence[int], offset: int, limit: int
) -> list[Row[Any]]:
    rank = {number: k for k, number in enumerate(order)}
    ids = list(connection.execute(query.with_only_columns(images.c.id, images.c.record)))
    ids.sort(key=lambda row: (rank.get(row.id, len(rank)), row.record, row.id))
    page = [row.id for row in ids[offset : offset + limit]]
    rows = {row.id: row for row in connection.execute(select(images).where(images.c.id.in_(page)))}
    return [rows[number] for number in page]


def counts(connection: Connection) -> dict[str, int]:
    """How many images are in each state."""
    query = select(images.c.state, func.count()).group_by(images.c.state)
    found = {row[0]: row[1] for row in connection.execute(query)}
    return {state: found.get(state, 0) for state in STATES}


def set_state(connection: Connection, image_id: int, state: str, version: int) -> Row[Any]:
    """Gives an image another state.

    Raises:
        InputError: no such image.
        ConflictError: another person changed it since version ``version``.
    """
    query = select(images).where(images.c.id == image_id).with_for_update()
    row = connection.execute(query).first()
    if row is None:
        raise InputError(f"image {image_id}: expected one of this project, got an unknown number; reload")
    if row.version != version:
        raise ConflictError(
            f"image {row.name}: expected version {version}, got {row.version} ({row.state}); "
            "another person changed its state: look again",
            [],
        )
    values = {"state": state, "version": version + 1, "updated": time.time(), "clock": tick(connection)}
    connection.execute(update(images).where(images.c.id == image_id).values(**values))
    return row_of(connection, image_id)


def comment(connection: Connection, image_id: int, user: str, text: str) -> dict[str, Any]:
    """Adds a comment to an image."""
    row_of(connection, image_id)
    values = {"image_id": image_id, "user": user, "time": time.time(), "text": text}
    number = connection.execute(insert(comments).values(**values).returning(comments.c.id)).scalar_one()
    connection.execute(
        update(images)
        .where(images.c.id == image_id)
        .values(comments=images.c.comments + 1, clock=tick(connection), updated=values["time"])
    )
    return {"id": number, "author": user, "time": values["time"], "text": text}


def comments_of(connection: Connection, image_id: int) -> list[dict[str, Any]]:
    """The comments on an image, the first one first."""
    query = select(comments).where(comments.c.image_id == image_id).order_by(comments.c.id)
    return [{"id": r.id, "author": r.user, "time": r.time, "text": r.text} for r in connection.execute(query)]

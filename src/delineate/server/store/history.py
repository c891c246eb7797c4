"""Edits: each writes new versions of some objects, and can be undone, redone and restored from."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, case, func, insert, select, update

from delineate.core.errors import InputError

from .database import tick
from .objects import Shape, Stored, current_rows, from_rows, rows_of
from .tables import edits, images, objects, versions

STEPS = ("undo", "redo")  # ops that walk along a user's own edits


@dataclass(frozen=True)
class Image:
    """The row of an image, locked for an edit.

    Attributes:
        id: its number.
        size: (height, width) in pixels.
        revision: rises with every edit.
        top: the highest z that an object of it ever had.
        bottom: the lowest.
    """

    id: int
    size: tuple[int, int]
    revision: int
    top: int = -1
    bottom: int = 0


@dataclass(frozen=True)
class Change:
    """One object's new content.

    Attributes:
        before: what it is now; None for an object that is made.
        shape: what it becomes; None deletes it.
        root: the version that first had this content; None for new content.
    """

    before: Stored | None
    shape: Shape | None
    root: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What an edit did: its number, the image's new revision, objects as they are now, ids that are gone."""

    edit: int
    revision: int
    changed: tuple[Stored, ...]
    removed: tuple[int, ...]


class ConflictError(InputError):
    """Somebody else changed an object meanwhile.

    Args:
        message: one line.
        objects: the objects concerned, as they are now.
    """

    def __init__(self, message: str, objects: Sequence[Stored]) -> None:
        super().__init__(message)
        self.objects = tuple(objects)


def lock(connection: Connection, image_id: int) -> Image:
    """The image, whose edits wait until this transaction ends.

    Raises:
        InputError: there is none of this number.
    """
    row = connection.execute(select(images).where(images.c.id == image_id).with_for_update()).first()
    if row is None:
        raise InputError(f"image {image_id}: expected one of this project, got an unknown number; reload")
    return Image(row.id, (row.height, row.width), row.revision, row.top, row.bottom)


def record(
    connection: Connection,
    image: Image,
    user: str,
    op: str,
    summary: str,
    changes: Sequence[Change],
    target: int | None = None,
) -> Outcome:
    """Writes one edit and all that it changes; part of the caller's transaction."""
    now, revision = time.time(), image.revision + 1
    if op not in STEPS:  # a new edit closes the way forward
        own = and_(edits.c.image_id == image.id, edits.c.user == user, edits.c.status == "undone")
        connection.execute(update(edits).where(own).values(status="dropped"))
    row = {
        "image_id": image.id, "user": user, "op": op, "time": now, "summary": summary, "revision": revision,
        "status": "done", "target": target,
    }  # fmt: skip
    edit = int(connection.execute(insert(edits).values(row).returning(edits.c.id)).scalar_one())
    stored = _write(connection, image.id, edit, changes)
    _count(connection, image, now, changes)
    changed = tuple(s for s in stored if s.shape is not None)
    return Outcome(edit, revision, changed, tuple(s.id for s in stored if s.shape is None))


def _write(connection: Connection, image_id: int, edit: int, changes: Sequence[Change]) -> list[Stored]:
    made = sum(change.before is None for change in changes)
    statement = insert(objects).returning(objects.c.id, sort_by_parameter_order=True)
    rows_made = [{"image_id": image_id, "version": 1}] * made
    new = iter(connection.execute(statement, rows_made).scalars().all() if made else ())
    stored = []
    for change in changes:
        if change.before is None:
            number, version = next(new), 1
        else:
            number, version = change.before.id, change.before.version + 1
        root = version if change.root is None else change.root
        stored.append(Stored(number, version, 0 if change.shape is None else root, change.shape))
    rows = [
        {"object_id": s.id, "version": s.version, "edit_id": edit, "root": s.root, **row}
        for s, row in zip(stored, rows_of([s.shape for s in stored]), strict=True)
    ]
    if rows:
        connection.execute(insert(versions), rows)
    raised = [s for s in stored if s.version > 1]
    if raised:
        by_id = {s.id: s.version for s in raised}
        for part in _chunks(list(by_id), 200):
            rise = case({i: by_id[i] for i in part}, value=objects.c.id)
            connection.execute(update(objects).where(objects.c.id.in_(part)).values(version=rise))
    return stored


def _count(connection: Connection, image: Image, now: float, changes: Sequence[Change]) -> None:
    """Brings the image's row up to date with an edit."""
    before = [change.before.shape for change in changes if change.before is not None]
    after = [change.shape for change in changes]
    number, suggested = (_kinds(after)[k] - _kinds(before)[k] for k in (0, 1))
    heights = [shape.z for shape in after if shape is not None]
    values: dict[str, Any] = {
        "revision": image.revision + 1,
        "updated": now,
        "objects": images.c.objects + number,
        "suggested": images.c.suggested + suggested,
        "top": max([image.top, *heights]),
        "bottom": min([image.bottom, *heights]),
        "clock": tick(connection),
    }
    connection.execute(update(images).where(images.c.id == image.id).values(**values))


def _kinds(shapes: Sequence[Shape | None]) -> tuple[int, int]:
    """How many objects and how many suggestions."""
    present = [shape.suggested for shape in shapes if shape is not None]
    return present.count(False), present.count(True)


def _chunks(items: list[int], size: int) -> list[list[int]]:
    return [items[k : k + size] for k in range(0, len(items), size)]


# -- back and forth ------------------------------------------------------------------------------------


def undo(connection: Connection, image: Image, user: str) -> Outcome:
    """Takes the user's own last edit of this image back.

    Raises:
        InputError: there is none.
        ConflictError: another person changed one of its objects since; the edit is passed over, so that the
            next undo takes the one before.
    """
    last = _own(connection, image.id, user, "done", edits.c.id.desc())
    if last is None:
        raise InputError("undo: expected an edit of yours on this image, got none left; nothing was changed")
    return _step(connection, image, user, last, back=True)


def redo(connection: Connection, image: Image, user: str) -> Outcome:
    """Makes the user's edit again that was undone last.

    Raises:
        InputError: there is none.
        ConflictError: as :func:`undo`.
    """
    last = _own(connection, image.id, user, "undone", edits.c.id.asc())
    if last is None:
        raise InputError("redo: expected an edit of yours that was undone, got none; nothing was changed")
    return _step(connection, image, user, last, back=False)


def _own(connection: Connection, image_id: int, user: str, status: str, order: Any) -> Row[Any] | None:
    query = select(edits).where(
        edits.c.image_id == image_id, edits.c.user == user, edits.c.status == status,
        edits.c.op.not_in((*STEPS, "import")),
    )  # fmt: skip
    return connection.execute(query.order_by(order).limit(1)).first()


def _step(connection: Connection, image: Image, user: str, edit: Row[Any], back: bool) -> Outcome:
    """Each object of the edit goes to what it was before (or after) the edit, if it is now what it was after
    (or before)."""
    rows = connection.execute(
        select(versions.c.object_id, versions.c.version).where(versions.c.edit_id == edit.id)
    )
    at = {row.object_id: row.version for row in rows}
    after = _at_versions(connection, at, image.size)
    before = _at_versions(connection, {i: v - 1 for i, v in at.items()}, image.size)
    now = _now(connection, image, list(at))
    here, there = (after, before) if back else (before, after)
    changed = [now[i] for i in at if now[i].root != here[i].root]
    if changed:
        status = "passed" if back else "dropped"
        connection.execute(update(edits).where(edits.c.id == edit.id).values(status=status))
        word = "undo" if back else "redo"
        raise ConflictError(
            f"{word}: expected the objects as you left them, got changes by another person or a later edit "
            f"({edit.summary}); this step is passed over",
            [s for s in changed if s.shape is not None],
        )
    status = "undone" if back else "done"
    connection.execute(update(edits).where(edits.c.id == edit.id).values(status=status))
    changes = [Change(now[i], there[i].shape, there[i].root) for i in at]
    word = "undo" if back else "redo"
    return record(connection, image, user, word, f"{word}: {edit.summary}", changes, edit.id)


def restore(connection: Connection, image: Image, user: str, edit_id: int) -> Outcome:
    """Brings all objects of the image to what they were right after an edit; can be undone like any other.

    Raises:
        InputError: no such edit of this image.
    """
    found = connection.execute(
        select(edits).where(edits.c.id == edit_id, edits.c.image_id == image.id)
    ).first()
    if found is None:
        raise InputError(f"restore: expected an edit of this image, got {edit_id}; see its history")
    then = (
        select(versions.c.object_id, func.max(versions.c.version).label("version"))
        .join(edits, edits.c.id == versions.c.edit_id)
        .where(edits.c.image_id == image.id, edits.c.revision <= found.revision)
        .group_by(versions.c.object_id)
    )
    at = {row.object_id: row.version for row in connection.execute(then)}
    now = _now(connection, image, None)
    wanted = _at_versions(connection, {i: at.get(i, 0) for i in now}, image.size)
    changes = [Change(now[i], wanted[i].shape, wanted[i].root) for i in now if now[i].root != wanted[i].root]
    summary = f"restore: as after “{found.summary}” ({len(changes)} objects)"
    return record(connection, image, user, "restore", summary, changes, edit_id)


def _now(connection: Connection, image: Image, ids: list[int] | None) -> dict[int, Stored]:
    query = current_rows(image.id)
    found = [] if ids is None else [query.where(objects.c.id.in_(part)) for part in _chunks(ids, 500)]
    rows = [row for q in (found if ids is not None else [query]) for row in connection.execute(q)]
    return {stored.id: stored for stored in from_rows(rows, image.size)}


def _at_versions(connection: Connection, at: dict[int, int], size: tuple[int, int]) -> dict[int, Stored]:
    """Objects in chosen versions; version 0 is before they were made."""
    found = {i: Stored(i, 0, 0, None) for i, version in at.items() if version == 0}
    wanted = [i for i, version in at.items() if version > 0]
    rows: list[Row[Any]] = []
    for part in _chunks(wanted, 200):
        chosen = case({i: at[i] for i in part}, value=versions.c.object_id)
        query = select(versions.c.object_id.label("id"), versions)
        rows += connection.execute(query.where(versions.c.object_id.in_(part), versions.c.version == chosen))
    return found | {stored.id: stored for stored in from_rows(rows, size)}


def listed(connection: Connection, image_id: int, limit: int = 500) -> list[dict[str, Any]]:
    """The edits of an image, the latest first."""
    query = select(edits).where(edits.c.image_id == image_id).order_by(edits.c.id.desc()).limit(limit)
    return [
        {
            "edit": row.id, "op": row.op, "author": row.user, "time": row.time, "summary": row.summary,
            "revision": row.revision, "status": row.status,
        }
        for row in connection.execute(query)
    ]  # fmt: skip


def since(connection: Connection, image: Image, revision: int) -> tuple[list[Stored], list[int]]:
    """Objects that changed after a revision: as they are now, and the ids of those that are gone."""
    later = (
        select(versions.c.object_id)
        .join(edits, edits.c.id == versions.c.edit_id)
        .where(edits.c.image_id == image.id, edits.c.revision > revision)
    )
    rows = connection.execute(current_rows(image.id).where(objects.c.id.in_(later)))
    found = from_rows(rows, image.size)
    return [s for s in found if s.shape is not None], [s.id for s in found if s.shape is None]

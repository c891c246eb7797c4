"""The class palette."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from delineate.core.errors import InputError
from delineate.core.labels import Labels, distinct_colors

from .tables import classes


def listed(connection: Connection) -> list[dict[str, Any]]:
    """The classes in the dataset's order."""
    query = select(classes).order_by(classes.c.dataset_id)
    return [{"id": row.id, "name": row.name, "color": row.color} for row in connection.execute(query)]


def add(connection: Connection, name: str, color: str | None) -> dict[str, Any]:
    """A new class.

    Raises:
        InputError: the name is taken.
    """
    count, last = connection.execute(select(func.count(), func.max(classes.c.dataset_id))).one()
    if color is None:
        red, green, blue = distinct_colors(count + 1)[-1].tolist()
        color = f"#{red:02x}{green:02x}{blue:02x}"
    row = {"name": name.strip(), "color": color, "dataset_id": (last or 0) + 1, "thing": True}
    try:
        number = connection.execute(insert(classes).values(**row).returning(classes.c.id)).scalar_one()
    except IntegrityError:
        raise _taken(name) from None
    return {"id": number, "name": row["name"], "color": color}


def change(connection: Connection, number: int, name: str | None, color: str | None) -> dict[str, Any]:
    """Another name or colour for a class.

    Raises:
        InputError: no such class, or the name is taken.
    """
    values = {k: v for k, v in (("name", name and name.strip()), ("color", color)) if v}
    try:
        if values:
            connection.execute(update(classes).where(classes.c.id == number).values(**values))
    except IntegrityError:
        raise _taken(str(name)) from None
    row = connection.execute(select(classes).where(classes.c.id == number)).first()
    if row is None:
        raise InputError(f"class {number}: expected a class of this project, got an unknown number; reload")
    return {"id": row.id, "name": row.name, "color": row.color}


def labels(connection: Connection) -> tuple[Labels, dict[int, int]]:
    """The classes as the rest of the program knows them, and the index of each studio number."""
    rows = connection.execute(select(classes).order_by(classes.c.dataset_id)).all()
    found = Labels(
        tuple(r.name for r in rows), tuple(r.dataset_id for r in rows), tuple(r.thing for r in rows)
    )
    return found, {row.id: index for index, row in enumerate(rows)}


def _taken(name: str) -> InputError:
    return InputError(f"class: expected a new name, got {name!r}, which another class has; choose another")

"""A model's objects as suggestions on an image."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from delineate.core.errors import InputError
from delineate.core.instances import Instances

from .store import classes, history
from .store.history import Change, Outcome
from .store.objects import Shape, present


def put(connection: Connection, image_id: int, found: Instances, user: str, model: str) -> Outcome:
    """Writes suggestions in place of those that are still open; one edit, which can be undone.

    Raises:
        InputError: the objects are of another image size, or have no masks.
    """
    image = history.lock(connection, image_id)
    if found.size != image.size or (found.masks is None and len(found)):
        raise InputError(
            f"suggestions: expected masks on an image of {image.size} pixels, got {found.size}"
            f"{' without masks' if found.masks is None else ''}; use a model that gives masks of this image"
        )
    stored = present(connection, image_id, image.size)
    changes = [Change(s, None) for s in stored if s.shape is not None and s.shape.suggested]
    numbers = _class_numbers(connection, found)
    masks: Any = found.masks
    for i in range(len(found)):
        if masks[i].area[0]:
            shape = Shape(
                masks[i],
                numbers[int(found.labels[i])],
                score=float(found.scores[i]),
                source="model",
                suggested=True,
                z=image.top + 1 + i,
                author=model,
            )
            changes.append(Change(None, shape))
    drawn = sum(change.shape is not None for change in changes)
    return history.record(connection, image, user, "prelabel", f"{model} suggests {drawn} objects", changes)


def _class_numbers(connection: Connection, found: Instances) -> dict[int, int]:
    """The studio's class of every label that occurs, by name; made where it is new."""
    known = {c["name"]: c["id"] for c in classes.listed(connection)}
    numbers = {}
    for label in sorted(set(found.labels.tolist())):
        name = found.classes.name(label)
        if name not in known and len(known) == 1 == len(found.classes):
            numbers[label] = next(iter(known.values()))  # one class here and one there mean the same
            continue
        if name not in known:
            known[name] = classes.add(connection, name, None)["id"]
        numbers[label] = known[name]
    return numbers

"""What each edit does to the objects it names: pure functions from request and objects to changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from delineate.core.errors import InputError
from delineate.core.masks import Masks

from . import requests as ask
from .shapes import filled, joined, minus, of_rings, split, within
from .store import history
from .store.history import Change, ConflictError, Image, Outcome
from .store.objects import Shape, Stored, current_rows, from_rows, present
from .store.tables import classes, objects
from .strokes import stroke


@dataclass(frozen=True)
class Scene:
    """What an edit may look at.

    Attributes:
        image: the locked image.
        user: who asks.
        found: the objects that the edit names, by id, as they are now.
        connection: the transaction.
    """

    connection: Connection
    image: Image
    user: str
    found: dict[int, Stored]

    def shape(self, number: int) -> Shape:
        """The shape of one object that the edit names."""
        shape = self.found[number].shape
        assert shape is not None  # checked when the scene was made
        return shape

    def class_name(self, class_id: int) -> str:
        """The name of a class.

        Raises:
            InputError: there is none of this number.
        """
        name = self.connection.execute(select(classes.c.name).where(classes.c.id == class_id)).scalar()
        if name is None:
            raise InputError(
                f"class {class_id}: expected a class of this project, got an unknown number; reload"
            )
        return str(name)


def apply(connection: Connection, image_id: int, user: str, request: Any) -> Outcome:
    """Does one edit in the caller's transaction.

    Args:
        connection: a transaction that writes.
        image_id: which image.
        user: who asks.
        request: one of the bodies of :mod:`delineate.server.requests`.

    Raises:
        InputError: it cannot be done; nothing was changed.
        ConflictError: an object was changed since the sender saw it; nothing was changed.
    """
    image = history.lock(connection, image_id)
    if isinstance(request, ask.Undo):
        return history.undo(connection, image, user)
    if isinstance(request, ask.Redo):
        return history.redo(connection, image, user)
    if isinstance(request, ask.Restore):
        return history.restore(connection, image, user, request.edit)
    scene = _scene(connection, image, user, request)
    summary, changes = _OPS[type(request)](scene, request)
    return history.record(connection, image, user, request.op, summary, changes)


def _scene(connection: Connection, image: Image, user: str, request: Any) -> Scene:
    ids = request.touched()
    found: dict[int, Stored] = {}
    for begin in range(0, len(ids), 500):
        rows = connection.execute(current_rows(image.id).where(objects.c.id.in_(ids[begin : begin + 500])))
        found |= {stored.id: stored for stored in from_rows(rows, image.size)}
    unknown = [i for i in ids if i not in found]
    if unknown:
        raise InputError(f"object {unknown[0]}: expected one of this image, got an unknown number; reload")
    unseen = [i for i in ids if i not in request.versions]
    if unseen:
        raise InputError(f"versions: expected the version of object {unseen[0]}, got none; send it along")
    stale = [i for i in ids if found[i].version != request.versions[i] or found[i].shape is None]
    if stale:
        now = [found[i] for i in stale if found[i].shape is not None]
        raise ConflictError(
            f"object {stale[0]}: expected version {request.versions[stale[0]]}, got version "
            f"{found[stale[0]].version}{'' if now else ', deleted'}; another person changed it: look again",
            now,
        )
    return Scene(connection, image, user, found)


def _drawn(geometry: ask.Geometry, size: tuple[int, int]) -> tuple[Masks, tuple[tuple[float, ...], ...]]:
    """The mask of a geometry, and its rings where it is a polygon that lies on the image."""
    given = [k for k in ("rings", "stroke", "box", "rle") if getattr(geometry, k) is not None]
    if len(given) != 1:
        raise InputError(
            f"geometry: expected one of rings, stroke, box, rle, got {', '.join(given) or 'none'}; send one"
        )
    rings: tuple[tuple[float, ...], ...] = ()
    if geometry.stroke is not None:
        mask = stroke(np.array(geometry.stroke.points, np.float64), geometry.stroke.radius, size)
    elif geometry.rle is not None:
        mask = Masks.from_rle([geometry.rle], size, ["geometry, rle"])
    else:
        if geometry.box is not None:
            x1, y1, x2, y2 = geometry.box
            rings = ((x1, y1, x2, y1, x2, y2, x1, y2),)
        else:
            rings = tuple(map(tuple, geometry.rings or ()))
        mask, rings = _polygon(rings, size)
    if not mask.area[0]:
        raise InputError(
            "geometry: expected an outline that covers a pixel of the image, got none; draw again"
        )
    return mask, rings


def _polygon(
    rings: tuple[tuple[float, ...], ...], size: tuple[int, int]
) -> tuple[Masks, tuple[tuple[float, ...], ...]]:
    if any(len(ring) % 2 for ring in rings):
        raise InputError("rings: expected x and y for every point, got an odd number of values; send pairs")
    points = [np.array(ring, np.float64).reshape(-1, 2) for ring in rings]
    return of_rings(points, size), rings if within(points, size) else ()


# -- the ops: each gives a summary and the changes ------------------------------------------------------

Result = tuple[str, list[Change]]


def _add(scene: Scene, request: ask.Add) -> Result:
    name = scene.class_name(request.class_id)
    mask, rings = _drawn(request.geometry, scene.image.size)
    shape = Shape(mask, request.class_id, rings, request.score, z=scene.image.top + 1, author=scene.user)
    return f"add {name}", [Change(None, shape)]


def _brush(scene: Scene, request: ask.Brush) -> Result:
    shape = scene.shape(request.id)
    ink = stroke(np.array(request.points, np.float64), request.radius, scene.image.size)
    mask = minus(shape.mask, ink) if request.erase else joined([shape.mask, ink])
    after = shape.painted(mask, scene.user) if mask.area[0] else None
    word = "erase from" if request.erase else "paint on"
    return f"{word} {scene.class_name(shape.class_id)}", [Change(scene.found[request.id], after)]


def _replace(scene: Scene, request: ask.Replace) -> Result:
    mask, rings = _drawn(request.geometry, scene.image.size)
    shape = replace(scene.shape(request.id).painted(mask, scene.user), rings=rings)
    return f"redraw {scene.class_name(shape.class_id)}", [Change(scene.found[request.id], shape)]


def _delete(scene: Scene, request: ask.Delete) -> Result:
    return f"delete {_several(len(scene.found))}", [Change(stored, None) for stored in scene.found.values()]


def _set_class(scene: Scene, request: ask.SetClass) -> Result:
    name = scene.class_name(request.class_id)
    return f"call {_several(len(scene.found))} {name}", _each(scene, class_id=request.class_id)


def _split(scene: Scene, request: ask.Split) -> Result:
    shape = scene.shape(request.id)
    pieces = split(shape.mask, np.array(request.line, np.float64).reshape(-1, 2))
    first = Change(scene.found[request.id], shape.painted(pieces[0], scene.user))
    rest = [
        Change(None, replace(shape.painted(pieces[i], scene.user), z=scene.image.top + i, track=None))
        for i in range(1, len(pieces))
    ]
    return f"split {scene.class_name(shape.class_id)} into {len(pieces)}", [first, *rest]


def _merge(scene: Scene, request: ask.Merge) -> Result:
    first, *rest = dict.fromkeys(request.ids)
    if not rest:
        raise InputError("merge: expected two objects or more, got one; choose another as well")
    shape = scene.shape(first)
    mask = joined([scene.shape(i).mask for i in (first, *rest)])
    changes = [Change(scene.found[first], shape.painted(mask, scene.user))]
    changes += [Change(scene.found[i], None) for i in rest]
    return f"merge {_several(len(changes))} to one {scene.class_name(shape.class_id)}", changes


def _hole(scene: Scene, request: ask.Hole) -> Result:
    shape, size = scene.shape(request.id), scene.image.size
    out, rings = _polygon(tuple(map(tuple, request.rings)), size)
    mask = minus(shape.mask, out)
    if not mask.area[0]:
        raise InputError("hole: expected a hole smaller than the object, got one that covers it; delete it")
    after = shape.painted(mask, scene.user)
    if shape.rings and rings and _polygon((*shape.rings, *rings), size)[0] == mask:
        after = replace(after, rings=(*shape.rings, *rings))
    return f"cut a hole in {scene.class_name(shape.class_id)}", [Change(scene.found[request.id], after)]


def _fill_holes(scene: Scene, request: ask.FillHoles) -> Result:
    shape = scene.shape(request.id)
    mask = filled(shape.mask)
    if mask == shape.mask:
        raise InputError("fill_holes: expected an object with holes, got one without; nothing was changed")
    return f"fill holes of {scene.class_name(shape.class_id)}", [
        Change(scene.found[request.id], shape.painted(mask, scene.user))
    ]


def _move(scene: Scene, request: ask.Move) -> Result:
    dx, dy = round(request.dx), round(request.dy)
    if not dx and not dy:
        raise InputError("move: expected a pixel or more, got less than half; nothing was changed")
    changes = []
    for stored in scene.found.values():
        shape = scene.shape(stored.id)
        mask = shape.mask.shift(dx, dy)
        if not mask.area[0]:
            raise InputError(
                f"move: expected object {stored.id} to stay on the image, got it outside; move it less"
            )
        points = [np.array(ring).reshape(-1, 2) + np.array([dx, dy]) for ring in shape.rings]
        kept = tuple(tuple(p.ravel().tolist()) for p in points) if within(points, scene.image.size) else ()
        after = replace(shape.painted(mask, scene.user), rings=kept)
        changes.append(Change(stored, after))
    return f"move {_several(len(changes))}", changes


def _order(scene: Scene, request: ask.Order) -> Result:
    ranked = sorted(scene.found.values(), key=lambda s: (scene.shape(s.id).z, s.id))
    first = scene.image.top + 1 if request.to == "front" else scene.image.bottom - len(ranked)
    changes = [Change(s, replace(scene.shape(s.id), z=first + k)) for k, s in enumerate(ranked)]
    return f"{_several(len(changes))} to the {request.to}", changes


def _accept(scene: Scene, request: ask.Accept) -> Result:
    chosen = _suggestions(scene, request.ids, request.confidence, lambda score, bound: score >= bound)
    changes = [
        Change(s, replace(s.shape, suggested=False, author=scene.user)) for s in chosen if s.shape is not None
    ]
    return f"accept {_several(len(changes))}", changes


def _reject(scene: Scene, request: ask.Reject) -> Result:
    chosen = _suggestions(scene, request.ids, request.below, lambda score, bound: score < bound)
    return f"reject {_several(len(chosen))}", [Change(stored, None) for stored in chosen]


def _suggestions(
    scene: Scene, ids: Sequence[int] | None, bound: float | None, passes: Callable[[float, float], bool]
) -> list[Stored]:
    if (ids is None) == (bound is None):
        raise InputError(
            "accept, reject: expected ids or a bound of the score, got both or neither; send one"
        )
    found = list(scene.found.values())
    if bound is not None:
        found = present(scene.connection, scene.image.id, scene.image.size)
    chosen = [
        s
        for s in found
        if s.shape is not None
        and s.shape.suggested
        and (bound is None or passes(1.0 if s.shape.score is None else s.shape.score, bound))
    ]
    if not chosen:
        raise InputError("accept, reject: expected suggestions, got none of those; nothing was changed")
    return chosen


def _crowd(scene: Scene, request: ask.Crowd) -> Result:
    word = "crowds" if request.value else "single objects"
    return f"call {_several(len(scene.found))} {word}", _each(scene, crowd=request.value)


def _remark(scene: Scene, request: ask.Remark) -> Result:
    return "comment on an object", _each(scene, comment=request.text)


def _each(scene: Scene, **fields: Any) -> list[Change]:
    return [Change(stored, replace(scene.shape(stored.id), **fields)) for stored in scene.found.values()]


def _several(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


_OPS: dict[type, Callable[[Scene, Any], Result]] = {
    ask.Add: _add,
    ask.Brush: _brush,
    ask.Replace: _replace,
    ask.Delete: _delete,
    ask.SetClass: _set_class,
    ask.Split: _split,
    ask.Merge: _merge,
    ask.Hole: _hole,
    ask.FillHoles: _fill_holes,
    ask.Move: _move,
    ask.Order: _order,
    ask.Accept: _accept,
    ask.Reject: _reject,
    ask.Crowd: _crowd,
    ask.Remark: _remark,
}

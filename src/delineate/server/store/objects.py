"""Objects as they are now, and the rows that keep their versions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, Select, and_, select

from delineate.core.masks import Masks

from .tables import objects, versions

Rings = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Shape:
    """What an object is in one version.

    Attributes:
        mask: one mask on the image: the truth.
        class_id: number of its class in the studio.
        rings: the polygon as it was drawn, flat x0, y0, x1, y1, ..; empty where the mask was painted.
        score: 0..1 of a model's object, else None.
        source: ``person``, ``model`` or ``import``.
        suggested: drawn by a model and not yet accepted.
        z: which lies on top where two overlap: the higher.
        crowd: a region that stands for a group.
        track: number of its track, or None.
        author: who drew it last.
        comment: a remark on this object.
    """

    mask: Masks
    class_id: int
    rings: Rings = ()
    score: float | None = None
    source: str = "person"
    suggested: bool = False
    z: int = 0
    crowd: bool = False
    track: int | None = None
    author: str = ""
    comment: str = ""

    def painted(self, mask: Masks, author: str) -> Shape:
        """The same object with another mask, drawn by a person."""
        return replace(self, mask=mask, rings=(), source="person", suggested=False, author=author)


@dataclass(frozen=True)
class Stored:
    """An object of the database; ``shape`` is None where it is deleted.

    Attributes:
        id: its number, unique in the project.
        version: rises with every change.
        root: the version that first had this content; 0 where there is no object.
        shape: what it is.
    """

    id: int
    version: int
    root: int
    shape: Shape | None


def to_row(shape: Shape | None) -> dict[str, Any]:
    """The columns of ``versions`` that hold a shape; those of a deleted object for None."""
    return rows_of([shape])[0]


def rows_of(shapes: Sequence[Shape | None]) -> list[dict[str, Any]]:
    """The same for many at once."""
    present = [shape for shape in shapes if shape is not None]
    encoded: list[dict[str, Any]] = []
    if present:
        masks = Masks.concatenate([shape.mask for shape in present])
        counts = masks.to_rle()
        boxes, areas = masks.boxes.tolist(), masks.area.tolist()
        encoded = [
            _columns(shape, rle["counts"], box, area)
            for shape, rle, box, area in zip(present, counts, boxes, areas, strict=True)
        ]
    following = iter(encoded)
    return [dict.fromkeys(_KEPT) | {"deleted": True} if s is None else next(following) for s in shapes]


_KEPT = (
    "class_id", "mask", "rings", "x1", "y1", "x2", "y2", "area", "score", "source", "suggested", "z", "crowd",
    "track", "author", "comment",
)  # fmt: skip


def _columns(shape: Shape, counts: str, box: list[float], area: int) -> dict[str, Any]:
    return {
        "deleted": False,
        "class_id": shape.class_id,
        "mask": counts.encode("ascii"),
        "rings": json.dumps(shape.rings) if shape.rings else None,
        **dict(zip(("x1", "y1", "x2", "y2"), box, strict=True)),
        "area": area,
        "score": shape.score,
        "source": shape.source,
        "suggested": shape.suggested,
        "z": shape.z,
        "crowd": shape.crowd,
        "track": shape.track,
        "author": shape.author,
        "comment": shape.comment,
    }


def from_rows(rows: Iterable[Row[Any]], size: tuple[int, int]) -> list[Stored]:
    """Objects of rows of :func:`current_rows`, their masks decoded together."""
    rows = list(rows)
    masks = Masks.from_rle(
        [{"size": list(size), "counts": bytes(r.mask)} for r in rows if not r.deleted],
        size,
        [f"object {r.id}" for r in rows if not r.deleted],
    )
    found, k = [], 0
    for row in rows:
        shape = None
        if not row.deleted:
            shape = _shape(row, masks[k])
            k += 1
        found.append(Stored(row.id, row.version, row.root, shape))
    return found


def _shape(row: Row[Any], mask: Masks) -> Shape:
    rings = tuple(map(tuple, json.loads(row.rings))) if row.rings else ()
    return Shape(
        mask, row.class_id, rings, row.score, row.source, row.suggested, row.z, row.crowd, row.track,
        row.author or "", row.comment or "",
    )  # fmt: skip


def current_rows(image_id: int) -> Select[Any]:
    """All objects of an image in the version that holds, deleted ones too."""
    now = and_(versions.c.object_id == objects.c.id, versions.c.version == objects.c.version)
    return select(objects.c.id, versions).join(versions, now).where(objects.c.image_id == image_id)


def present(
    connection: Connection, image_id: int, size: tuple[int, int], ids: Sequence[int] | None = None
) -> list[Stored]:
    """The objects of an image (or those of them with these ids) that are there, in order of z, then id."""
    query = current_rows(image_id).where(versions.c.deleted.is_(False))
    if ids is not None:
        query = query.where(objects.c.id.in_(ids))
    return from_rows(connection.execute(query.order_by(versions.c.z, objects.c.id)), size)


def to_json(found: Sequence[Stored], tolerance: float = 0.0) -> list[dict[str, Any]]:
    """Objects as the API gives them; outlines of painted ones are traced from their masks."""
    shapes = [stored.shape for stored in found if stored.shape is not None]
    painted = [shape.mask for shape in shapes if not shape.rings]
    traced = iter(Masks.concatenate(painted).to_polygons(tolerance) if painted else [])
    if not shapes:
        return []
    masks = Masks.concatenate([shape.mask for shape in shapes])
    boxes, areas = masks.boxes.tolist(), masks.area.tolist()
    result = []
    for stored, box, area in zip((s for s in found if s.shape is not None), boxes, areas, strict=True):
        shape = stored.shape
        assert shape is not None
        rings: Any = shape.rings or [_flat(ring) for part in next(traced) for ring in part.rings]
        result.append(
            {
                "id": stored.id,
                "version": stored.version,
                "class_id": shape.class_id,
                "rings": rings,
                "box": box,
                "area": area,
                "kind": "polygon" if shape.rings else "mask",
                "score": shape.score,
                "source": shape.source,
                "suggested": shape.suggested,
                "z": shape.z,
                "crowd": shape.crowd,
                "track": shape.track,
                "author": shape.author,
                "comment": shape.comment,
            }
        )
    return result


def _flat(ring: Any) -> list[Any]:
    """Whole numbers as integers: the text is a third shorter."""
    values = np.asarray(ring).ravel()
    whole = values.astype(np.int64)
    return whole.tolist() if (whole == values).all() else values.tolist()

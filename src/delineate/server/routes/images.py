"""Images: the list, one of them, its tiles, its state and its comments."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from delineate.core.errors import InputError

from .. import requests as ask
from ..answers import as_json
from ..auth import Annotator, Asker, ForbiddenError
from ..pyramid import TILE, levels
from ..store import images
from ..tiles import View, encode, tile
from . import Open

router = APIRouter()
_KEPT = {"Cache-Control": "private, max-age=3600"}


@router.get("/api/images")
def listed(
    studio: Open,
    user: Asker,
    state: str = "",
    search: str = "",
    class_id: int | None = None,
    sort: images.Sort = "name",
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Response:
    """One page of the list."""
    with studio.database.read() as connection:
        total, rows = images.listed(
            connection, state=state, search=search, class_id=class_id, sort=sort, offset=offset, limit=limit,
            order=studio.queue,
        )  # fmt: skip
    return as_json({"total": total, "images": [images.brief(row) for row in rows]})


@router.get("/api/images/{image_id}")
def one(studio: Open, user: Asker, image_id: int) -> Response:
    """What the page needs to show an image."""
    row = studio.ensure(image_id)
    pyramid = studio.pyramid(image_id)
    ranges = pyramid.ranges
    return as_json(
        images.brief(row)
        | {
            "channels": pyramid.channels,
            "dtype": pyramid.dtype.name,
            "color": pyramid.colour,
            "range": [min(r[0] for r in ranges), max(r[1] for r in ranges)],
            "ranges": ranges,
            "tile": TILE,
            "levels": levels(pyramid.size),
        }
    )


@router.get("/api/images/{image_id}/tiles/{level}/{column}/{row}")
def one_tile(
    studio: Open,
    user: Asker,
    image_id: int,
    level: int,
    column: int,
    row: int,
    channel: str = "all",
    lo: float | None = None,
    hi: float | None = None,
    gamma: Annotated[float, Query(gt=0, le=10)] = 1.0,
) -> Response:
    """A tile: PNG at full resolution, JPEG where it is reduced."""
    picture = tile(studio.pyramid(image_id), level, column, row, _view(channel, lo, hi, gamma))
    data, kind = encode(picture, lossless=level == 0)
    return Response(data, media_type=kind, headers=_KEPT)


@router.get("/api/images/{image_id}/thumbnail")
def small(
    studio: Open, user: Asker, image_id: int, size: Annotated[int, Query(ge=16, le=1024)] = 160
) -> Response:
    """The whole image, reduced."""
    return Response(studio.thumbnail(image_id, size), media_type="image/jpeg", headers=_KEPT)


def _view(channel: str, lo: float | None, hi: float | None, gamma: float) -> View:
    if channel != "all" and not channel.isdecimal():
        raise InputError(f"channel: expected all or a number from 0, got {channel!r}; choose one")
    return View(None if channel == "all" else int(channel), lo, hi, gamma)


@router.patch("/api/images/{image_id}")
def set_state(studio: Open, user: Annotator, image_id: int, body: ask.ImageState) -> Response:
    """Another state; only reviewers say reviewed or rejected."""
    if body.state in ("reviewed", "rejected") and not user.may("reviewer"):
        raise ForbiddenError(
            403, f"{user.name}: expected the role reviewer or higher, got {user.role}; ask an admin"
        )
    with studio.database.write() as connection:
        row = images.set_state(connection, image_id, body.state, body.version)
    studio.ring()
    return as_json(images.brief(row))


@router.get("/api/images/{image_id}/comments")
def comments(studio: Open, user: Asker, image_id: int) -> list[dict[str, Any]]:
    """The comments on an image."""
    with studio.database.read() as connection:
        return images.comments_of(connection, image_id)


@router.post("/api/images/{image_id}/comments")
def comment(studio: Open, user: Annotator, image_id: int, body: ask.CommentText) -> dict[str, Any]:
    """One more."""
    with studio.database.write() as connection:
        made = images.comment(connection, image_id, user.name, body.text)
    studio.ring()
    return made

"""Objects, edits, history, and news of what others do."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from .. import requests as ask
from ..answers import as_json, told
from ..auth import Annotator, Asker
from ..store import history, images, listing
from ..store.history import Image
from ..store.objects import to_json
from ..store.tables import images as image_table
from ..store.tables import settings
from ..studio import Studio
from . import Open

router = APIRouter()

WAIT_SECONDS = 25.0
"""How long a request for news waits at most."""
AT_ONCE = 1000
"""Images that one answer tells of at most."""
LOOK_SECONDS = 2.0
"""How often it looks for what another server process has written."""


@router.get("/api/images/{image_id}/objects")
def objects(
    studio: Open, user: Asker, image_id: int, tolerance: Annotated[float, Query(ge=0, le=20)] = 0.0
) -> Response:
    """All objects, lowest first. Outlines are exact; above 0 they are simplified to within so many pixels."""
    studio.ensure(image_id)
    with studio.database.read() as connection:
        row = images.row_of(connection, image_id)
        found = listing.listed(connection, image_id, (row.height, row.width), tolerance)
    return as_json({"revision": row.revision, "objects": found})


@router.post("/api/images/{image_id}/edits")
def edit(studio: Open, user: Annotator, image_id: int, body: Annotated[ask.Edit, Body()]) -> Response:
    """Does one edit; when this answers, it is on the disk."""
    return told(studio.edit(image_id, user.name, body))


@router.get("/api/images/{image_id}/history")
def past(
    studio: Open, user: Asker, image_id: int, limit: Annotated[int, Query(ge=1, le=10_000)] = 500
) -> Response:
    """The edits, the latest first."""
    with studio.database.read() as connection:
        return as_json(history.listed(connection, image_id, limit))


@router.get("/api/events")
async def events(
    studio: Open,
    user: Asker,
    request: Request,
    image: int | None = None,
    since: int = 0,
    clock: int | None = None,
    wait: Annotated[float, Query(ge=0, le=WAIT_SECONDS)] = WAIT_SECONDS,
) -> Response:
    """What changed on an image after a revision, and which images changed after a clock; waits for it."""
    end, looked, seen = time.monotonic() + wait, 0.0, -1
    while True:
        if studio.news != seen or time.monotonic() - looked > LOOK_SECONDS:
            seen, looked = studio.news, time.monotonic()
            news = await run_in_threadpool(_news, studio, image, since, clock)
            if news["revision"] > since or news["images"] or (clock is None and image is None):
                return as_json(news)
        if time.monotonic() >= end or studio.closing.is_set() or await request.is_disconnected():
            return as_json(news)
        await asyncio.sleep(0.03)


def _news(studio: Studio, image_id: int | None, since: int, clock: int | None) -> dict[str, Any]:
    with studio.database.read() as connection:
        now = int(connection.execute(select(settings.c.value).where(settings.c.key == "clock")).scalar_one())
        rows = []
        if clock is not None and clock < now:
            query = select(image_table).where(image_table.c.clock > clock).order_by(image_table.c.clock)
            found = connection.execute(query.limit(AT_ONCE)).all()
            now = found[-1].clock if len(found) == AT_ONCE else now  # the rest comes with the next request
            rows = [images.brief(row) for row in found]
        news: dict[str, Any] = {"revision": since, "changed": [], "removed": [], "images": rows, "clock": now}
        if image_id is None:
            return news
        row = images.row_of(connection, image_id)
        if row.revision > since:
            changed, removed = history.since(
                connection, Image(row.id, (row.height, row.width), row.revision), since
            )
            news |= {"revision": row.revision, "changed": to_json(changed), "removed": removed}
    return news

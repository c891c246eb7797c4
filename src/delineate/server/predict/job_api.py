"""Jobs over HTTP: asked now, answered when the server has time, kept until they are fetched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from .api import User, Works
from .asked import Asked, Format
from .door import as_json
from .formats import choose, render
from .job_store import JobStore
from .kept import unpacked
from .limits import RefusedError
from .runner import Runner
from .told import SHOWN, JobCard, JobList, problems
from .upload import BODY, receive

router = APIRouter(tags=["jobs"])
LINES = "application/x-ndjson"
PAGE = 50  # results read from the store at once
JobId = Annotated[str, Field(pattern="^[0-9a-f]{24}$")]


class Shown(BaseModel):
    """How a result is shown."""

    format: Format | None = Field(default=None, description="Else as the header Accept says.")
    tolerance: float = Field(default=0.0, ge=0, le=100)


def _runner(service: Works) -> Runner:
    assert service.runner is not None  # the router is there only where it is
    return service.runner


Works_ = Annotated[Runner, Depends(_runner)]


def card(row: dict[str, Any], runner: Runner) -> dict[str, Any]:
    """What the API tells of a job."""
    part = 0.0 if row["finished"] else runner.part(row["id"])
    done = row["ended"] == row["images"]
    return {
        "id": row["id"],
        "state": "done" if done else "running" if row["ended"] or part else "waiting",
        "progress": 1.0 if done else round((row["ended"] + part) / row["images"], 4),
        "images": row["images"],
        "ended": row["ended"],
        "created": row["created"],
        "finished": row["finished"],
    }


@router.post(
    "/api/jobs",
    status_code=202,
    response_model=JobCard,
    responses=problems(400, 401, 403, 404, 408, 409, 413, 415, 422, 503)
    | {200: {"model": JobCard, "description": "The job that this key made before"}},
    openapi_extra=BODY,
)
async def submit(
    request: Request,
    caller: User,
    service: Works,
    runner: Works_,
    asked: Annotated[Asked, Query()],
    key: Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)] = None,
) -> Response:
    """A job of one image or, in a form, of many. With an Idempotency-Key asking twice makes one job."""
    if service.draining:
        raise RefusedError(503, "server: it is ending; ask another one", "drain", 1.0)
    sent, asked = await receive(request, asked, service.fetcher, service.limits.job_images)
    asked = asked.model_copy(update={"model": service.model(asked.model).name})
    settings = asked.model_dump_json(exclude_unset=True)
    number, new = await run_in_threadpool(runner.store.add, caller, sent, settings, key)
    runner.wake()
    row = await run_in_threadpool(runner.store.job, number, caller)
    return as_json(card(row, runner), 202 if new else 200, {"Location": f"/api/jobs/{number}"})


@router.get("/api/jobs", response_model=JobList, responses=problems(401, 403, 503))
def listed(caller: User, runner: Works_) -> Response:
    """The caller's latest jobs."""
    return as_json({"jobs": [card(row, runner) for row in runner.store.listed(caller)]})


@router.get("/api/jobs/{job}", response_model=JobCard, responses=problems(401, 403, 404, 422, 503))
def job(job: JobId, caller: User, runner: Works_) -> Response:
    """How far a job is."""
    return as_json(card(runner.store.job(job, caller), runner))


@router.delete("/api/jobs/{job}", status_code=204, responses=problems(401, 403, 404, 422, 503))
def remove(job: JobId, caller: User, runner: Works_) -> Response:
    """Stop a job and forget it."""
    runner.store.job(job, caller)
    runner.stop_job(job)
    runner.store.remove(job)
    return Response(status_code=204)


@router.get(
    "/api/jobs/{job}/results",
    response_class=Response,
    responses=problems(401, 403, 404, 422, 503) | {200: {"content": {LINES: {"schema": {"type": "string"}}}}},
)
def results(
    job: JobId,
    caller: User,
    runner: Works_,
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> Response:
    """What has ended, a line of JSON each, in the order in which it did; go on with after=SEQ."""
    runner.store.job(job, caller)
    return StreamingResponse(_lines(runner.store, job, after), media_type=LINES)


def _lines(store: JobStore, job: str, after: int) -> Iterator[bytes]:
    while rows := store.ended(job, after, PAGE):
        for row in rows:
            after = row["seq"]
            line = {key: row[key] for key in ("seq", "number", "name", "state", "error")}
            text = msgspec.json.encode(line)
            if row["result"] is not None:
                found, context = unpacked(bytes(row["result"]))
                shown = render("json", found, None, context).content
                text = text[:-1] + b',"prediction":' + shown + b"}"
            yield text + b"\n"


@router.get(
    "/api/jobs/{job}/images/{number}",
    response_class=Response,
    responses=SHOWN | problems(401, 403, 404, 406, 409, 422, 503),
)
async def result(
    request: Request,
    job: JobId,
    number: Annotated[int, Field(ge=1, le=2**31 - 1)],
    caller: User,
    service: Works,
    runner: Works_,
    shown: Annotated[Shown, Query()],
) -> Response:
    """The result of one image, in any format."""
    kind = choose(shown.format, request.headers.get("accept"))
    row = await run_in_threadpool(_image, runner, job, number, caller)
    asked = Asked.model_validate_json(row["settings"])
    if row["state"] != "done":
        reason = row["error"] or "it waits"
        raise RefusedError(
            409, f"image {number}: expected one that is done, got {row['state']}: {reason}", "job"
        )
    picture = await service.picture(bytes(row["data"]), asked) if kind in ("overlay", "csv") else None
    found, context = await service.in_thread(lambda: unpacked(bytes(row["result"]), shown.tolerance))
    pixels = None if picture is None else picture.pixels
    answer = await service.in_thread(lambda: render(kind, found, pixels, context))
    return Response(answer.content, 200, {"Vary": "Accept"}, answer.media)


def _image(runner: Runner, job: str, number: int, caller: User) -> dict[str, Any]:
    settings = runner.store.job(job, caller)["settings"]
    row = runner.store.image(job, number)
    if row is None:
        raise RefusedError(404, f"image {number}: expected one of this job, got none; see its count", "job")
    return {**row, "settings": settings}

"""The native API: predict, models, health, figures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from delineate import __version__

from .asked import Asked
from .door import as_json
from .formats import choose
from .metrics import MEDIA as METRICS_MEDIA
from .service import Service
from .tokens import Caller, require
from .told import GUARDED, PREDICTING, SHOWN, Health, ModelCard, ModelList, problems
from .upload import BODY, receive

router = APIRouter()
_bearer = HTTPBearer(auto_error=False, description="A token, where the server has any.")


def service_of(request: Request) -> Service:
    """The server's workings."""
    found: Service = request.app.state.service
    return found


def at_least(role: str) -> Callable[..., Caller]:
    """A dependency: who asks, who must have this role or a higher one."""

    def allowed(
        request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
    ) -> Caller:
        caller = service_of(request).tokens.who(request.headers.get("authorization"))
        request.scope.setdefault("state", {})["caller"] = caller.name
        return require(caller, role)

    return allowed


User = Annotated[Caller, Depends(at_least("predict"))]
Admin = Annotated[Caller, Depends(at_least("admin"))]
Works = Annotated[Service, Depends(service_of)]


def client_of(request: Request, caller: Caller, service: Service) -> str:
    """What counts as one client: a token, or an address where there are no tokens."""
    return caller.name if service.tokens.needed else (request.client.host if request.client else "")


@router.post(
    "/api/predict",
    tags=["predict"],
    response_class=Response,
    responses=SHOWN | PREDICTING,
    openapi_extra=BODY,
)
async def predict(
    request: Request, caller: User, service: Works, asked: Annotated[Asked, Query()]
) -> Response:
    """The objects of one image."""
    kind = choose(asked.format, request.headers.get("accept"))
    if (refusal := service.closed()) is not None:  # before its body is read
        raise refusal
    begin = time.monotonic()
    (sent,), asked = await receive(request, asked, service.fetcher)
    kind = asked.format or kind
    service.model(asked.model)
    service.metrics.stages.labels("read").observe(time.monotonic() - begin)
    deadline = time.monotonic() + service.limits.deadline
    with service.admitted(client_of(request, caller, service)):
        picture = await service.picture(sent.data, asked)
        found = await service.look(picture, asked, deadline, left(request))
    answer = await service.render(kind, found, picture if kind in ("overlay", "csv", "json") else None, asked)
    timing = (
        f"wait;dur={found.waited * 1000:.0f}, model;dur={found.seconds * 1000:.0f}, batch;desc={found.batch}"
    )
    headers = {"Server-Timing": timing, "Vary": "Accept"}
    if kind in ("labels", "overlay"):
        headers["Content-Disposition"] = f'inline; filename="{kind}.png"'
    return Response(answer.content, 200, headers, answer.media)


async def left(request: Request) -> None:
    """Ends when who asked has gone. The body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        await asyncio.sleep(0)


@router.get("/api/models", tags=["models"], response_model=ModelList, responses=GUARDED)
def models(_: User, service: Works) -> Response:
    """The models that serve."""
    cards = [shown.to_json() for shown in service.shelf.all()]
    return as_json({"default": service.shelf.default, "models": cards})


@router.get(
    "/api/models/{name}", tags=["models"], response_model=ModelCard, responses=problems(401, 403, 404)
)
def model(name: str, _: User, service: Works) -> Response:
    """One model."""
    return as_json(service.model(name).to_json())


@router.post(
    "/api/models/{name}/reload",
    tags=["models"],
    response_model=ModelCard,
    responses=problems(401, 403, 404, 422),
)
def reload(name: str, _: Admin, service: Works) -> Response:
    """Load a model's file again; where it cannot be used the old one serves on, and 422 tells why."""
    return as_json(service.shelf.reload(service.model(name).name).to_json())


@router.get("/health/live", tags=["health"], response_model=Health, responses={503: {"model": Health}})
async def live(service: Works) -> Response:
    """Whether the server works at all; where it does not, start it anew."""
    fine = service.live
    reason = "" if fine else "the models' thread has ended or does not move"
    return as_json({"ok": fine, "version": __version__, "reason": reason}, 200 if fine else 503)


@router.get("/health/ready", tags=["health"], response_model=Health, responses={503: {"model": Health}})
async def ready(service: Works) -> Response:
    """Whether requests should be sent here now."""
    reason = (
        "it is ending" if service.draining else "" if service.live else "the models' thread does not move"
    )
    return as_json({"ok": not reason, "version": __version__, "reason": reason}, 503 if reason else 200)


@router.get(
    "/metrics",
    tags=["health"],
    response_class=Response,
    responses=GUARDED | {200: {"content": {METRICS_MEDIA: {"schema": {"type": "string"}}}}},
)
async def metrics(_: User, service: Works) -> Response:
    """Figures for Prometheus."""
    return Response(service.metrics.text(), media_type=METRICS_MEDIA)

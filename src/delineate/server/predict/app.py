"""The application: its routes, its door, and how it says no."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from delineate import __version__
from delineate.core.errors import DelineateError, InputError

from ..store.database import reason_of
from . import api, job_api, kserve
from .asked import JsonImage
from .door import Door, as_json, refused
from .limits import RefusedError
from .service import Service

LOG = logging.getLogger("delineate.serve")
WATCH_SECONDS = 2.0

FORM = {
    "type": "object",
    "required": ["image"],
    "properties": {"image": {"type": "string", "format": "binary"}},
    "description": "A file in a part named image; settings as further fields.",
}


def create_app(service: Service, hosts: tuple[str, ...] = (), watch: float = WATCH_SECONDS) -> FastAPI:
    """The application of one service.

    Args:
        service: what it works with; closed when the application ends.
        hosts: host names that may be asked for; empty for any.
        watch: seconds between looks at the files of models and tokens; 0 never looks.
    """
    ending = threading.Event()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watcher = threading.Thread(target=_watch, args=(service, watch, ending), name="watch", daemon=True)
        if watch:
            watcher.start()
        yield
        ending.set()
        service.draining = True
        service.close()

    app = FastAPI(
        title="delineate serve",
        version=__version__,
        summary="From an image to its objects.",
        lifespan=lifespan,
        docs_url=None,  # its page would come from another site
        redoc_url=None,
    )
    app.state.service = service
    _add_errors(app, service)
    app.include_router(api.router)
    app.include_router(kserve.router)
    if service.runner is not None:
        app.include_router(job_api.router)
        service.runner.start()
    app.add_middleware(Door, service=service, hosts=hosts)
    _describe(app)
    return app


def _watch(service: Service, seconds: float, ending: threading.Event) -> None:
    while not ending.wait(seconds):
        service.shelf.watch()
        try:
            if service.tokens.refresh():
                LOG.info("tokens_read")
        except InputError as error:
            LOG.error("tokens_kept", extra={"facts": {"reason": str(error)}})


def _add_errors(app: FastAPI, service: Service) -> None:
    @app.exception_handler(RefusedError)
    async def refuse(_: Request, error: RefusedError) -> Response:
        return refused(error, service)

    @app.exception_handler(DelineateError)
    async def unfit(_: Request, error: DelineateError) -> Response:
        return refused(RefusedError(422, str(error)), service)

    @app.exception_handler(DBAPIError)
    async def store(_: Request, error: DBAPIError) -> Response:
        service.metrics.store.inc()
        LOG.error("store_failed", extra={"facts": {"reason": reason_of(error)}})
        kind = type(error).__name__  # what the driver says names machines; it stands in the log
        text = f"jobs: expected a store that works, got {kind}; nothing was saved, ask again later"
        return refused(RefusedError(503, text, "store", 5.0), service)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:]) or "request"
        return refused(RefusedError(422, f"{place}: {first['msg']}; see /openapi.json"), service)

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == 405:  # the framework names the methods of one route; an address may have more
            headers["Allow"] = ", ".join(_methods(request))
        return as_json({"error": str(error.detail)}, error.status_code, headers)

    @app.exception_handler(Exception)
    async def fault(_: Request, error: Exception) -> Response:
        return as_json({"error": f"the server failed ({type(error).__name__}); its log tells more"}, 500)


def _methods(request: Request) -> list[str]:
    """What may be asked of an address."""
    found: set[str] = set()
    routers = [api.router, kserve.router]
    if request.app.state.service.runner is not None:
        routers.append(job_api.router)
    for route in (route for router in routers for route in router.routes):
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found)


def _describe(app: FastAPI) -> None:
    """Adds what the framework cannot know to the API's description."""
    plain = app.openapi

    def described() -> dict[str, object]:
        if app.openapi_schema is None:
            made = plain()
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            schemas["FormImage"] = FORM
            schemas["JsonImage"] = JsonImage.model_json_schema(ref_template="#/components/schemas/{model}")
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]

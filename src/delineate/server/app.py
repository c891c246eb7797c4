"""The web application: the API, and the page."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from starlette.staticfiles import StaticFiles

from .answers import add_errors, as_json
from .assist import Assistant
from .auth import ForbiddenError
from .learning import known_models
from .routes import assist, images, objects, project
from .studio import Studio

WEB = Path(__file__).parent / "web"
MAX_BODY = 64 << 20
"""Bytes that a request may send."""

# The page runs its own scripts alone and shows its own pictures alone.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; "
    "connect-src 'self'; worker-src 'self' blob:; font-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)

Handler = Callable[[Request], Awaitable[Response]]


def create_app(studio: Studio, background: bool = True) -> FastAPI:
    """The application of one studio.

    Args:
        studio: what it serves; kept as ``app.state.studio``, closed when the application ends.
        background: bring the objects of all images in while requests are answered.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        worker = threading.Thread(target=studio.bring_in_all, name="bring in", daemon=True)
        if background:
            worker.start()
        yield
        studio.closing.set()
        if background:
            worker.join(timeout=10)
        app.state.assistant.close()
        studio.close()

    app = FastAPI(
        title="delineate studio",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.studio = studio
    app.state.assistant = Assistant(studio, known_models(studio))
    add_errors(app)

    @app.middleware("http")
    async def guard(request: Request, answer: Handler) -> Response:
        try:
            studio.gate.check_site(request)
        except ForbiddenError as error:
            return as_json({"error": str(error)}, error.status)
        if int(request.headers.get("content-length") or 0) > MAX_BODY:
            return as_json(
                {"error": f"request: expected at most {MAX_BODY} bytes, got more; send less at once"}, 413
            )
        response = await answer(request)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    for module in (project, images, objects, assist):
        app.include_router(module.router)
    if (WEB / "index.html").is_file():
        app.mount("/", StaticFiles(directory=WEB, html=True), name="web")
    return app

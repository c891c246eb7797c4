"""The web application: the API, and the page."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from .answers import add_errors
from .assist import Assistant
from .guard import Guard
from .learning import known_models
from .routes import assist, export, images, objects, project
from .studio import Studio

WEB = Path(__file__).parent / "web"


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
            threading.Thread(target=app.state.assistant.warm, name="warm", daemon=True).start()
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

    app.add_middleware(Guard, gate=studio.gate)
    for module in (project, images, objects, export, assist):
        app.include_router(module.router)
    if (WEB / "index.html").is_file():
        app.mount("/", StaticFiles(directory=WEB, html=True), name="web")
    return app

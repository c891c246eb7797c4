"""The page of a live preview: the newest picture, how fast, how old; and the same as MJPEG for programs."""

from __future__ import annotations

import asyncio
import io
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from delineate.core.errors import InputError

from .answers import as_json
from .listening import LOOPBACK, address_of, is_loopback, listen
from .preview_channel import Channel
from .preview_door import Door

WEB = Path(__file__).parent / "preview_web"
SHARED = ("theme.css", "icon.svg")  # with the studio's page
BOUNDARY = "frame"
SEND_BUFFER = 1 << 18  # bytes under way to one reader: more would be pictures that grow old there
PATIENCE = 10.0  # seconds that a request for a newer picture waits


class Preview:
    """The server of a preview, in threads of its own.

    Attributes:
        channel: takes the pictures.
        address: of the page, with the token where one is asked for.

    Args:
        figures: what the page shows of speed and age, asked for twice a second; any JSON.
        change: called with a dict of settings that the page sends; raises ``InputError`` where it refuses.
        host: address to listen at.
        port: 0 takes a free one.
        page: whether there is a page, or the stream alone.

    Raises:
        InputError: the port is taken.
    """

    def __init__(
        self,
        figures: Callable[[], dict[str, Any]],
        change: Callable[[dict[str, Any]], None],
        *,
        host: str = "127.0.0.1",
        port: int = 8766,
        page: bool = True,
    ) -> None:
        self.channel = Channel()
        self._figures, self._change = figures, change
        local = is_loopback(host)
        token = "" if local else secrets.token_urlsafe(16)
        self._listener = listen(host, port)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        root = address_of(host, self._listener.getsockname()[1])
        self.stream = f"{root}/stream.mjpg" + (f"?token={token}" if token else "")
        self.address = (root + (f"/?token={token}" if token else "")) if page else self.stream
        app = Door(self._app(page), token, LOOPBACK if local else ())
        config = uvicorn.Config(
            app, log_level="warning", timeout_graceful_shutdown=1, server_header=False, lifespan="off"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, name="preview", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Preview:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Tells pages that it is over, and ends the server."""
        self.channel.end()
        self._server.should_exit = True
        self._thread.join(5)
        self._listener.close()

    def _app(self, page: bool) -> Starlette:
        routes: list[Route | Mount] = [Route("/stream.mjpg", self._mjpeg)]
        if page:
            routes += [
                Route("/api/picture", self._picture),
                Route("/api/figures", self._told),
                Route("/api/settings", self._settings, methods=["POST"]),
                Route("/api/picture.png", self._png),
                *(Route(f"/{name}", FileResponse(WEB.parent / "web" / name)) for name in SHARED),
                Mount("/", StaticFiles(directory=WEB, html=True)),
            ]
        return Starlette(routes=routes)

    async def _picture(self, request: Request) -> Response:
        """The newest picture after the one that the page has, which it says that it has painted."""
        number = _whole(request.query_params.get("after", "0"))
        if request.query_params.get("painted"):
            self.channel.painted(number)
        picture = await self.channel.after(number, PATIENCE)
        if picture is None:
            return Response(status_code=204, headers={"X-Over": str(int(self.channel.over))})
        data = await run_in_threadpool(picture.jpeg)
        return Response(data, media_type="image/jpeg", headers={"X-Number": str(picture.number)})

    async def _mjpeg(self, _: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            number = 0
            while not self.channel.over:
                picture = await self.channel.after(number, PATIENCE)
                if picture is None:
                    continue
                number = picture.number
                data = await run_in_threadpool(picture.jpeg)
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                yield head.encode() + data + b"\r\n"

        return StreamingResponse(parts(), media_type=f"multipart/x-mixed-replace; boundary={BOUNDARY}")

    async def _told(self, _: Request) -> Response:
        screen = self.channel.on_screen()
        return as_json(self._figures() | {"screen": screen, "over": self.channel.over})

    async def _settings(self, request: Request) -> Response:
        try:
            wanted = await request.json()
        except ValueError:
            return as_json({"error": "settings: expected JSON, got something else"}, 422)
        if not isinstance(wanted, dict):
            return as_json({"error": "settings: expected an object, got something else"}, 422)
        try:
            await asyncio.to_thread(self._change, wanted)
        except InputError as error:
            return as_json({"error": str(error)}, 422)
        return as_json(self._figures())

    async def _png(self, _: Request) -> Response:
        picture = self.channel.picture
        if picture is None:
            return Response(status_code=404)
        buffer = io.BytesIO()
        await run_in_threadpool(Image.fromarray(picture.pixels).save, buffer, "PNG")
        name = f'attachment; filename="frame-{picture.number}.png"'
        return Response(buffer.getvalue(), media_type="image/png", headers={"Content-Disposition": name})


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 16 else 0

"""Clients that are too slow to ask, or to take their answer, are told so or cut off; others are not."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient

from delineate.server.predict.protocol import patient

LARGE = 64 << 20  # bytes: more than the system's own buffers hold


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers at length."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": bytes(LARGE)})


@pytest.fixture
def server(kit: SimpleNamespace, request: pytest.FixtureRequest) -> Iterator[tuple[uvicorn.Server, int]]:
    """With the seconds that a client has to take a part of its answer."""
    config = uvicorn.Config(
        app, http=patient(getattr(request, "param", 0.5), 0.5), lifespan="off", log_config=None, port=0
    )
    made = uvicorn.Server(config)
    thread = threading.Thread(target=made.run)
    thread.start()
    kit.until(lambda: made.started)
    yield made, made.servers[0].sockets[0].getsockname()[1]
    made.should_exit = True
    thread.join(20)


def test_who_is_slow_is_cut_off(server: tuple[uvicorn.Server, int], kit: SimpleNamespace) -> None:
    made, port = server
    for sent in (b"", b"GET / HTTP/1.1\r\nHost:", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port)) as link:
            link.sendall(sent)
            kit.until(lambda: made.server_state.connections)
            kit.until(lambda: not made.server_state.connections)


@pytest.mark.parametrize("server", [2.0], indirect=True)
def test_who_takes_the_answer_has_it_however_long_that_takes(server: tuple[uvicorn.Server, int]) -> None:
    _, port = server
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        taken = 0
        while part := link.recv(1 << 20):
            taken += len(part)
            time.sleep(2.5 * len(part) / LARGE)  # longer in all than a part may take
    assert taken > LARGE


def test_a_body_that_comes_too_slowly_is_answered_by_408(make_page: Callable[..., TestClient]) -> None:
    page = make_page(limits={"read_seconds": 0.1})
    told: list[Any] = []
    asked: list[int] = []

    async def receive() -> Any:
        asked.append(1)
        if len(asked) == 1:
            return {"type": "http.request", "body": b"x", "more_body": True}
        return await asyncio.Event().wait()  # the rest never comes

    async def send(message: Any) -> None:
        told.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/api/predict", "raw_path": b"/api/predict",
        "query_string": b"", "http_version": "1.1", "scheme": "http", "client": ("127.0.0.1", 1),
        "headers": [(b"content-length", b"1000"), (b"content-type", b"image/png")],
    }  # fmt: skip
    asyncio.run(asyncio.wait_for(page.app(scope, receive, send), 30))
    headers = dict(told[0]["headers"])
    assert (told[0]["status"], headers[b"connection"]) == (408, b"close")
    assert b"expected its body within 0.1 s" in told[1]["body"]
    assert len(asked) == 2  # the rest is not waited for once more

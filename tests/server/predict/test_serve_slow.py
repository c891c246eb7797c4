"""Clients that are too slow to ask, or to take their answer, are cut off; others are not."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from delineate.server.predict.protocol import patient

LARGE = 64 << 20  # bytes: more than the system's own buffers hold


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers at length."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": bytes(LARGE)})


@pytest.fixture
def server(kit: SimpleNamespace) -> Iterator[tuple[uvicorn.Server, int]]:
    config = uvicorn.Config(app, http=patient(0.5, 0.5), lifespan="off", log_config=None, port=0)
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


def test_who_takes_the_answer_has_it(server: tuple[uvicorn.Server, int]) -> None:
    _, port = server
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        taken = 0
        while part := link.recv(1 << 20):
            taken += len(part)
            time.sleep(0.001)
    assert taken > LARGE

"""What every request passes: its number, its host, its size and pace; one line of log, and headers.

The log tells when, who, what kind of request, how it went and how long it took. It never tells what an image
shows, what it is called, or what a request's address asks for after the question mark.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
import time
from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .limits import RefusedError
from .service import Service, retry_after

LOG = logging.getLogger("delineate.serve")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
DROP_SECONDS = 5.0  # for the rest of a request that is refused before it was read
CLOSING = (408, 413)  # after such an answer the connection ends


class Door:
    """A layer around the application.

    Args:
        app: what is inside.
        service: its limits, and where refusals are counted.
        hosts: host names that may be asked for; empty for any.
    """

    def __init__(self, app: ASGIApp, service: Service, hosts: tuple[str, ...] = ()) -> None:
        self.app, self.service, self.hosts = app, service, hosts
        self.open = 0
        self.held = 0  # bytes of bodies that are in memory
        self.most_held = max(4 * service.limits.max_bytes, 256 << 20)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        visit = _Visit(given if _ID.fullmatch(given) else secrets.token_hex(8), scope)
        body = _Body(self, receive)
        self.open += 1
        self.service.metrics.open.inc()
        try:
            if (refusal := self._refusal(headers, scope["method"])) is not None:
                await refused(refusal, self.service)(scope, body.receive, visit.told(send, body))
            else:
                await self.app(scope, body.receive, visit.told(send, body))
        except RefusedError as error:  # raised by reading the body, where the framework has passed it on
            if visit.status is None:
                await refused(error, self.service)(scope, receive, visit.told(send, body))
        finally:
            self.open -= 1
            self.held -= body.seen
            self.service.metrics.open.dec()
            self._log(visit, body.seen)

    def _refusal(self, headers: Headers, method: str) -> RefusedError | None:
        if self.open > self.service.limits.connections:
            return RefusedError(
                503, "server: expected fewer requests at once, got too many; ask again", "open", 1.0
            )
        if self.hosts and (urlsplit(f"//{headers.get('host', '')}").hostname or "") not in self.hosts:
            return RefusedError(403, f"Host: expected {self.hosts[0]}, got another; use that address", "host")
        cross = headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
        if cross and method not in ("GET", "HEAD") and not self.service.tokens.needed:
            return RefusedError(
                403, "origin: expected a program, got a page of another site; refused", "host"
            )
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self.service.limits.max_bytes:
            return too_large(self.service.limits.max_bytes)
        return None

    def _log(self, visit: _Visit, received: int) -> None:
        seconds = time.monotonic() - visit.begin
        route = getattr(visit.scope.get("route"), "path", "other")
        status = visit.status or 499  # as others call it: who asked has gone
        metrics = self.service.metrics
        metrics.requests.labels(route, visit.method, str(status)).inc()
        metrics.seconds.labels(route).observe(seconds)
        quiet = route in ("/health/live", "/health/ready", "/metrics") and status < 400
        facts = {
            "request": visit.id,
            "caller": visit.scope.get("state", {}).get("caller", ""),
            "client": (visit.scope.get("client") or ("",))[0],
            "method": visit.method,
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 1),
            "bytes_in": received,
            "bytes_out": visit.sent,
        }
        LOG.log(logging.DEBUG if quiet else logging.INFO, "request", extra={"facts": facts})


class _Visit:
    """One request as the door sees it."""

    def __init__(self, number: str, scope: Scope) -> None:
        self.id, self.scope, self.begin = number, scope, time.monotonic()
        self.method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        self.status: int | None = None
        self.sent = 0

    def told(self, send: Send, body: _Body) -> Send:
        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                if self.status != 408:  # who was too slow is not waited for once more
                    await body.pass_over()
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = self.id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if self.status in CLOSING:
                    headers["Connection"] = "close"
            else:
                self.sent += len(message.get("body", b""))
            await send(message)

        return tell


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class _Body:
    """A request's body, which may be neither too large nor too slow."""

    def __init__(self, door: Door, receive: Receive) -> None:
        self.door, self._receive = door, receive
        self.seen = 0
        self.done = False
        self.end = 0.0

    async def receive(self) -> Message:
        if self.done:
            return await self._receive()
        limits = self.door.service.limits
        now = asyncio.get_running_loop().time()
        self.end = self.end or now + limits.read_seconds
        try:
            async with asyncio.timeout_at(self.end):
                message = await self._receive()
        except TimeoutError:
            raise RefusedError(
                408,
                f"request: expected its body within {limits.read_seconds:g} s, got less; send it faster",
                "slow",
            ) from None
        size = len(message.get("body", b""))
        self.seen += size
        self.door.held += size
        self.done = not message.get("more_body", False)
        if self.seen > limits.max_bytes:
            raise too_large(limits.max_bytes)
        if self.door.held > self.door.most_held:
            raise RefusedError(
                503, "server: expected room for the request, got none; ask again", "memory", 1.0
            )
        return message

    async def pass_over(self) -> None:
        """Takes what is still sent, and drops it: who is closed upon while sending never sees the answer."""
        dropped = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DROP_SECONDS):
                while not self.done and dropped <= self.door.service.limits.max_bytes:
                    message = await self._receive()
                    dropped += len(message.get("body", b""))
                    self.done = not message.get("more_body", False)


def too_large(most: int) -> RefusedError:
    """What is said of too large a request."""
    return RefusedError(413, f"request: expected at most {most} bytes, got more; send less at once", "bytes")


def refused(error: RefusedError, service: Service) -> Response:
    """The answer of a refusal: ``{"error": "one line"}``, counted."""
    service.metrics.refused.labels(error.reason).inc()
    headers = {} if error.retry_after is None else {"Retry-After": retry_after(error.retry_after)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return as_json({"error": str(error)}, error.status, headers)


def as_json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(content), status, headers, "application/json")

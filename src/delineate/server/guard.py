"""What every request passes first: whose page it comes from, how large it is; and each answer's headers."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .answers import as_json
from .auth import ForbiddenError, Gate

MAX_BODY = 64 << 20
"""Bytes that a request may send."""

# The page runs its own scripts alone and shows its own pictures alone.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; "
    "connect-src 'self'; worker-src 'self' blob:; font-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


class Guard:
    """A layer around the application.

    Args:
        app: what is inside.
        gate: knows which sites and hosts are right.
    """

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self.app, self.gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        try:
            self.gate.check_site(request)
        except ForbiddenError as error:
            await as_json({"error": str(error)}, error.status)(scope, receive, send)
            return
        await self.app(scope, _limited(receive), _with_headers(send))


def _limited(receive: Receive) -> Receive:
    """The same body, cut short by an error where it is too large."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY:
            raise HTTPException(
                413, f"request: expected at most {MAX_BODY} bytes, got more; send less at once"
            )
        return message

    return counted


def _with_headers(send: Send) -> Send:
    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Content-Security-Policy"] = POLICY
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "no-referrer"
        await send(message)

    return told

"""Who may look at a preview: on one's own machine everybody there; from elsewhere who has the link.

A camera's pictures are private. On loopback the server answers to loopback names alone, so that no other
site can reach it by a name of its own; elsewhere a token, new at each start, is in the link that is printed.
"""

from __future__ import annotations

import secrets
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .guard import POLICY
from .listening import LOOPBACK

COOKIE = "delineate_preview"


class Door:
    """A layer around the application.

    Args:
        app: what is inside.
        token: what a visitor must bring, in ``?token=`` or a cookie; empty: nothing.
        hosts: names that it answers to; empty: any.
    """

    def __init__(self, app: ASGIApp, token: str = "", hosts: tuple[str, ...] = LOOPBACK) -> None:
        self.app, self.token, self.hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, fresh = Headers(scope=scope), False
        name = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        refused = ""
        if self.hosts and name not in self.hosts:
            refused = f"host: expected {' or '.join(self.hosts[:2])}, got {name!r}; use that address"
        elif scope["method"] not in ("GET", "HEAD") and not _own_page(headers):
            refused = "origin: expected the preview's own page, got another site; refused"
        elif self.token:
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
            fresh = secrets.compare_digest(given.encode(), self.token.encode())
            if not fresh and not secrets.compare_digest(_cookie(headers).encode(), self.token.encode()):
                refused = "token: expected the link that was printed at the start, got another; open that"
        if refused:
            await PlainTextResponse(refused, 403)(scope, receive, send)
            return
        await self.app(scope, receive, self._with_headers(send, fresh))

    def _with_headers(self, send: Send, fresh: bool) -> Send:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Cache-Control"] = "no-store"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                if fresh:
                    cookie = f"{COOKIE}={self.token}; HttpOnly; SameSite=Strict; Path=/"
                    headers.append("Set-Cookie", cookie)
            await send(message)

        return told


def _own_page(headers: Headers) -> bool:
    """Whether a request that changes something comes from this server's page, or from no browser."""
    origin = headers.get("origin")
    site = headers.get("sec-fetch-site", "same-origin")
    return site in ("same-origin", "none") and (
        origin is None or urlsplit(origin).netloc == headers.get("host", "")
    )


def _cookie(headers: Headers) -> str:
    found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    return found.value if found is not None else ""

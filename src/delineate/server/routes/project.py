"""The project, its classes, and signing in."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from .. import requests as ask
from ..answers import as_json
from ..auth import COOKIE, Admin, Asker, ForbiddenError
from ..export import formats
from ..store import classes, images
from . import Open

router = APIRouter()


@router.get("/api/project")
def project(studio: Open, user: Asker) -> Response:
    """What the page needs first."""
    with studio.database.read() as connection:
        palette, counts = classes.listed(connection), images.counts(connection)
    return as_json(
        {
            "name": studio.name,
            "source": str(studio.data.source),
            "classes": palette,
            "model": {"name": studio.model} if studio.model else None,
            "models": studio.models,
            "formats": formats(),
            "user": {"name": user.name, "role": user.role},
            "states": images.STATES,
            "counts": counts,
        }
    )


@router.post("/api/classes")
def new_class(studio: Open, user: Admin, body: ask.NewClass) -> dict[str, Any]:
    """A new class."""
    with studio.database.write() as connection:
        return classes.add(connection, body.name, body.color)


@router.patch("/api/classes/{number}")
def change_class(studio: Open, user: Admin, number: int, body: ask.ClassChange) -> dict[str, Any]:
    """Another name or colour for a class."""
    with studio.database.write() as connection:
        return classes.change(connection, number, body.name, body.color)


@router.get("/login")
def login(studio: Open, request: Request, token: str = "") -> Response:
    """Keeps a token in a cookie that scripts cannot read and other sites cannot use."""
    user = studio.gate.by_token(token)
    if user is None and not studio.gate.open_to_all:
        raise ForbiddenError(401, "login: expected a valid token, got another; ask for a new link")
    answer = RedirectResponse("/", status_code=303)
    answer.set_cookie(
        COOKIE,
        token,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        max_age=90 * 86400,
    )
    return answer


@router.post("/logout")
def logout() -> Response:
    """Forgets the token."""
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE)
    return answer

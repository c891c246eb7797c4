"""How the API answers: JSON, and errors as one line each."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from delineate.core.errors import DelineateError

from .auth import ForbiddenError
from .store.database import reason_of
from .store.history import ConflictError, Outcome
from .store.objects import to_json

LOG = logging.getLogger("delineate")


def as_json(content: Any, status: int = 200) -> Response:
    """A JSON answer; ten times as fast as the framework's own on long lists of numbers."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def told(outcome: Outcome) -> Response:
    """What an edit did."""
    return as_json(
        {
            "revision": outcome.revision,
            "changed": to_json(outcome.changed),
            "removed": outcome.removed,
            "edit": outcome.edit,
        }
    )


def add_errors(app: FastAPI) -> None:
    """Makes every refusal ``{"error": "one line"}`` with a status that says what kind it is."""

    @app.exception_handler(ConflictError)
    def conflict(_: Request, error: ConflictError) -> Response:
        return as_json({"error": str(error), "objects": to_json(error.objects)}, 409)

    @app.exception_handler(DelineateError)
    def refused(_: Request, error: DelineateError) -> Response:
        unknown = "unknown number" in str(error)
        return as_json({"error": str(error)}, 404 if unknown else 422)

    @app.exception_handler(ForbiddenError)
    def forbidden(_: Request, error: ForbiddenError) -> Response:
        return as_json({"error": str(error)}, error.status)

    @app.exception_handler(RequestValidationError)
    def malformed(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        text = f"{place or 'request'}: {first['msg']}; see the API's page"
        return as_json({"error": text.splitlines()[0]}, 422)

    @app.exception_handler(DBAPIError)
    def database(_: Request, error: DBAPIError) -> Response:
        LOG.error("database: %s", reason_of(error))
        return as_json({"error": f"database: nothing was saved: {reason_of(error)}; look at its disk"}, 503)

    @app.exception_handler(Exception)
    def fault(_: Request, error: Exception) -> Response:
        return as_json({"error": f"the server failed ({type(error).__name__}); nothing was saved"}, 500)

    @app.exception_handler(HTTPException)
    def framework(_: Request, error: HTTPException) -> Response:
        return as_json({"error": str(error.detail)}, error.status_code)

"""The API's addresses, a module for each kind of thing."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from ..studio import Studio


def _studio(request: Request) -> Studio:
    found: Studio = request.app.state.studio
    return found


Open = Annotated[Studio, Depends(_studio)]
"""The studio that a request is about."""

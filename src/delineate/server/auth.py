"""Who may do what: nobody is asked on one's own machine; elsewhere, or where users are named, tokens.

A token is shown once, when its user is made; the database keeps its SHA-256 alone. Requests that change
something must come from the studio's own page, which the browser tells (``Origin``, ``Sec-Fetch-Site``), and
a server on loopback answers to loopback names only, so that no other site can reach it by a name of its own.
"""

from __future__ import annotations

import getpass
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from sqlalchemy import insert, select, update

from delineate.core.errors import InputError

from .store.database import Database
from .store.tables import users

ROLES = ("viewer", "annotator", "reviewer", "admin")
COOKIE = "delineate_token"


@dataclass(frozen=True)
class User:
    """Who asks: a name and one of :data:`ROLES`."""

    name: str
    role: str

    def may(self, role: str) -> bool:
        """Whether the role is at least this one."""
        return ROLES.index(self.role) >= ROLES.index(role)


class ForbiddenError(Exception):
    """A request that is refused; ``status`` 401 where nobody is known, else 403."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Gate:
    """Finds out who asks.

    Args:
        database: where users are kept.
        open_to_all: ask nobody: every request is the owner's, who is an admin.
        hosts: host names that may be asked for; empty for any.
    """

    def __init__(self, database: Database, open_to_all: bool, hosts: tuple[str, ...] = ()) -> None:
        self.database = database
        self.open_to_all = open_to_all
        self.hosts = hosts
        self.owner = User(_login_name(), "admin")

    def check_site(self, request: Request) -> None:
        """Refuses other hosts' names, and changes that another site asks for.

        Raises:
            ForbiddenError: such a request.
        """
        host = request.headers.get("host", "")
        name = urlsplit(f"//{host}").hostname or ""
        if self.hosts and name not in self.hosts:
            raise ForbiddenError(
                403, f"host: expected {' or '.join(self.hosts[:2])}, got {name!r}; use that address"
            )
        if request.method in ("GET", "HEAD", "OPTIONS"):
            return
        origin = request.headers.get("origin")
        site = request.headers.get("sec-fetch-site", "same-origin")
        if site not in ("same-origin", "none") or (origin is not None and urlsplit(origin).netloc != host):
            raise ForbiddenError(403, "origin: expected the studio's own page, got another site; refused")

    def who(self, request: Request) -> User:
        """The user of a request.

        Raises:
            ForbiddenError: no token, or an unknown one.
        """
        if self.open_to_all:
            return self.owner
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            token = request.cookies.get(COOKIE, "")
        user = self.by_token(token.strip())
        if user is None:
            raise ForbiddenError(
                401, "user: expected a valid token, got none; open the link that you were given"
            )
        return user

    def has_users(self) -> bool:
        """Whether any user was made."""
        with self.database.read() as connection:
            return connection.execute(select(users.c.id).limit(1)).first() is not None

    def by_token(self, token: str) -> User | None:
        """The user of a token."""
        if not token:
            return None
        with self.database.read() as connection:
            query = select(users.c.name, users.c.role).where(users.c.token_hash == _hash(token))
            row = connection.execute(query).first()
        return None if row is None else User(row.name, row.role)


def enter_users(database: Database, wanted: dict[str, str], fresh: bool = False) -> dict[str, str]:
    """Makes users, or gives known ones the role that is wanted now.

    Args:
        database: where they are kept.
        wanted: role by name.
        fresh: give known users new tokens too; the old ones no longer count.

    Returns:
        new tokens by name; they are not kept in clear and cannot be asked for again.

    Raises:
        InputError: an unknown role or an empty name.
    """
    tokens = {}
    with database.write() as connection:
        known = set(connection.execute(select(users.c.name)).scalars())
        for name, role in wanted.items():
            if role not in ROLES or not name.strip():
                raise InputError(
                    f"user {name!r}: expected a name and a role of {', '.join(ROLES)}, got {role!r}; "
                    "write --user ada:annotator"
                )
            values = {"role": role}
            if name not in known or fresh:
                tokens[name] = secrets.token_urlsafe(24)
                values["token_hash"] = _hash(tokens[name])
            if name in known:
                connection.execute(update(users).where(users.c.name == name).values(**values))
            else:
                connection.execute(insert(users).values(name=name, **values))
    return tokens


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _login_name() -> str:
    try:
        return getpass.getuser() or "owner"
    except (OSError, KeyError, ImportError):
        return "owner"


def _asker(request: Request) -> User:
    gate: Gate = request.app.state.studio.gate
    return gate.who(request)


Asker = Annotated[User, Depends(_asker)]


def at_least(role: str) -> Callable[..., User]:
    """A dependency: the user, who must have this role or a higher one."""

    def allowed(user: Asker) -> User:
        if not user.may(role):
            raise ForbiddenError(
                403, f"{user.name}: expected the role {role} or higher, got {user.role}; ask an admin"
            )
        return user

    return allowed


Annotator = Annotated[User, Depends(at_least("annotator"))]
Reviewer = Annotated[User, Depends(at_least("reviewer"))]
Admin = Annotated[User, Depends(at_least("admin"))]

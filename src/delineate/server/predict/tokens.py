"""Who may ask: tokens with a role each, kept as hashes; nobody is asked on one's own machine."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from delineate.core.errors import InputError

from .limits import RefusedError

ROLES = ("predict", "admin")
SHORTEST = 16  # characters of a token
_HASH = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Caller:
    """Who asks: a name for the log, and one of :data:`ROLES`."""

    name: str
    role: str

    def may(self, role: str) -> bool:
        """Whether the role is at least this one."""
        return ROLES.index(self.role) >= ROLES.index(role)


OPEN = Caller("anybody", "admin")


class Tokens:
    """The tokens that are valid now.

    Args:
        token: one token with the role admin; empty for none.
        path: a file of lines ``NAME ROLE TOKEN``, where TOKEN may be ``sha256:HEX``, the hash of the token.
            Lines that begin with # are left out. It is read again when it changes.

    Raises:
        InputError: a token that is too short, or a line that is none.
    """

    def __init__(self, token: str = "", path: Path | None = None) -> None:
        self.path = path
        self._own = {_hash(_long(token, "--token")): Caller("token", "admin")} if token else {}
        self._known: dict[str, Caller] = {}
        self._stamp: tuple[int, int] | None = None
        if path is not None:
            self.refresh()

    @property
    def needed(self) -> bool:
        """Whether a token is asked for at all."""
        return bool(self._own) or self.path is not None

    def refresh(self) -> bool:
        """Reads the file again where it has changed; True where it has.

        Raises:
            InputError: a line that is none; the tokens that were known stay.
        """
        if self.path is None:
            return False
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return False
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"--tokens {self.path}: expected a text file, got {error}; write lines NAME ROLE TOKEN"
            ) from None
        self._stamp = stamp
        self._known = dict(_line(line, f"{self.path}, line {k}") for k, line in _lines(text))
        return True

    def who(self, authorization: str | None) -> Caller:
        """The caller of a request.

        Args:
            authorization: the header ``Authorization``, ``Bearer TOKEN``.

        Raises:
            RefusedError: 401, no token or an unknown one.
        """
        if not self.needed:
            return OPEN
        kind, _, token = (authorization or "").partition(" ")
        key = _hash(token.strip())  # a table of hashes: the time of the look-up tells nothing of the tokens
        found = self._own.get(key) or self._known.get(key)
        if kind.lower() != "bearer" or found is None:
            raise RefusedError(
                401,
                "token: expected Authorization: Bearer TOKEN of a known token, got none; ask an admin",
                "token",
            )
        return found


def require(caller: Caller, role: str) -> Caller:
    """The caller, who must have this role or a higher one.

    Raises:
        RefusedError: 403.
    """
    if not caller.may(role):
        raise RefusedError(
            403, f"{caller.name}: expected the role {role}, got {caller.role}; ask an admin", "role"
        )
    return caller


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(24)


def _lines(text: str) -> list[tuple[int, str]]:
    numbered = ((k, line.strip()) for k, line in enumerate(text.splitlines(), 1))
    return [(k, line) for k, line in numbered if line and not line.startswith("#")]


def _line(line: str, where: str) -> tuple[str, Caller]:
    words = line.split()
    if len(words) != 3 or words[1] not in ROLES:
        raise InputError(
            f"{where}: expected NAME ROLE TOKEN with a role of {', '.join(ROLES)}; correct the line"
        )
    name, role, token = words
    hashed = _HASH.fullmatch(token)
    return hashed[1] if hashed else _hash(_long(token, where)), Caller(name, role)


def _long(token: str, where: str) -> str:
    if len(token) < SHORTEST or token.split() != [token]:
        raise InputError(
            f"{where}: expected a token of {SHORTEST} or more characters without spaces, got {len(token)}; "
            "make one: openssl rand -hex 24"
        )
    return token


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()

"""Reading tables of an SQLite file that somebody else wrote.

Such a file may hold programs: a layer may be a view that never ends, a column may be computed, a page may be
hung into the table's tree a thousand times. So only stored columns of tables are read, and no more
rows, bytes and steps than a file of its size can need.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from delineate.core.errors import DatasetError

_READS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ)
_STEPS = 1_000_000
"""Of SQLite's machine, between two looks at how many there were."""
_MOST = 20, 100
"""Millions of steps that any file may take, and steps for each of its bytes; a row takes some ten of each."""


class Tables:
    """The tables of an open file; see :func:`opened`."""

    def __init__(self, database: sqlite3.Connection, size: int) -> None:
        self._database = database
        self._left = size
        self._steps = _MOST[0] * 1_000_000 + _MOST[1] * size
        database.execute("PRAGMA trusted_schema = OFF")
        database.text_factory = lambda data: data.decode("utf-8", "replace")
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(size, 1 << 16))
        database.set_progress_handler(self._count, _STEPS)

    def _count(self) -> bool:
        self._steps -= _STEPS
        return self._steps < 0

    def columns(self, table: str) -> list[str]:
        """Names of the columns that are stored, in their order.

        Raises:
            sqlite3.DatabaseError: no such table, or a view.
        """
        self._database.set_authorizer(None)
        kinds = self._database.execute(
            "SELECT type, sql FROM sqlite_master WHERE name = ? COLLATE NOCASE", (table,)
        ).fetchone()
        if kinds is None or kinds[0] != "table" or not str(kinds[1]).upper().startswith("CREATE TABLE"):
            what = (
                "no table" if kinds is None else "a view or another program, which is not run, as the table"
            )
            raise sqlite3.DatabaseError(f"{what} {table[:40]!r}")
        found = self._database.execute(f"PRAGMA table_xinfo({quoted(table)})").fetchall()
        return [str(row[1]) for row in found if row[6] == 0]  # 2 and 3: computed

    def select(self, words: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a query of ours.

        Raises:
            sqlite3.DatabaseError: damaged, or more than the file can hold.
        """
        self._database.set_authorizer(_plain)
        for row in self._database.execute(words):
            self._left -= 1 + sum(len(value) for value in row if isinstance(value, str | bytes))
            if self._left < 0:
                raise sqlite3.DatabaseError("more rows than its own bytes hold")
            yield row


def _plain(action: int, first: object, second: object, database: object, inside: str | None) -> int:
    """Nothing but reading, and nothing that a view or a trigger asks for."""
    return sqlite3.SQLITE_OK if action in _READS and inside is None else sqlite3.SQLITE_DENY


def quoted(name: str) -> str:
    """A name as SQL has it; values are never pasted in."""
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def opened(path: Path, kind: str) -> Iterator[Tables]:
    """An SQLite file, for reading alone.

    Args:
        path: the file.
        kind: what it should be, for the message.

    Raises:
        DatasetError: damaged, or built to be read for ever.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            yield Tables(database, path.stat().st_size)
    except (sqlite3.Error, OSError, UnicodeDecodeError, MemoryError) as error:  # SQLite quotes damaged names
        reason = "more work than a file of its size can need" if str(error) == "interrupted" else error
        raise DatasetError(f"{path}: expected {kind}, got {reason}; export it again") from None

"""Opening the database: SQLite beside the dataset, or PostgreSQL by its URL; brought up to date first."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from delineate.core.errors import InputError, MissingDependencyError

from .migrate import STUDIO, Scheme, current, head, upgrade
from .tables import settings

WAIT_SECONDS = 30.0
"""How long a writer waits for another one."""


class Database:
    """The studio's database.

    SQLite runs in WAL mode with full synchronisation: what was committed survives a kill of the process and a
    loss of power. Writers take their turns; readers never wait.

    Args:
        url: an SQLAlchemy URL (``postgresql://user@host/name``), or a path of an SQLite file, which is made
            where it is missing.
        scheme: its tables; default those of the studio.

    Raises:
        InputError: it cannot be opened, or was written by a newer program.
        MissingDependencyError: the driver for PostgreSQL is not installed.
    """

    def __init__(self, url: str | Path, scheme: Scheme = STUDIO) -> None:
        self.url, self.scheme = _plain(url), scheme
        self.engine = _engine(self.url)
        self._writer = self.engine.execution_options(immediate=True)
        try:
            self.migrate()
        except InputError:
            self.close()
            raise
        except DBAPIError as error:
            self.close()
            raise InputError(
                f"{self.shown}: expected a database that can be opened, got {reason_of(error)}; "
                "check the address and that the server runs"
            ) from None

    @property
    def shown(self) -> str:
        """The address without its password."""
        return make_url(self.url).render_as_string(hide_password=True)

    @property
    def folder(self) -> Path | None:
        """Where the file lies; None for a server."""
        path = make_url(self.url).database
        return Path(path).resolve().parent if self.is_sqlite and path else None

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of SQLite."""
        return self.engine.dialect.name == "sqlite"

    def migrate(self) -> None:
        """Makes the tables, or brings them up to date; nothing where they are."""
        with self.engine.connect() as connection:
            found = current(connection, self.scheme)
        if found == head(self.scheme):
            return
        path = make_url(self.url).database
        if found is not None and self.is_sqlite and path:
            with sqlite3.connect(path) as old, sqlite3.connect(f"{path}.before-{head(self.scheme)}") as copy:
                old.backup(copy)
        with self.write() as connection:
            alone(connection)
            upgrade(connection, self.scheme)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads; it sees one state of the database throughout."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes; committed to the disk when the block ends, undone when it raises."""
        with self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def alone(connection: Connection) -> None:
    """Waits until no other server starts on this database; SQLite has one writer at a time anyway."""
    if connection.dialect.name != "sqlite":
        connection.execute(text("select pg_advisory_xact_lock(6413)"))


def tick(connection: Connection) -> int:
    """The project's clock, one further. The row stays locked to the end of the transaction."""
    row = connection.execute(select(settings.c.value).where(settings.c.key == "clock").with_for_update())
    now = int(row.scalar_one()) + 1
    connection.execute(settings.update().where(settings.c.key == "clock").values(value=str(now)))
    return now


def _plain(url: str | Path) -> str:
    """A full URL."""
    if isinstance(url, Path) or "://" not in str(url):
        path = Path(url)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{path}: expected a place for the studio's database, got {error.strerror}; "
                "choose another with --db"
            ) from None
        return f"sqlite:///{path}"
    text_ = str(url)
    for short in ("postgresql://", "postgres://"):
        if text_.startswith(short):
            return f"postgresql+pg8000://{text_[len(short) :]}"
    return text_


def _engine(url: str) -> Engine:
    try:
        if not url.startswith("sqlite"):
            return create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=20)
        engine = create_engine(url, connect_args={"timeout": WAIT_SECONDS, "check_same_thread": False})
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{url.partition(':')[0]}: expected the package {error.name}, got none; "
            "install it: pip install 'delineate[serve,postgres]'"
        ) from None
    except (ArgumentError, NoSuchModuleError) as error:
        raise InputError(
            f"--db: expected a path or a URL such as postgresql://user@host/name, got another ({error}); "
            "correct it"
        ) from None
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _: object) -> None:
    connection.isolation_level = None  # SQLAlchemy begins transactions, not the driver
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-32000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def reason_of(error: Exception) -> str:
    """What the database's driver says, in one line."""
    first = next(iter(getattr(getattr(error, "orig", None), "args", ())), None)
    if isinstance(first, dict) and "M" in first:  # as PostgreSQL sends it
        return str(first["M"])
    return (str(getattr(error, "orig", error)).strip().splitlines() or ["an error"])[0]

"""Bringing a database to today's tables, by Alembic, from inside the program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from delineate.core.errors import InputError

from .tables import metadata

STEPS = Path(__file__).parent / "migrations"


def current(connection: Connection) -> str | None:
    """The step that a database stands at; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """The latest step."""
    found = ScriptDirectory(str(STEPS)).get_current_head()
    assert found is not None  # the package has steps
    return found


def upgrade(connection: Connection) -> None:
    """Take all steps that are missing, inside the connection's transaction.

    Raises:
        InputError: the database stands at a step that this program does not know.
    """
    script = ScriptDirectory(str(STEPS))

    def steps(revision: Any, _: object) -> Any:
        return script._upgrade_revs("head", revision)

    environment = EnvironmentContext(Config(), script, fn=steps)
    environment.configure(connection=connection, target_metadata=metadata, transactional_ddl=False)
    try:
        environment.run_migrations()
    except CommandError:
        raise InputError(
            f"database: expected one of this program or an older one, got step {current(connection)}, "
            "which is newer; update delineate"
        ) from None

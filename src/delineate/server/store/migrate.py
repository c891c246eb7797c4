"""Bringing a database to today's tables, by Alembic, from inside the program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData

from delineate.core.errors import InputError

from .tables import metadata


@dataclass(frozen=True)
class Scheme:
    """Tables and the steps that lead to them.

    Attributes:
        steps: folder with ``versions/``.
        metadata: the tables as they are today.
        version_table: where a database notes the step that it stands at; several schemes may share one.
    """

    steps: Path
    metadata: MetaData
    version_table: str = "alembic_version"


STEPS = Path(__file__).parent / "migrations"
STUDIO = Scheme(STEPS, metadata)


def current(connection: Connection, scheme: Scheme = STUDIO) -> str | None:
    """The step that a database stands at; None for an empty one."""
    options = {"version_table": scheme.version_table}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def head(scheme: Scheme = STUDIO) -> str:
    """The latest step."""
    found = ScriptDirectory(str(scheme.steps)).get_current_head()
    assert found is not None  # the package has steps
    return found


def upgrade(connection: Connection, scheme: Scheme = STUDIO) -> None:
    """Take all steps that are missing, inside the connection's transaction.

    Raises:
        InputError: the database stands at a step that this program does not know.
    """
    script = ScriptDirectory(str(scheme.steps))

    def steps(revision: Any, _: object) -> Any:
        return script._upgrade_revs("head", revision)

    environment = EnvironmentContext(Config(), script, fn=steps)
    environment.configure(
        connection=connection,
        target_metadata=scheme.metadata,
        transactional_ddl=False,
        version_table=scheme.version_table,
    )
    try:
        environment.run_migrations()
    except CommandError:
        raise InputError(
            f"database: expected one of this program or older, got step {current(connection, scheme)}, "
            "which is newer; update delineate"
        ) from None

"""Databases of earlier editions, and of later ones."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

from delineate.core.errors import InputError
from delineate.data.write import write_png
from delineate.server import requests as ask
from delineate.server.launch import Settings, open_studio
from delineate.server.store.database import Database
from delineate.server.store.migrate import STEPS, head
from delineate.server.store.tables import metadata


def test_the_steps_make_the_tables_that_the_program_uses(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.sqlite")
    found = inspect(database.engine)
    assert set(found.get_table_names()) == {*metadata.tables, "alembic_version"}
    for name, table in metadata.tables.items():
        columns = {c["name"]: (c["type"].__class__.__name__, c["nullable"]) for c in found.get_columns(name)}
        assert set(columns) == set(table.columns.keys()), name
        assert {n: v[1] for n, v in columns.items()} == {c.name: bool(c.nullable) for c in table.columns}, (
            name
        )
        assert {i["name"] for i in found.get_indexes(name)} == {i.name for i in table.indexes}, name
    database.close()


def test_an_older_database_is_brought_up_to_date_and_copied_before(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((40, 50), np.uint8))
    given = Settings(str(tmp_path))
    studio, _ = open_studio(given)
    geometry = ask.Geometry(box=(1, 1, 9, 9))
    for _ in range(3):
        studio.edit(1, "ada", ask.Add(op="add", class_id=1, geometry=geometry))
    before = studio.instances(1)
    studio.close()
    path = tmp_path / ".delineate" / "studio.sqlite"
    _back_to(path, "0001")
    studio, _ = open_studio(given)
    assert studio.instances(1).masks == before.masks
    added = studio.edit(1, "ada", ask.Add(op="add", class_id=1, geometry=geometry)).changed[0]
    assert added.shape is not None and added.shape.z == 3  # on top of the three from before
    studio.close()
    with sqlite3.connect(f"{path}.before-{head()}") as copy:
        assert copy.execute("select version_num from alembic_version").fetchall() == [("0001",)]
    copy.close()


def _back_to(path: Path, step: str) -> None:
    """Takes the later steps back, as that edition had left the file."""
    engine = create_engine(f"sqlite:///{path}")
    scripts = ScriptDirectory(str(STEPS))
    with engine.begin() as connection:
        context = MigrationContext.configure(connection)
        for script in scripts.walk_revisions():
            if script.revision == step:
                break
            with Operations.context(context):
                script.module.downgrade()
        connection.exec_driver_sql(f"update alembic_version set version_num = '{step}'")
    engine.dispose()


def test_every_step_can_be_taken_back(tmp_path: Path) -> None:
    Database(tmp_path / "a.sqlite").close()
    shutil.copy(tmp_path / "a.sqlite", tmp_path / "b.sqlite")
    _back_to(tmp_path / "b.sqlite", "none")
    engine = create_engine(f"sqlite:///{tmp_path / 'b.sqlite'}")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    Database(tmp_path / "a.sqlite").close()
    with sqlite3.connect(tmp_path / "a.sqlite") as file:
        file.execute("update alembic_version set version_num = '9999'")
    file.close()
    with pytest.raises(InputError, match="newer; update delineate"):
        Database(tmp_path / "a.sqlite")

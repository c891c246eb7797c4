"""The table of commands says what each command's own module says."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer

from delineate import cli
from delineate.cli.commands import COMMANDS, Command


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_summary_is_the_docstring_and_the_examples_name_the_command(command: Command) -> None:
    stem = command.name.replace("-", "_")
    module = import_module(f"delineate.cli.{stem}")
    told = inspect.getdoc(getattr(module, f"{stem}_command"))
    assert told is not None
    assert " ".join(told.split("\n\n")[0].split()) == command.summary
    assert module.EPILOG.startswith("Example") and f"delineate {command.name}" in module.EPILOG


def test_every_command_is_in_the_table_once() -> None:
    folder = Path(cli.__file__).parent
    written = {
        name.replace("_", "-")
        for file in folder.glob("*.py")
        for name in re.findall(r"^def ([a-z_]+)_command\(", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    named = [command.name for command in COMMANDS]
    assert sorted(named) == sorted(written)


def test_what_is_listed_is_what_runs() -> None:
    group = typer.main.get_command(cli.app)
    context = group.make_context("delineate", ["predict", "--help"], resilient_parsing=True)
    for command in COMMANDS:
        name, found, rest = group.resolve_command(context, [command.name, "--quiet"])  # type: ignore[attr-defined]
        assert (name, found.name, rest) == (command.name, command.name, ["--quiet"])
        assert " ".join(found.help.split()).startswith(command.summary)
        assert len(found.params) > 0


def test_one_command_does_not_import_the_others() -> None:
    code = (
        "import sys; from delineate.cli import main; code = main(['view', '--help'])\n"
        "assert {m for m in sys.modules if m.startswith('delineate.cli.')} <= {'delineate.cli.' + m for m in "
        "('commands', 'messages', 'options', 'view')}, sorted(sys.modules)\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr

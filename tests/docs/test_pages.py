"""What the pages tell people to type exists: commands, their options, Python names, models."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from delineate.cli.commands import COMMANDS, load

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
NAMES = {command.name for command in COMMANDS}
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def told(page: Path) -> Iterator[str]:
    """Every ``delineate COMMAND ...`` of a page, from blocks of shell and from `code`."""
    text = page.read_text(encoding="utf-8")
    for kind, block in FENCE.findall(text):
        if kind in ("sh", "bash", "console"):
            for line in block.replace("\\\n", " ").splitlines():
                yield from re.findall(r"(?:^|[$|;&] |--nproc-per-node \d )(delineate [a-z].*)", line)
    yield from re.findall(r"`(delineate [^`\n]+)`", FENCE.sub("", text))


def problem(command: str) -> str:
    """Why a command cannot be meant; empty where it can."""
    try:
        words = shlex.split(command, comments=True)[1:]
    except ValueError as error:
        return str(error)
    name, *rest = words
    if name.startswith("-") or not name.replace("-", "").islower():
        return ""  # of the program itself, or a placeholder in capitals
    if name not in NAMES:
        return f"no command {name}"
    known = {option for param in load(name).params for option in (*param.opts, *param.secondary_opts)}
    known.add("--help")
    for word in rest:
        if word in ("|", ">", "&&", ";"):
            break
        option = word.split("=")[0]
        if option.startswith("--") and option not in known:
            return f"{name} has no option {option}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_and_options_exist(page: Path) -> None:
    found = {command: problem(command) for command in told(page)}
    assert not {command: why for command, why in found.items() if why}


def test_a_wrong_command_would_be_found() -> None:
    assert problem("delineate predict a.png --out x") == ""
    assert "no command" in problem("delineate predicts a.png")
    assert "no option --outt" in problem("delineate predict a.png --outt x")


def test_the_navigation_reads_and_leads_to_pages() -> None:
    def pages(entries: list[Any]) -> Iterator[str]:
        for entry in entries:
            (inside,) = entry.values()
            yield from pages(inside) if isinstance(inside, list) else [inside]

    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    named = list(pages(settings["nav"]))
    assert len(named) > 80 and len(named) == len(set(named))
    assert [name for name in named if not (ROOT / "docs" / name).is_file()] == []

"""The quickstart names every extra; what messages and pages name exists; every requirement has a floor."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]["optional-dependencies"]
NAMED = re.compile(r"delineate\[([\w,]+)\]")


def test_the_quickstart_names_every_extra() -> None:
    page = (ROOT / "docs/quickstart.md").read_text(encoding="utf-8")
    told = page.split("## What else to install")[1].split("## How far")[0]
    assert set(EXTRAS) <= set(re.findall(r"`(\w+)`", told))


def test_extras_that_are_named_exist() -> None:
    files = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("src/delineate/**/*.py"), ROOT / "README.md"]
    for file in files:
        for names in NAMED.findall(file.read_text(encoding="utf-8")):
            assert set(names.split(",")) <= set(EXTRAS), f"{file.relative_to(ROOT)}: delineate[{names}]"


def test_every_requirement_has_a_floor() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    loose = [need for need in project["dependencies"] if ">=" not in need]
    loose += [need for name, needs in EXTRAS.items() if name != "dev" for need in needs if ">=" not in need]
    assert not loose

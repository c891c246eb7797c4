"""With the core's dependencies alone every module imports; those of the server say what they lack."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
IMPORT_ALL = r"""
import importlib, importlib.metadata as md, json, pkgutil, re, sys, tomllib
from importlib.machinery import PathFinder

TOOLS = ("test", "dev", "docs")

def name_of(text):
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", text)[0]).lower()

with open(sys.argv[1], "rb") as file:
    project = tomllib.load(file)["project"]
core, left = {"delineate"}, [name_of(need) for need in project["dependencies"]]
optional = [needs for extra, needs in project["optional-dependencies"].items() if extra not in TOOLS]
extras = {name_of(need) for needs in optional for need in needs}
while left:
    one = left.pop()
    if one in core:
        continue
    core.add(one)
    try:
        needs = md.requires(one) or []
    except md.PackageNotFoundError:
        continue
    left += [name_of(need) for need in needs if "extra ==" not in need]
tops = md.packages_distributions().items()
extras -= core
foreign = {top for top, found in tops if {name_of(d) for d in found} & extras}

class Absent(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in foreign else super().find_spec(name, path, target)

sys.meta_path[:] = [Absent if finder is PathFinder else finder for finder in sys.meta_path]
import delineate
lacking = {}
for module in pkgutil.walk_packages(delineate.__path__, "delineate.", onerror=lambda name: None):
    if module.name.endswith("__main__") or ".migrations" in module.name:
        continue
    try:
        importlib.import_module(module.name)
    except ImportError as error:
        lacking[module.name] = getattr(error, "name", None) or str(error)
from delineate import cli
codes = {command: cli.main([command, "samples"]) for command in ("studio",)} | {"serve": cli.main(["serve"])}
print(json.dumps({"lacking": lacking, "foreign": len(foreign), "codes": codes}))
"""


def test_every_module_imports_with_the_core_alone() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORT_ALL, str(PYPROJECT)],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    told = json.loads(run.stdout.splitlines()[-1])
    if told["foreign"] < 10:
        pytest.skip("nothing but the core is installed here, so that it is the other tests that say so")
    extras = ("delineate.server", "delineate.client")  # of which each whole module is an extra
    assert {name: why for name, why in told["lacking"].items() if not name.startswith(extras)} == {}
    assert told["codes"] == {"studio": 2, "serve": 2}
    said = run.stderr.strip().splitlines()
    assert len(said) == 2 and all("delineate[serve]" in line for line in said), said

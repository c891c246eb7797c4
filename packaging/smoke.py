"""A fresh install works: run by the Python of a clean environment, outside of the project's folder.

    python smoke.py SAMPLES [--without-torch]

SAMPLES is the folder of sample images. Without torch, what needs none is run.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path

import numpy as np
from PIL import Image

import delineate

TOOLS = {"pip", "setuptools", "wheel"}  # what an environment has to begin with


def canonical(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def core() -> set[str]:
    """Distributions that delineate needs without any extra, and what those need."""
    found: dict[str, set[str]] = {}  # with the extras that others ask for
    waiting = [("delineate", "")]
    while waiting:
        name, extra = waiting.pop()
        if extra in found.get(name, ()):
            continue
        found.setdefault(name, set()).add(extra)
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:  # for another platform
            continue
        for need in needs:
            of = re.search(r"extra == ['\"]([^'\"]+)", need)
            if (canonical(of[1]) if of else "") != extra:
                continue
            other = canonical(re.split(r"[ ;<>=!~\[(]", need)[0])
            asked = re.match(r"[^;\[]*\[([^\]]+)\]", need)
            waiting += [(other, canonical(e.strip())) for e in asked[1].split(",")] if asked else []
            waiting.append((other, ""))
    return set(found)


def check_install() -> None:
    """The package lies in the environment, whole, and nothing came with it that it does not need."""
    home = Path(delineate.__file__).parent
    assert home.is_relative_to(sysconfig.get_path("purelib")), f"runs from {home}, not from the environment"
    for file in ("py.typed", "weights/nuclei.safetensors"):
        assert (home / file).is_file(), f"{file} is not in the package"
    extra = {canonical(d.name) for d in distributions()} - core() - TOOLS
    assert not extra, f"the core brings what it does not need: {sorted(extra)}"


def run(*arguments: str) -> str:
    """The command as people have it; its output."""
    command = Path(sysconfig.get_path("scripts")) / "delineate"
    done = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"delineate {' '.join(arguments)}: {done.returncode}\n{done.stderr}"
    return done.stdout


def main() -> None:
    """All checks; the first that fails ends it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("samples", type=Path)
    parser.add_argument("--without-torch", action="store_true")
    given = parser.parse_args()
    if not given.without_torch:
        check_install()
    assert run("--version").split() == ["delineate", delineate.__version__]
    assert "Usage" in run("--help")
    ran = [f"the help of {helps()} commands", drawn()]
    if not given.without_torch:
        ran.append(predict(given.samples.resolve()))
    print(f"Python {sys.version.split()[0]}: {', '.join(ran)}")


def helps() -> int:
    """Every command is found and tells its options; how many there are."""
    from delineate.cli import main as delineate_main
    from delineate.cli.commands import COMMANDS

    for command in COMMANDS:
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            assert delineate_main([command.name, "--help"]) == 0, command.name
        assert "Usage" in shown.getvalue(), command.name
    return len(COMMANDS)


def drawn() -> str:
    """Labels are converted, measured and scored; no network takes part."""
    disks = np.zeros((96, 96), np.uint8)
    rows, columns = np.mgrid[:96, :96]
    for number, (y, x) in enumerate([(20, 20), (20, 70), (60, 45)], start=1):
        disks[(rows - y) ** 2 + (columns - x) ** 2 < 150] = number
    with tempfile.TemporaryDirectory() as folder:
        data, file, table = Path(folder, "data"), Path(folder, "coco.json"), Path(folder, "measured.csv")
        for name, pixels in (("images", disks * 60), ("labels", disks)):
            (data / name).mkdir(parents=True)
            Image.fromarray(pixels).save(data / name / "disks.png")
        run("convert", str(data), str(file), "--to", "coco", "--quiet")
        assert len(json.loads(file.read_text())["annotations"]) == 3
        run("measure", str(data), "--out", str(table), "--quiet")
        assert len(table.read_text().splitlines()) == 4
        told = run(
            "evaluate", "--predictions", str(data / "labels"), "--data", str(data), "--json", "--quiet"
        )
    assert json.loads(told)["scores"]["mask/AP"] == 1.0, told
    return "labels converted, measured, scored"


def predict(samples: Path) -> str:
    """From image files to objects, by command and by call."""
    with tempfile.TemporaryDirectory() as folder:
        run("predict", str(samples), "--out", folder, "--save", "overlay,coco,labels,csv", "--quiet")
        written = sorted(file.name for file in Path(folder).iterdir())
    assert {"predictions.json", "measurements.csv"} <= set(written), written
    told = []
    for file in sorted(samples.glob("*.png")):
        found = len(delineate.load("nuclei").predict(file))
        assert found > 20, f"{file.name}: {found} objects"
        told.append(f"{file.name} {found} objects")
    return ", ".join(told)


if __name__ == "__main__":
    main()

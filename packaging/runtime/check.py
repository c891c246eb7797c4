"""Builds `delineate-runtime`, installs it into a clean environment and compares its objects with PyTorch's.

    python packaging/runtime/check.py            a folder of its own, removed afterwards
    python packaging/runtime/check.py FOLDER     keeps the environment there, for a second run

Run by the environment that has `delineate` with PyTorch and the extra `export`: it exports the model that
comes with delineate. The clean environment must not hold PyTorch, and `delineate predict` there must give the
same objects as here: as many, boxes within 0.001 pixels, and the same masks.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parents[1] / "samples"
ABSENT = """
import importlib.util, sys
sys.exit(any(importlib.util.find_spec(name) for name in ("torch", "torchvision", "timm")))
"""


def run(*command: str | Path) -> None:
    """A command that must succeed."""
    subprocess.run([str(part) for part in command], check=True)


def installed(folder: Path) -> Path:
    """The Python of an environment that holds the wheel and what it asks for, and no PyTorch."""
    wheels = folder / "wheels"
    for old in wheels.glob("*.whl"):
        old.unlink()
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, HERE)
    python = folder / "env/bin/python"
    if not python.exists():
        venv.create(folder / "env", with_pip=True)
    wheel = next(wheels.glob("*.whl"))
    run(python, "-m", "pip", "install", "--quiet", wheel)
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", wheel)
    run(python, "-c", ABSENT)
    return python


def predicted(command: list[str | Path], out: Path, *more: str | Path) -> dict[str, list[dict[str, Any]]]:
    """What a `delineate predict` finds in each sample image."""
    images = sorted(SAMPLES.glob("*.png"))
    run(*command, "predict", *images, "--out", out, "--save", "coco", "--quiet", *more)
    found = json.loads((out / "predictions.json").read_text())
    names = {image["id"]: image["file_name"] for image in found["images"]}
    result: dict[str, list[dict[str, Any]]] = {name: [] for name in names.values()}
    for one in found["annotations"]:
        result[names[one["image_id"]]].append(one)
    return result


def differing(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> int:
    """Objects that the other does not have alike."""
    if len(ours) != len(theirs):
        return max(len(ours), len(theirs))
    differ = 0
    for a, b in zip(ours, theirs, strict=True):
        near = all(abs(x - y) <= 1e-3 for x, y in zip(a["bbox"], b["bbox"], strict=True))
        same = all(a[key] == b[key] for key in ("segmentation", "category_id"))
        differ += not (near and same)
    return differ


def check(folder: Path) -> int:
    """0 where both find the same."""
    python = installed(folder)
    model = folder / "nuclei.onnx"
    run(sys.executable, "-m", "delineate", "export", "nuclei", model, "--dynamic", "--quiet")
    wanted = predicted([sys.executable, "-m", "delineate"], folder / "with-torch")
    found = predicted([python, "-m", "delineate"], folder / "without", "--weights", model)
    differ = {name: differing(wanted[name], found[name]) for name in wanted}
    for name, count in differ.items():
        print(f"{name}: {len(wanted[name])} objects with PyTorch, {len(found[name])} without, {count} differ")
    return int(any(differ.values()))


def main() -> int:
    """In the folder named, or in one of its own."""
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        return check(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        return check(Path(folder))


if __name__ == "__main__":
    sys.exit(main())

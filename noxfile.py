"""Clean environments for every Python that the package promises: `nox`, or `nox -s package-3.13`.

`TORCH_INDEX=https://download.pytorch.org/whl/cpu nox` takes the CPU build of torch, as in the Makefile. Where
there is no torch for a Python, `nox -s package-3.13 -- --without-torch` runs what needs none.
"""

import os
from pathlib import Path

import nox

ROOT = Path(__file__).parent
PYTHONS = ["3.11", "3.12", "3.13"]
HEAVY = ("torch", "torchvision", "timm")  # timm needs torch

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["package"]


@nox.session
def build(session: nox.Session) -> None:
    """Source archive, and the wheel out of it: what is missing in the one is missing in the other."""
    session.install("build>=1.2")
    session.run("python", "-m", "build", "--outdir", "dist", silent=True)


@nox.session(python=PYTHONS, requires=["build"])
def package(session: nox.Session) -> None:
    """Wheel and source archive install and run where nothing else is."""
    metadata = nox.project.load_toml("pyproject.toml")["project"]
    front = f"dist/delineate-{metadata['version']}"
    without_torch = "--without-torch" in session.posargs
    index = os.environ.get("TORCH_INDEX")
    if without_torch:
        light = [need for need in metadata["dependencies"] if not need.startswith(HEAVY)]
        session.install(*light, silent=True)
    elif index:
        session.install("--index-url", index, "torch", "torchvision", silent=True)
    for archive in (f"{front}-py3-none-any.whl", f"{front}.tar.gz"):
        alone = ["--no-deps", "--force-reinstall"] if without_torch or archive.endswith("gz") else []
        session.install(*alone, archive, silent=True)
        elsewhere = session.create_tmp()
        with session.chdir(elsewhere):  # so that it is not the checkout that is imported
            session.run("python", "-I", ROOT / "packaging/smoke.py", ROOT / "samples", *session.posargs)
    if not without_torch:
        session.run("python", "-m", "pip", "check")

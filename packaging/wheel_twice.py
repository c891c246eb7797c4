"""The wheel built in two folders, at two times, with two umasks: the same bytes, or what differs.

    python packaging/wheel_twice.py [SOURCE]

Whoever has the source of a release can so tell that its wheel was made of it. Dates in it are those of
``SOURCE_DATE_EPOCH``, or hatchling's own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PARTS = ("src", "pyproject.toml", "README.md", "LICENSE", ".gitignore")
UNTRACKED = shutil.ignore_patterns("__pycache__", ".mypy_cache", "*.egg-info")


def build(source: Path, folder: Path, umask: int) -> Path:
    """The wheel of a copy of the source."""
    folder.mkdir(parents=True)
    for part in PARTS:
        if (source / part).is_dir():
            shutil.copytree(source / part, folder / part, ignore=UNTRACKED, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source / part, folder / part)  # new dates, and the rights that umask leaves
    before = os.umask(umask)
    try:
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "made"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    finally:
        os.umask(before)
    (wheel,) = (folder / "made").glob("*.whl")
    return wheel


def different(one: Path, two: Path) -> list[str]:
    """Names of what the wheels do not have in common."""
    with zipfile.ZipFile(one) as a, zipfile.ZipFile(two) as b:
        first = {i.filename: (i.CRC, i.date_time, i.external_attr) for i in a.infolist()}
        second = {i.filename: (i.CRC, i.date_time, i.external_attr) for i in b.infolist()}
    return sorted(n for n in first.keys() | second.keys() if first.get(n) != second.get(n))


def main() -> int:
    """0 where both are the same."""
    source = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        wheels = build(source, Path(one) / "a", 0o022), build(source, Path(two) / "another" / "place", 0o077)
        sums = [hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheels]
        if sums[0] != sums[1]:
            print(f"wheel: differs in {', '.join(different(*wheels)[:5]) or 'the archive alone'}")
            return 1
        print(f"wheel: {wheels[0].name} is the same twice, sha256 {sums[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

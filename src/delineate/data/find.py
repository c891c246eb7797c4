"""From what stands on a command line to a list of image files."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from delineate.core.errors import InputError

from .sniff import SLIDES, SUFFIXES, is_zarr


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key that puts ``t2.png`` before ``t10.png``, without regard to case."""
    parts = re.findall(r"(\d+)|(\D+)", text)
    return tuple((0, int(number), "") if number else (1, 0, word.lower()) for number, word in parts)


def find(inputs: Sequence[str | Path]) -> list[Path]:
    """The image files that ``inputs`` stand for, each once.

    Args:
        inputs: files (taken as they are, whatever their ending), Zarr images, folders (searched one level
            deep for :data:`~delineate.data.sniff.SUFFIXES`, slides and Zarr images; hidden files are left
            out) and glob patterns (``**`` goes into sub-folders).

    Returns:
        paths in the order of ``inputs``; inside a folder or a pattern sorted naturally.

    Raises:
        InputError: an input matches nothing; the message names it.
    """
    if isinstance(inputs, str | Path):
        inputs = [inputs]
    found: dict[Path, None] = {}
    for given in inputs:
        path = Path(given)
        if path.is_dir() and not is_zarr(path):
            inside = natural_order(_images_in(path))
            if not inside:
                raise InputError(
                    f"{path}: expected a folder with images ({', '.join(SUFFIXES[:5])}, …), got none in it; "
                    f"for sub-folders give a pattern such as '{path}/**/*.png'"
                )
        elif path.exists():
            inside = [path]
        elif glob.has_magic(str(given)):
            matches = map(Path, glob.glob(str(given), recursive=True))  # noqa: PTH207
            inside = natural_order(p for p in matches if p.is_file() or is_zarr(p))
            if not inside:
                raise InputError(
                    f"{given}: expected a pattern that matches files, got no match; check its folder"
                )
        else:
            raise InputError(
                f"{given}: expected a file, folder or pattern, got nothing there; check the spelling"
            )
        found.update(dict.fromkeys(inside))
    if not found:
        raise InputError("input: expected at least one file, folder or pattern, got none; name one")
    return list(found)


def _images_in(folder: Path) -> list[Path]:
    return [
        p
        for p in folder.iterdir()
        if not p.name.startswith(".")
        and ((p.suffix.lower() in (*SUFFIXES, ".svs", *SLIDES) and p.is_file()) or is_zarr(p))
    ]


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Paths sorted naturally by folder, then name."""
    return sorted(paths, key=lambda p: (natural_key(str(p.parent)), natural_key(p.name), str(p)))

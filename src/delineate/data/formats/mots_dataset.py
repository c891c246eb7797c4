"""MOTS as datasets: text (``SEQUENCE/gt/gt.txt``, ``SEQUENCE/img1/``) and PNG (``instances/``, ``images/``).

Text is laid out as MOTS20 has it, maybe with a folder for each split around the sequences. PNG are laid out
as KITTI MOTS has them, ``instances/SEQUENCE/000000.png`` and ``images/SEQUENCE/``; without sequences the
folder around ``instances/`` is one. See :mod:`delineate.data.formats.mots` for what is in the files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from delineate.core.errors import DatasetError

from ..find import natural_key
from ..losses import Losses
from ..place import Place
from ..records import SPLIT_NAMES, Dataset
from ..track_dataset import Film, dataset, numbered_images
from . import mots
from .mots_write import write_text

Images = str | Path | Literal[False] | None
_LINE = re.compile(rb"\d+ \d+ \d+ \d+ \d+ \S+\s*")


def recognise(path: Path) -> bool:
    """Whether a folder has ``SEQUENCE/gt/gt.txt`` of masks."""
    files = _texts(path)
    return bool(files) and _is_mots(files[0])


def _texts(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    found = [file for pattern in ("gt/gt.txt", "*/gt/gt.txt", "*/*/gt/gt.txt") for file in path.glob(pattern)]
    return sorted(found, key=lambda p: natural_key(str(p)))


def _is_mots(file: Path) -> bool:
    with file.open("rb") as content:
        line = content.readline()
    return not line.strip() or _LINE.fullmatch(line) is not None


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads MOTS text; lines are decoded when asked for. Columns: ``sequence``, ``frame``, maybe ``split``.

    Args:
        path: one sequence's folder, a folder of such, or of splits of such.
        images: holds a folder of images for each sequence, in place of ``img1/``; False asks for no images.
        skip_invalid: leave frames without an image out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: no ``gt/gt.txt``, or images that are missing.
    """
    path = Path(path)
    films, classes = [], mots.CLASSES
    for file in _texts(path):
        folder = file.parent.parent
        names = file.with_name("labels.txt")
        classes = mots.read_labels(names) if names.is_file() else classes
        tracks = mots.read_text(file, folder.name, classes)
        pictures = Path(images) / folder.name if images else folder / "img1"
        found = None if images is False else numbered_images(pictures)
        films.append(Film(tracks, found, _split(path, folder)))
    if not films:
        raise DatasetError(f"{path}: expected SEQUENCE/gt/gt.txt, got none; check the path")
    return dataset(films, classes, "MOTS text", path, skip_invalid)


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes MOTS text; see :func:`delineate.data.formats.mots_write.write_text`."""
    write_text(out, data, losses, place)


def _split(root: Path, folder: Path) -> str:
    """The split that a folder around the sequence names."""
    inside = folder.relative_to(root).parts[:-1] or (root.name,)
    return SPLIT_NAMES.get(inside[0].lower(), "")

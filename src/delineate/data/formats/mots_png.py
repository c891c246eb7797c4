"""MOTS as PNG, as datasets; see :mod:`delineate.data.formats.mots_dataset` for the layout."""

from __future__ import annotations

from pathlib import Path

from delineate.core.errors import DatasetError

from ..find import natural_key
from ..losses import Losses
from ..place import Place
from ..records import SPLIT_NAMES, Dataset
from ..track_dataset import Film, dataset, numbered_images
from . import mots
from .mots_dataset import Images
from .mots_write import write_pictures


def recognise(path: Path) -> bool:
    """Whether a folder has ``instances/`` with PNG named by numbers, itself or in its splits."""
    return any(_sequences(folder) for _, folder in _roots(path))


def _roots(path: Path) -> list[tuple[str, Path]]:
    """The folders with ``instances/`` and their splits."""
    if (path / "instances").is_dir():
        return [(SPLIT_NAMES.get(path.name.lower(), ""), path)]
    inside = sorted(p for p in path.iterdir() if (p / "instances").is_dir()) if path.is_dir() else []
    return [(SPLIT_NAMES[p.name.lower()], p) for p in inside if p.name.lower() in SPLIT_NAMES]


def _sequences(root: Path) -> dict[str, Path]:
    """The folder of pictures of each sequence; the folder's own name where there is one alone."""
    holder = root / "instances"
    if mots.is_png_folder(holder):
        return {root.name: holder}
    inside = sorted((p for p in holder.iterdir() if p.is_dir()), key=lambda p: natural_key(p.name))
    return {p.name: p for p in inside if mots.is_png_folder(p)}


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads MOTS PNG; pictures are decoded when asked for. Columns: ``sequence``, ``frame``, maybe ``split``.

    Args:
        path: the folder with ``instances/`` and ``images/``, or with a folder of those for each split.
        images: in place of ``images/``; False asks for no images.
        skip_invalid: leave frames without an image out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: no pictures, or images that are missing.
    """
    path = Path(path)
    films, classes = [], mots.CLASSES
    for split, root in _roots(path):
        for name, folder in _sequences(root).items():
            tracks = mots.read_png(folder, name)
            classes = tracks.classes
            pictures = Path(images) if images else root / "images"
            if (pictures / name).is_dir():
                pictures = pictures / name
            found = None if images is False else numbered_images(pictures)
            films.append(Film(tracks, found, split))
    if not films:
        raise DatasetError(f"{path}: expected instances/SEQUENCE/000000.png, got none; check the path")
    return dataset(films, classes, "MOTS PNG", path, skip_invalid)


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes MOTS PNG; see :func:`delineate.data.formats.mots_write.write_pictures`."""
    write_pictures(out, data, losses, place)

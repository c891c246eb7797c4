"""StarDist's layout: ``images/X.tif`` and ``masks/X.tif``, ids of objects; splits as folders of such.

It is a folder of label images whose second folder is called ``masks``, so that
:mod:`delineate.data.formats.label_image` reads it too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ..losses import Losses
from ..place import Place, stems
from ..records import Dataset
from . import label_image
from .label_write import write_files


def recognise(path: Path) -> bool:
    """Whether a folder has ``images/`` and pictures in ``masks/``, and no ``labels/``."""
    return label_image.recognise(path) and not (path / "labels").is_dir()


def read(
    path: str | Path, images: str | Path | Literal[False] | None = None, skip_invalid: bool = False
) -> Dataset:
    """Reads one folder; see :func:`delineate.data.formats.label_image.read`."""
    return label_image.read(path, images=images, skip_invalid=skip_invalid)


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes ``images/`` and ``masks/``; of several splits, a folder each.

    Raises:
        DatasetError: an annotation that cannot be read.
    """
    roots = [out / record.groups.get("split", "") for record in data.records]
    names = stems(data.records)
    pictures = [
        root / "images" / f"{name}{record.path.suffix}"
        for root, name, record in zip(roots, names, data.records, strict=True)
    ]
    files = [root / "masks" / f"{name}.tif" for root, name in zip(roots, names, strict=True)]
    write_files(data, files, pictures, losses, place)

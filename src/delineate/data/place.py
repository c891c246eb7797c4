"""Where the images of a written dataset go: copied, linked or left where they are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from delineate.core.errors import DatasetError, InputError

from .images import read
from .records import Record
from .write import atomic, write_png

How = Literal["copy", "link", "none"]


@dataclass(frozen=True)
class Place:
    """Puts a record's image into a written dataset.

    Attributes:
        how: ``copy`` the file; ``link`` it (a hard link; a copy where the file system has none); ``none``.
        root: the written dataset's folder; nothing is placed outside it.
        placed: the record of each image by where it stands, relative to ``root``, whatever ``how`` is.
    """

    how: How
    root: Path
    placed: dict[str, Record] = field(default_factory=dict)

    def __call__(self, record: Record, target: Path) -> None:
        """Puts the image at ``target``; its folder is made. A PNG is encoded where another format is given.

        The bytes stay as they are (EXIF too) unless ``target`` ends in ``.png`` and the image is no PNG.

        Raises:
            DatasetError: a target outside ``root``, one that is there already, or an image that is missing.
        """
        root, end = self.root.resolve(), target.resolve()
        if not end.is_relative_to(root):
            raise DatasetError(
                f"{record.name!r}: expected an image inside the dataset, got {target}; rename it"
            )
        self.placed[end.relative_to(root).as_posix()] = record
        if self.how == "none":
            return
        if target.exists():
            raise DatasetError(f"{target.name}: expected every image once, got two of this name; rename one")
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix.lower() == ".png" and record.path.suffix.lower() != ".png":
            _write_png(record, target)
            return
        try:
            with atomic(target) as temporary:
                if self.how == "link":
                    _link(record.path, temporary)
                else:
                    shutil.copyfile(record.path, temporary)
        except InputError:
            if record.path.is_file():
                raise
            raise DatasetError(
                f"{record.path}: expected an image file to {self.how}, got none; "
                "name its folder (--image-folder), or leave images where they are (--images none)"
            ) from None


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def _write_png(record: Record, target: Path) -> None:
    pixels = read(record.path).pixels
    if pixels.dtype not in (np.uint8, np.uint16) or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)):
        raise DatasetError(
            f"{record.path}: expected grey or RGB of 8 or 16 bits, as the format has PNG images, got "
            f"{pixels.shape} {pixels.dtype}; choose another format"
        )
    write_png(target, pixels)


def safe_name(name: str) -> str:
    """An image's name as a relative path with ``/``: no drive, no root, no ``..``, no control characters.

    Example:
        >>> safe_name("../a/./b.png"), safe_name("C:\\\\x\\\\y.jpg"), safe_name("a/b.tif")
        ('a/b.png', 'x/y.jpg', 'a/b.tif')
    """
    clean = "".join(c for c in name.replace("\\", "/") if c.isprintable())
    if clean[1:2] == ":":
        clean = clean[2:]
    parts = [part for part in PurePosixPath(clean).parts if part not in ("/", "..", ".")]
    return "/".join(parts) or "image"


def stems(records: Sequence[Record]) -> list[str]:
    """A file name without ending for each record, all different, for formats with one flat folder.

    The image's own stem where it is the only one of that name; else folders are joined to it by ``_``, and a
    number is added where that is not enough. Letter case does not tell two names apart.

    Example:
        >>> from pathlib import Path
        >>> names = ["a/1.png", "b/1.png", "2.png"]
        >>> stems([Record(n, Path(n), i, None, None) for i, n in enumerate(names)])
        ['a_1', 'b_1', '2']
    """
    names = [PurePosixPath(safe_name(record.name)) for record in records]
    plain = [name.stem for name in names]
    met: dict[str, int] = {}
    for stem in plain:
        met[stem.lower()] = met.get(stem.lower(), 0) + 1
    taken = {key for key, number in met.items() if number == 1}
    found: list[str] = []
    for name, stem in zip(names, plain, strict=True):
        chosen = stem
        if met[stem.lower()] > 1:
            chosen = base = "_".join(name.with_suffix("").parts)
            number = 2
            while chosen.lower() in taken:
                chosen = f"{base}_{number}"
                number += 1
            taken.add(chosen.lower())
        found.append(chosen)
    return found

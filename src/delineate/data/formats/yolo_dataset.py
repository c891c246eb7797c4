"""YOLO datasets: ``data.yaml``, ``images/SPLIT/``, ``labels/SPLIT/`` with a text file an image.

``data.yaml`` has ``path``, ``train``, ``val``, ``test`` (a folder, a text file that lists images, or several)
and ``names`` (docs.ultralytics.com, "Instance Segmentation Datasets Overview"). An image without a text file
has no objects. Without ``data.yaml``, ``obj.names`` or ``classes.txt`` name the classes, a line each.

An outline is one ring. Objects with holes or several parts are written as one ring with bridges of no width
(:func:`delineate.data.rings.single_ring`); outlines along pixel edges come back exactly.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.polygons import Polygon

from ..find import natural_order
from ..images import read_size
from ..records import SPLIT_NAMES, Dataset, Record
from ..sniff import SUFFIXES
from .yaml_file import load_yaml
from .yolo import read_objects, read_rings
from .yolo_write import write as write

CONTENTS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
NAME_FILES = ("obj.names", "classes.txt")


def recognise(path: Path) -> bool:
    """Whether there is a ``data.yaml`` with names, or text files in ``labels/`` beside ``images/``."""
    file = _yaml_file(path)
    if file is not None:
        try:
            with file.open("rb") as content:
                return b"names" in content.read(1 << 16)
        except OSError:
            return False
    labels = path / "labels"
    if not (labels.is_dir() and (path / "images").is_dir()):
        return False
    return any(next(labels.glob(pattern), None) is not None for pattern in ("*.txt", "*/*.txt"))


def _yaml_file(path: Path) -> Path | None:
    if path.is_file():
        return path if path.suffix.lower() in (".yaml", ".yml") else None
    if not path.is_dir():
        return None
    return next((path / name for name in CONTENTS if (path / name).is_file()), None)


def read(
    path: str | Path, images: str | Path | Literal[False] | None = None, skip_invalid: bool = False
) -> Dataset:
    """Reads a YOLO dataset; text files are read when asked for. Column: ``split``.

    Args:
        path: the folder, or its ``data.yaml``.
        images: the folder that ``path`` of ``data.yaml`` should have been; None or False: as the file says.
        skip_invalid: leave out splits that are named and missing, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: no class names, no images, or ``data.yaml`` is not well formed.
    """
    path = Path(path)
    file = _yaml_file(path)
    root = path if path.is_dir() else path.parent
    content = {} if file is None else _load(file)
    classes = _classes(content, file, root)
    base = Path(images) if images else _base(content, root)
    notes: list[str] = []
    found: list[tuple[Path, str, str]] = []
    for split, given in _parts(content, root):
        place = _place(base, root, split, given)
        there = _images(place, file or root)
        if there is None and skip_invalid:
            notes.append(f"{split} left out: {given} is missing")
        elif there is None:
            raise DatasetError(
                f"{file or root}: expected the images of {split} in {place}, got none; correct "
                "`path` or leave the split out with skip_invalid=True (`--skip-invalid`)"
            )
        else:
            found += [(image, split, name) for image, name in there]
    if not found:
        raise DatasetError(f"{file or root}: expected images, got none in train, val or test; add some")
    unique = len({name for _, _, name in found}) == len(found)
    records = tuple(
        Record(name if unique else f"{split}/{name}", image, number, None, _label_file(image),
               {"split": split} if split else {})
        for number, (image, split, name) in enumerate(found, 1)
    )  # fmt: skip
    return Dataset(records, classes, decode, "YOLO", path, tuple(notes), outlines=outlines)


def _load(file: Path) -> dict[str, Any]:
    content = load_yaml(file)
    if not isinstance(content, dict):
        raise DatasetError(f"{file}: expected keys such as train and names, got none; write them")
    return content


def _classes(content: dict[str, Any], file: Path | None, root: Path) -> Labels:
    names = content.get("names")
    if file is None:
        beside = next((root / name for name in NAME_FILES if (root / name).is_file()), None)
        if beside is None:
            raise DatasetError(
                f"{root}: expected data.yaml with the classes' names, or classes.txt, got neither; add one"
            )
        lines = beside.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        names = [line.strip() for line in lines if line.strip()]
    if isinstance(names, dict) and set(names) == {str(number) for number in range(len(names))}:
        names = [names[str(number)] for number in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise DatasetError(
            f"{file}: expected `names` as a list, or by number from 0, got {str(names)[:60]}; write them so"
        )
    if content.get("nc", str(len(names))) != str(len(names)):
        raise DatasetError(
            f"{file}: expected as many names as `nc` says, got nc {str(content['nc'])[:20]} and "
            f"{len(names)} names; correct one of them"
        )
    return Labels(tuple(names), tuple(range(len(names))))


def _base(content: dict[str, Any], root: Path) -> Path:
    """The folder that the splits are relative to: ``path`` where it exists, else that of the file."""
    given = content.get("path")
    if isinstance(given, str) and given:
        for folder in (Path(given), root / given):
            if folder.is_dir() and (folder != Path(given) or folder.is_absolute()):
                return folder
    return root


def _parts(content: dict[str, Any], root: Path) -> list[tuple[str, str]]:
    """(split, folder or list of images) pairs; without ``data.yaml`` the folders in ``images/``."""
    found: list[tuple[str, str]] = []
    for key, given in content.items():
        split = SPLIT_NAMES.get(str(key).lower())
        listed = given if isinstance(given, list) else [given]
        if split is not None:
            found += [(split, each) for each in listed if isinstance(each, str) and each]
    if content or found:
        return list(dict.fromkeys(found))
    inside = [p.name for p in sorted((root / "images").iterdir()) if p.is_dir()]
    splits = [(SPLIT_NAMES[name.lower()], f"images/{name}") for name in inside if name.lower() in SPLIT_NAMES]
    return splits or [("", "images")]


def _place(base: Path, root: Path, split: str, given: str) -> Path:
    """Where a split is: as written, or below the file's folder as Roboflow means its ``../valid/images``."""
    inside = given.removeprefix("../")
    others = [root / inside]
    first, _, rest = inside.partition("/")
    if SPLIT_NAMES.get(first.lower()) == split:  # valid, where the folder is called val
        others += [root / name / rest for name, meaning in SPLIT_NAMES.items() if meaning == split]
    return next((place for place in (base / given, *others) if place.exists()), base / given)


def _images(place: Path, where: Path) -> list[tuple[Path, str]] | None:
    """The image files of a folder or a list, and their names in it; None where there is neither."""
    if place.is_dir():
        files = natural_order(p for p in place.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        return [(file, file.relative_to(place).as_posix()) for file in files]
    if place.suffix.lower() != ".txt" or not place.is_file():
        return None
    lines = place.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    listed = [line.strip() for line in lines if line.strip()]
    found = [place.parent / line for line in listed]
    missing = [line for line, file in zip(listed, found, strict=True) if not file.is_file()]
    if missing:
        raise DatasetError(
            f"{place}: expected images relative to this file, got {len(missing)} that are missing, such as "
            f"{missing[0][:80]!r}; correct the list"
        )
    return [(file, line.removeprefix("./")) for line, file in zip(listed, found, strict=True)]


def _label_file(image: Path) -> Path:
    """The text file of an image: in ``labels`` where the last folder ``images`` is, else beside the image."""
    parts = list(image.parts)
    for k in range(len(parts) - 2, -1, -1):
        if parts[k] == "images":
            parts[k] = "labels"
            return Path(*parts).with_suffix(".txt")
    return image.with_suffix(".txt")


def decode(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    """The truth of one image."""
    size = record.size or read_size(record.path)
    if not record.annotation.is_file():
        return Instances.empty(size, classes), ()
    return read_objects(record.annotation, size, classes, truth=True), ()


def outlines(record: Record, classes: Labels) -> list[list[Polygon] | None]:
    """The rings as the file has them; None for boxes, and for rings with bridges."""
    size = record.size or read_size(record.path)
    if not record.annotation.is_file():
        return []
    rings = read_rings(record.annotation, size, classes)
    return [
        [Polygon(ring)] if ring is not None and len(np.unique(ring, axis=0)) == len(ring) else None
        for ring in rings
    ]

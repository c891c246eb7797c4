"""YOLO datasets: ``data.yaml``, ``images/SPLIT/``, ``labels/SPLIT/`` with a text file an image.

``data.yaml`` has ``path``, ``train``, ``val``, ``test`` (a folder, a text file that lists images, or several)
and ``names`` (docs.ultralytics.com, "Instance Segmentation Datasets Overview"). An image without a text file
has no objects. Without ``data.yaml``, ``obj.names`` or ``classes.txt`` name the classes, a line each.

An outline is one ring. Objects with holes or several parts are written as one ring with bridges of no width
(:func:`delineate.data.rings.single_ring`); outlines along pixel edges come back exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.polygons import Polygon

from ..find import natural_order
from ..images import read_size
from ..losses import Losses
from ..place import Place, safe_name
from ..records import SPLIT_NAMES, Dataset, Record
from ..rings import Ring, apart, single_ring
from ..sniff import SUFFIXES
from ..write import atomic
from .yaml_file import load_yaml
from .yolo import read_objects, read_rings

CONTENTS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
NAME_FILES = ("obj.names", "classes.txt")
SPLITS = ("train", "val", "test")
BEYOND = 1.0
"""Drawn points may lie so many pixels outside the image; those of a farther one are traced anew."""


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
        if not (base / given).exists() and (root / given.removeprefix("../")).exists():
            given, base = given.removeprefix("../"), root  # as Roboflow writes it
        there = _images(base / given, file or root)
        if there is None and skip_invalid:
            notes.append(f"{split} left out: {given} is missing")
        elif there is None:
            raise DatasetError(
                f"{file or root}: expected the images of {split} in {base / given}, got none; correct "
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


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes ``data.yaml``, ``images/`` and ``labels/``; images without a split go to ``train``.

    Crowd regions are left out, since a line would make one object of them; images of objects with boxes alone
    get lines of boxes.

    Raises:
        DatasetError: two images of one name in a split, or an annotation that cannot be read.
    """
    splits: dict[str, None] = {}
    for index, record in enumerate(data.records):
        truth = data.truth(index)
        losses.tally(truth, record.name, "crowd", "scores")
        split = record.groups.get("split") or "train"
        splits[split] = None
        name = safe_name(record.name)
        place(record, out / "images" / split / name)
        file = (out / "labels" / split / name).with_suffix(".txt")
        if file.exists():
            raise DatasetError(
                f"{record.name}: expected image names that differ before their ending; rename it"
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = _boxes(truth) if truth.masks is None else _outlines(data, index, truth)
        with atomic(file) as temporary:
            temporary.write_text("".join(lines), encoding="ascii")
    with atomic(out / "data.yaml") as temporary:
        temporary.write_text(_contents(list(splits), data.classes), encoding="utf-8")


def _contents(splits: Sequence[str], classes: Labels) -> str:
    import yaml

    folders = {split: f"images/{split}" for split in sorted(splits, key=_split_order)}
    content = {**folders, "names": dict(enumerate(classes.names))}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _split_order(name: str) -> tuple[int, str]:
    return (SPLITS.index(name) if name in SPLITS else len(SPLITS), name)


def _boxes(truth: Instances) -> Iterable[str]:
    height, width = truth.size
    for label, (x1, y1, x2, y2), crowd in zip(truth.labels, truth.boxes.tolist(), truth.crowd, strict=True):
        if not crowd:
            values = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
            yield f"{label} {_numbers(values)}\n"


def _outlines(data: Dataset, index: int, truth: Instances) -> Iterable[str]:
    assert truth.masks is not None
    height, width = truth.size
    sides = np.array([width, height], np.float64)
    for i, parts in enumerate(data.polygons(index, truth)):
        if truth.crowd[i]:
            continue
        ring = _ring(parts, truth, i)
        if len(ring):
            yield f"{truth.labels[i]} {_numbers((ring.clip(0, sides) / sides).ravel().tolist())}\n"


def _ring(parts: list[Polygon], truth: Instances, i: int) -> Ring:
    """One ring: the drawn one where it can be, else that along the pixels."""
    assert truth.masks is not None
    height, width = truth.size
    inside = all(
        x1 >= -BEYOND and y1 >= -BEYOND and x2 <= width + BEYOND and y2 <= height + BEYOND
        for x1, y1, x2, y2 in (part.bounds for part in parts)
    )
    if not (inside and apart(parts, truth.size)):
        parts = truth.masks[i].to_polygons()[0]
    return single_ring(parts) if parts else np.zeros((0, 2))


def _numbers(values: Iterable[float]) -> str:
    """The numbers to 9 decimals, without trailing zeros and without exponents."""
    text = " ".join(map(repr, np.round(np.fromiter(values, np.float64), 9).tolist()))
    if "e" in text:  # below 0.0001
        text = " ".join(f"{float(word):.9f}".rstrip("0") for word in text.split())
    return text

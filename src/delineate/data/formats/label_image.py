"""Label images: a folder ``images/`` and a folder ``labels/`` whose pictures hold instance ids, 0 background.

An optional ``split.csv`` beside them has a column ``id`` (the image's name without its ending), maybe
``split`` (train, val, test), and any further columns, such as ``modality``: the dataset's groups.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError, InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.runs import Runs

from ..find import natural_order
from ..images import read_labels, read_size
from ..records import SPLIT_NAMES, Dataset, Record
from ..sniff import SUFFIXES
from .label_write import write as write

LABEL_FOLDERS = ("labels", "masks")
LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif")
_LARGEST_ID = 2**31 - 1


def recognise(path: Path) -> bool:
    """Whether a folder has ``images/`` and pictures in ``labels/`` or ``masks/``."""
    return (path / "images").is_dir() and any(
        (path / name).is_dir() and any(p.suffix.lower() in LABEL_SUFFIXES for p in (path / name).iterdir())
        for name in LABEL_FOLDERS
    )


def read(
    folder: str | Path,
    class_name: str = "object",
    images: str | Path | Literal[False] | None = None,
    skip_invalid: bool = False,
) -> Dataset:
    """Reads a folder of images and label images; nothing is decoded yet.

    Args:
        folder: holds ``images/`` and ``labels/`` (or ``masks/``), matched by file name without ending.
        class_name: the name of the one class.
        images: in place of ``images/``; False or None: that.
        skip_invalid: leave out images without a label image, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: folders or label images are missing, a name stands twice, ``split.csv`` is not well
            formed.
    """
    folder = Path(folder)
    labels_folder = next((folder / n for n in LABEL_FOLDERS if (folder / n).is_dir()), None)
    pictures = Path(images) if images else folder / "images"
    if not pictures.is_dir() or labels_folder is None:
        raise DatasetError(f"{folder}: expected the folders images/ and labels/, got none or one; add both")
    found = _by_stem(pictures, SUFFIXES)
    labels = _by_stem(labels_folder, LABEL_SUFFIXES)
    notes: list[str] = []
    missing = [stem for stem in found if stem not in labels]
    if missing and not skip_invalid:
        raise DatasetError(
            f"{labels_folder}: expected a label image for each image, got none for {len(missing)}: "
            f"{_list(missing)}; add them (all 0 for an empty image), or skip_invalid=True (`--skip-invalid`)"
        )
    if missing:
        notes.append(f"{len(missing)} images without a label image left out ({_list(missing)})")
    unused = [stem for stem in labels if stem not in found]
    if unused:
        notes.append(f"{len(unused)} label images without an image ({_list(unused)})")
    stems = [stem for stem in found if stem in labels]
    if not stems:
        raise DatasetError(f"{folder}: expected images in images/, got none; add PNG, JPEG or TIFF files")
    columns = _columns(folder / "split.csv", set(found), notes)
    records = [
        Record(found[stem].name, found[stem], number, None, labels[stem], columns.get(stem, {}))
        for number, stem in enumerate(stems, 1)
    ]
    return Dataset(tuple(records), Labels((class_name,)), decode, "label images", folder, tuple(notes))


def _by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in natural_order(
        p for p in folder.iterdir() if p.suffix.lower() in suffixes and p.name[0] != "."
    ):
        if path.stem in found:
            raise DatasetError(
                f"{path}: expected one file per name, got also {found[path.stem].name}; rename or remove one"
            )
        found[path.stem] = path
    return found


def _list(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _columns(path: Path, known: set[str], notes: list[str]) -> dict[str, dict[str, str]]:
    """The rows of split.csv by id; empty where there is no such file."""
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: expected a CSV file in UTF-8, got {error}; save it again") from None
    found: dict[str, dict[str, str]] = {}
    for line, row in enumerate(rows, 2):
        stem = row.pop("id", None)
        if not stem or None in row or None in row.values():
            raise DatasetError(
                f"{path}: line {line}: expected a column id and a value in each column, got fewer or more; "
                "mend the line"
            )
        if stem in found:
            raise DatasetError(f"{path}: line {line}: expected every id once, got {stem!r} again; remove one")
        if "split" in row:
            row["split"] = SPLIT_NAMES.get(row["split"].strip().lower(), row["split"].strip())
        found[stem] = row
    unknown = [stem for stem in found if stem not in known]
    if unknown:
        raise DatasetError(
            f"{path}: expected ids of images in images/, got {len(unknown)} others: {_list(unknown)}; "
            "remove them"
        )
    if len(found) < len(known):
        notes.append(f"{len(known) - len(found)} images are not in {path.name}")
    return found


def decode(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    """The truth of one image: one instance per id, in ascending order."""
    path: Path = record.annotation
    labels = read_ids(path)
    size = read_size(record.path)
    if labels.shape != size:
        raise DatasetError(
            f"{path}: expected a label image of {size} pixels (height, width) as {record.path.name}, "
            f"got {labels.shape}; it is never resized: make it anew"
        )
    masks = Masks.from_label_image(labels)
    first = masks.runs.offsets[:-1]
    ids = labels[masks.runs.y[first], masks.runs.x[first]]
    truth = Instances(size, masks=masks, ids=ids, classes=classes)
    broken = ids[parts(masks.runs) > 1]
    if len(broken):
        return truth, (f"{len(broken)} ids have several separate parts ({_list([str(i) for i in broken])})",)
    return truth, ()


def read_ids(path: str | Path) -> NDArray[np.int64]:
    """(H, W) instance ids >= 0 of a label image; a palette picture counts by its indices.

    Raises:
        DatasetError: colours instead of ids, fractions, negative numbers, a damaged file.
    """
    try:
        pixels = read_labels(Path(path))
    except InputError as error:
        raise DatasetError(str(error)) from None
    if pixels.dtype.kind == "f" and not (np.isfinite(pixels).all() and (pixels == np.floor(pixels)).all()):
        raise DatasetError(f"{path}: expected whole numbers as instance ids, got fractions; save integers")
    if pixels.dtype.kind not in "biu":
        raise DatasetError(
            f"{path}: expected integers as instance ids, got {pixels.dtype}; save uint16 or uint32"
        )
    if pixels.min() < 0 or pixels.max() > _LARGEST_ID:
        raise DatasetError(
            f"{path}: expected instance ids in 0..{_LARGEST_ID}, got {pixels.min()}..{pixels.max()}; "
            "renumber them"
        )
    return pixels.astype(np.int64)


def parts(runs: Runs) -> NDArray[np.int64]:
    """(N,) number of 8-connected parts of each mask, from its vertical runs."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count = len(runs.offsets) - 1
    if not len(runs.x):
        return np.zeros(count, np.int64)
    # One ascending key for all rows of all columns of all masks; a gap of 2 keeps columns apart.
    height = int((runs.y + runs.length).max()) + 4
    width = int(runs.x.max()) + 2
    start = (runs.owner * width + runs.x) * height + runs.y + 1
    end = start + runs.length
    # A run touches those of the next column that begin at most one below it and end at most one above it.
    first = np.searchsorted(end, start + height, side="left")
    last = np.searchsorted(start, end + height, side="right")
    number = np.maximum(last - first, 0)
    a = np.repeat(np.arange(len(start)), number)
    b = np.arange(len(a)) - np.repeat(np.cumsum(number) - number, number) + np.repeat(first, number)
    graph = coo_matrix((np.ones(len(a), np.int8), (a, b)), shape=(len(start), len(start)))
    _, component = connected_components(graph, directed=False)
    owner_of = np.zeros(component.max() + 1, np.int64)
    owner_of[component] = runs.owner
    return np.bincount(owner_of, minlength=count)

"""What a studio is opened on: any dataset, or images that nobody has labelled yet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from delineate.core.errors import DatasetError, InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.data.dataset import open_dataset
from delineate.data.images import find, read_size
from delineate.data.known_formats import guess
from delineate.data.records import Dataset, Record
from delineate.data.sniff import SUFFIXES
from delineate.data.synthetic.dataset import is_synthetic

_ANNOTATIONS = (".json", ".xml", ".csv", ".yaml", ".yml", ".geojson", ".gpkg", ".parquet", ".npy", ".roi")

BARE = "images"
"""The format of images that nobody has labelled."""
UNNAMED = "object"
"""The class of their objects where nobody names one."""


def open_source(given: str, split: str = "", classes: tuple[str, ...] = ()) -> Dataset:
    """A dataset, or one without any object made of bare images.

    Args:
        given: a dataset of any format, a folder of images, one image, or a pattern such as ``scans/*.tif``.
        split: only this split.
        classes: names to add to the dataset's own; bare images have these alone, or :data:`UNNAMED`.

    Raises:
        InputError: nothing there, or nothing that can be read.
    """
    path = Path(given)
    if is_synthetic(given):
        raise DatasetError(
            f"{given}: expected images in files, got scenes that are only drawn; write them with "
            "`delineate synthesize` first"
        )
    if _bare(path, given):
        if split:
            raise DatasetError(
                f"{given}: expected a dataset with a split {split!r}, got bare images; leave it out"
            )
        return _of_images(given, tuple(dict.fromkeys(classes)) or (UNNAMED,))
    data = open_dataset(given, split=split or None, skip_invalid=True)
    known = data.classes
    twice = next((name for name in known.names if known.names.count(name) > 1), None)
    if twice is not None:
        raise DatasetError(
            f"{given}: expected each name of a class once, got {twice!r} for several; rename or join them, "
            "or `delineate convert` the dataset"
        )
    new = [name for name in dict.fromkeys(classes) if name not in known.names]
    if not new:
        return data
    first = max(known.ids, default=0) + 1
    labels = Labels(
        (*known.names, *new),
        (*known.ids, *range(first, first + len(new))),
        (*known.things, *(True for _ in new)),
    )
    return replace(data, classes=labels)


def place_of(data: Dataset) -> Path:
    """The folder that holds the dataset, where ``.delineate/`` goes."""
    source = data.source.resolve()
    return source if source.is_dir() else source.parent


def _bare(path: Path, given: str) -> bool:
    """Whether these are images that nobody has labelled: no annotation beside them, in no known layout."""
    if any(character in given for character in "*?[") and not path.exists():
        return True
    if path.is_file():
        return path.suffix.lower() in SUFFIXES
    if not path.is_dir():
        return False
    inside = [p for p in path.iterdir() if p.is_file() and not p.name.startswith(".")]
    pictures = {p.stem for p in inside if p.suffix.lower() in SUFFIXES}
    labels = [
        p for p in inside if p.suffix.lower() in _ANNOTATIONS or (p.suffix == ".txt" and p.stem in pictures)
    ]
    return bool(pictures) and not labels and guess(path) is None


def _of_images(given: str, classes: tuple[str, ...]) -> Dataset:
    paths = find([given])
    path = Path(given)
    source = path if path.exists() else paths[0].parent
    names = [p.name for p in paths]
    if len(set(names)) < len(names):
        names = [str(p) for p in paths]
    records = tuple(
        Record(name, p, number, None, None)
        for number, (name, p) in enumerate(zip(names, paths, strict=True), start=1)
    )
    return Dataset(records, Labels(classes), _nothing, BARE, source)


def _nothing(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    """No objects on an image of its own size."""
    try:
        return Instances(read_size(record.path), classes=classes), ()
    except InputError as error:
        raise DatasetError(str(error)) from None

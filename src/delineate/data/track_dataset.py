"""Videos with tracked masks as a dataset: each frame an image, its columns ``sequence`` and ``frame``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels

from .find import natural_key
from .images import read_size
from .records import Dataset, Record
from .sniff import SUFFIXES
from .tracks import TrackSequence


class Frame(NamedTuple):
    """The annotation of one frame."""

    sequence: TrackSequence
    number: int


@dataclass(frozen=True)
class Film:
    """One video: its tracks and the images of its frames.

    Attributes:
        tracks: its objects.
        images: the image of each frame; None asks for no images.
        split: of the video, or empty.
    """

    tracks: TrackSequence
    images: Mapping[int, Path] | None
    split: str = ""


def dataset(films: Sequence[Film], classes: Labels, title: str, source: Path, skip_invalid: bool) -> Dataset:
    """The frames of all videos; names are ``SEQUENCE/IMAGE``.

    Frames with an image and without objects are empty where the format lists objects alone; where it has a
    file for every frame (``complete``) those without one are left out, as not annotated.

    Raises:
        DatasetError: frames with objects and without an image.
    """
    records: list[Record] = []
    missing: list[str] = []
    for film in films:
        for number, image in _frames(film, missing):
            groups = {"split": film.split} if film.split else {}
            groups |= {"sequence": film.tracks.name, "frame": str(number)}
            name = f"{film.tracks.name}/{image.name}"
            records.append(
                Record(name, image, len(records) + 1, film.tracks.size, Frame(film.tracks, number), groups)
            )
    if missing and (not skip_invalid or not records):
        raise DatasetError(
            f"{source}: expected an image for each annotated frame, got none for {len(missing)}, such as "
            f"{missing[0]}; add them, or skip_invalid=True (`--skip-invalid`)"
        )
    notes = (f"{len(missing)} frames without an image left out",) if missing else ()
    return Dataset(tuple(records), classes, decode, title, source, notes)


def _frames(film: Film, missing: list[str]) -> Iterator[tuple[int, Path]]:
    tracks = film.tracks
    if film.images is None:
        yield from ((number, Path(f"{number:06d}.png")) for number in tracks.frames)
        return
    missing += [f"frame {number} of {tracks.name}" for number in tracks.frames if number not in film.images]
    for number in sorted(film.images):
        if number in tracks or not tracks.complete:
            yield number, film.images[number]


def decode(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    """The objects of one frame; ``ids`` are tracks."""
    frame: Frame = record.annotation
    found = frame.sequence.get(frame.number)
    if found is None or not len(found.objects):
        size = found.objects.size if found is not None else record.size or read_size(record.path)
        return Instances.empty(size, classes).replace(ids=np.zeros(0, np.int64)), ()
    return found.objects.replace(classes=classes), ()


def numbered_images(folder: Path) -> dict[int, Path]:
    """The images of a folder by the number at the end of their names: ``000012.jpg``, ``t012.tif``."""
    found: dict[int, Path] = {}
    if folder.is_dir():
        for path in sorted(folder.iterdir(), key=lambda p: natural_key(p.name)):
            digits = path.stem[len(path.stem.rstrip("0123456789")) :]
            if digits and path.suffix.lower() in SUFFIXES and path.name[0] != ".":
                found.setdefault(int(digits), path)
    return found


def sequences(data: Dataset) -> dict[tuple[str, str], list[int]]:
    """The places of the records of each video, by split and name, in the order of their frames.

    Raises:
        DatasetError: images that belong to no video, or two images of one frame.
    """
    found: dict[tuple[str, str], list[int]] = {}
    for index, record in enumerate(data.records):
        if "sequence" not in record.groups:
            raise DatasetError(
                f"{record.name}: expected the frames of videos (columns sequence and frame), got an image of "
                "none; choose a format of images"
            )
        key = (record.groups.get("split", ""), record.groups["sequence"])
        found.setdefault(key, []).append(index)
    frame_of: Callable[[int], int] = lambda index: frame_number(data.records[index])  # noqa: E731
    for (_, name), indices in found.items():
        indices.sort(key=frame_of)
        numbers = [frame_of(index) for index in indices]
        if len(set(numbers)) < len(numbers):
            raise DatasetError(f"{name}: expected every frame once, got one twice; correct the column frame")
    return found


def frame_number(record: Record) -> int:
    """The number of a record's frame.

    Raises:
        DatasetError: no whole number.
    """
    text = record.groups.get("frame", "")
    if not text.isdecimal():
        raise DatasetError(f"{record.name}: expected a whole number as its frame, got {text!r}; correct it")
    return int(text)

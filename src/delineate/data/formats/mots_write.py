"""Writing MOTS, as text and as PNG; see :mod:`delineate.data.formats.mots_dataset` for the layouts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

from ..losses import Losses
from ..painted import paint
from ..place import Place, safe_name
from ..records import Dataset, Record
from ..track_dataset import frame_number, sequences
from ..write import atomic, write_png

IGNORE = 10
PER_CLASS = 1000
BACKGROUND = 10_000
"""MOTS's id of ignore regions: class 10, number 0."""
Numbers = NDArray[np.int64]


def write_text(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes ``[SPLIT/]SEQUENCE/gt/gt.txt`` and ``img1/``; classes other than car and pedestrian get names.

    Raises:
        DatasetError: images of no video, or an annotation that cannot be read.
    """
    classes = class_numbers(data.classes)
    for (split, name), indices in sequences(data).items():
        folder = out / split / safe_name(name).replace("/", "_")
        (folder / "gt").mkdir(parents=True)
        identity = identities(classes)
        with atomic(folder / "gt" / "gt.txt") as temporary, temporary.open("w", encoding="ascii") as file:
            for index in indices:
                record, truth = data.records[index], data.truth(index)
                number = frame_number(record)
                place(record, folder / "img1" / f"{number:06d}{record.path.suffix}")
                file.writelines(_lines(_picture(truth, record, identity, losses), number))
        _write_labels(folder / "gt" / "labels.txt", data.classes, classes)


def _lines(picture: Numbers, number: int) -> Iterator[str]:
    """A line for each id of a frame."""
    height, width = picture.shape
    ids = np.setdiff1d(picture, [0])
    masks = Masks.from_label_image(picture, ids)
    for identity, rle in zip(ids.tolist(), masks.to_rle(), strict=True):
        yield f"{number} {identity} {identity // PER_CLASS} {height} {width} {rle['counts']}\n"


def write_pictures(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes ``[SPLIT/]instances/SEQUENCE/000000.png`` of 16 bits and ``images/SEQUENCE/``.

    Raises:
        DatasetError: images of no video, ids above 65535, or an annotation that cannot be read.
    """
    classes = class_numbers(data.classes)
    for (split, name), indices in sequences(data).items():
        safe = safe_name(name).replace("/", "_")
        folder = out / split / "instances" / safe
        folder.mkdir(parents=True)
        identity = identities(classes)
        for index in indices:
            record, truth = data.records[index], data.truth(index)
            number = frame_number(record)
            place(record, out / split / "images" / safe / f"{number:06d}{record.path.suffix}")
            picture = _picture(truth, record, identity, losses)
            if picture.max() >= 2**16:
                raise DatasetError(
                    f"{record.name}: expected at most 64 classes for MOTS PNG, got the id {picture.max()}; "
                    "choose MOTS text"
                )
            write_png(folder / f"{number:06d}.png", picture.astype(np.uint16))
        _write_labels(folder / "labels.txt", data.classes, classes)


def class_numbers(classes: Labels) -> list[int]:
    """The number of each class: 1 car, 2 pedestrian where there are no others, else 1, 2, .. without 10."""
    named = {"car": 1, "pedestrian": 2}
    if set(classes.names) <= set(named):
        return [named[name] for name in classes.names]
    return [k + 1 + (k + 1 >= IGNORE) for k in range(len(classes))]


def _write_labels(path: Path, classes: Labels, numbers: list[int]) -> None:
    """The names of the classes from 1 on, unless they are MOTS's own; line 10 is the ignore region's."""
    if set(classes.names) <= {"car", "pedestrian"}:
        return
    names = dict(zip(numbers, classes.names, strict=True))
    lines = [names.get(k, "ignore") for k in range(1, max(numbers, default=0) + 1)]
    with atomic(path) as temporary:
        temporary.write_text("".join(f"{' '.join(line.split())}\n" for line in lines), encoding="utf-8")


def identities(classes: list[int]) -> Callable[[Instances], tuple[Numbers, int]]:
    """Gives the MOTS ids of the objects of one video, 1000 * class + number, and how many tracks got another.

    A track keeps its number where it is below 1000 and free.
    """
    given: dict[tuple[int, int], int] = {}
    taken: set[int] = set()

    def give(truth: Instances) -> tuple[Numbers, int]:
        found, changed = [], 0
        tracks = np.arange(1, len(truth) + 1) if truth.ids is None else truth.ids
        for label, track, crowd in zip(truth.labels.tolist(), tracks.tolist(), truth.crowd, strict=True):
            if crowd:
                found.append(BACKGROUND)
                continue
            key = (label, track)
            if key not in given:
                base = classes[label] * PER_CLASS
                wish = track if base <= track < base + PER_CLASS else base + track
                if not base <= wish < base + PER_CLASS or wish in taken:
                    wish = next((k for k in range(base + 1, base + PER_CLASS) if k not in taken), 0)
                    changed += 1
                    if not wish:
                        raise DatasetError(
                            "MOTS: expected at most 999 tracks of a class in a video, got more"
                        )
                given[key] = wish
                taken.add(wish)
            found.append(given[key])
        return np.array(found, np.int64), changed

    return give


def _picture(
    truth: Instances, record: Record, identity: Callable[[Instances], tuple[Numbers, int]], losses: Losses
) -> Numbers:
    """(H, W) ids, 0 where there is nothing: MOTS allows no overlap. What is lost is counted."""
    losses.tally(truth, record.name, "scores")
    ids, changed = identity(truth)
    losses.count("ids", record.name, changed)
    found: Numbers = np.concatenate([[0], ids])[paint(truth, losses, record.name)]
    return found

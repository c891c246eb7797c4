"""The whole examination of a dataset: every file, every object, then all of them together."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels

from ..dataset import Images
from ..records import Dataset
from .classes import Counted, check_classes, count_classes
from .copies import Seen, check_copies
from .finding import KINDS, Finding
from .objects import check_objects
from .opening import Opened, open_parts
from .pictures import Picture, check_picture

AHEAD = 4
"""Images handed to each thread in advance."""


@dataclass(frozen=True)
class Examined:
    """One image.

    Attributes:
        findings: what is wrong with it.
        size: (height, width), or None where neither file nor annotation says it.
        picture: what its file is, or None.
        labels: (N,) class of each object.
        areas: (N,) pixels of each object.
        sides: (N, 2) width and height of each object's box.
        usable: the objects could be read.
    """

    findings: tuple[Finding, ...]
    size: tuple[int, int] | None
    picture: Picture | None
    labels: NDArray[np.int64]
    areas: NDArray[np.float64]
    sides: NDArray[np.float32]
    usable: bool = True


@dataclass(frozen=True)
class Checkup:
    """What the examination found.

    Attributes:
        source: the dataset, as it was given.
        format: such as ``COCO``.
        splits: images of each split; the key is empty where there are none.
        classes: the objects of each class.
        findings: all of them, faults first, in the order of :data:`KINDS`.
        examined: every image, in the dataset's order.
        masks: the objects have masks, not boxes alone.
        parts: the datasets themselves.
        failed: why it cannot be used at all; empty where it can.
    """

    source: str
    format: str
    splits: dict[str, int]
    classes: list[Counted]
    findings: tuple[Finding, ...]
    examined: tuple[Examined, ...] = field(repr=False)
    masks: bool
    parts: tuple[Dataset, ...] = field(repr=False)
    failed: str = ""

    @property
    def images(self) -> int:
        """How many images."""
        return len(self.examined)

    @property
    def objects(self) -> int:
        """How many objects."""
        return sum(len(one.labels) for one in self.examined)

    def of(self, kind: str) -> list[Finding]:
        """The findings of one kind."""
        return [finding for finding in self.findings if finding.kind == kind]

    @property
    def faults(self) -> int:
        """How many findings are faults."""
        return sum(finding.severity == "fault" for finding in self.findings)


def check(
    dataset: str | Path | Opened,
    images: Images = None,
    *,
    pixels: bool = True,
    workers: int = 0,
    tick: Callable[[], object] = lambda: None,
) -> Checkup:
    """Examines a dataset; nothing is written.

    Args:
        dataset: as :func:`delineate.data.dataset.open_dataset` takes it, or opened already.
        images: the folder of the images where they do not lie beside the annotations; False looks at none.
        pixels: decode every image; without, damaged pixels, copies and leaks are not found.
        workers: threads; 0: as many as there are processors.
        tick: called once for each image.

    Raises:
        DatasetError: nothing of it can be opened.
    """
    opened = dataset if isinstance(dataset, Opened) else open_parts(dataset, images)
    look = opened.pictures and images is not False
    examined: list[Examined] = []
    seen: list[Seen] = []
    for part in opened.parts:
        job = partial(examine, part, pixels=pixels, look=look)
        for index, one in enumerate(_in_order(job, len(part), workers)):
            examined.append(one)
            if one.picture is not None:
                seen.append(Seen(part.records[index], one.picture, partial(part.truth, index)))
            tick()
    findings = [*opened.findings, *(finding for one in examined for finding in one.findings)]
    findings += [*_depths(seen), *check_copies(seen)]
    splits, classes = _counted(opened, examined)
    if opened.failed:
        findings = [finding for finding in findings if finding.kind != "empty"]
    else:
        findings += check_classes(classes, splits)
    order = {name: place for place, name in enumerate(KINDS)}
    titles = [part.format for part in opened.parts] or ["nothing that can be used"]
    return Checkup(
        opened.source, titles[0], splits, classes,
        tuple(sorted(dict.fromkeys(findings), key=lambda finding: order[finding.kind])),
        tuple(examined), any(one.masks is not None for one in _some(opened.parts)), tuple(opened.parts),
        opened.failed,
    )  # fmt: skip


def examine(data: Dataset, index: int, *, pixels: bool = True, look: bool = True) -> Examined:
    """One image of a dataset and its objects.

    Args:
        data: the dataset.
        index: which image.
        pixels: decode the image.
        look: look at the image's file at all.
    """
    record = data.records[index]
    split = record.groups.get("split", "")
    picture, found = check_picture(record, data.channels, pixels) if look else (None, [])
    size = record.size if picture is None else picture.size
    nothing = np.zeros(0, np.int64), np.zeros(0, np.float64), np.zeros((0, 2), np.float32)
    try:
        truth, notes = data.decode(record, data.classes)
        drawn = [] if data.outlines is None else data.drawn(index)
    except InputError as error:
        if not any(finding.kind == "unreadable" for finding in found):
            found.append(Finding(_unusable(str(error)), _short(str(error)), record.name, split))
        return Examined(tuple(found), size, picture, *nothing, usable=False)
    if picture is not None and record.size is None and truth.size != picture.size:
        told = f"the file has {picture.size[::-1]} pixels (width, height), the labels {truth.size[::-1]}"
        found.append(Finding("image-size", told, record.name, split))
    found += [
        Finding(_noted(note), note, record.name, split) for note in notes if "separate parts" not in note
    ]
    if not len(truth):
        found.append(Finding("empty", "no object", record.name, split))
        return Examined(tuple(found), size or truth.size, picture, *nothing)
    found += check_objects(record, truth, drawn)
    sides = truth.boxes[:, 2:] - truth.boxes[:, :2]
    areas = truth.masks.area.astype(np.float64) if truth.masks is not None else truth.area
    return Examined(tuple(found), size or truth.size, picture, truth.labels, areas, sides)


def _unusable(message: str) -> str:
    return "image-size" if "label image of" in message else "invalid"


def _noted(note: str) -> str:
    return "no-pixels" if "without any pixel" in note else "note"


def _short(message: str) -> str:
    return message.split("; ")[0]


def _in_order(job: Callable[[int], Examined], count: int, workers: int) -> Iterator[Examined]:
    """The results for 0 .. count - 1 in order, a few computed ahead."""
    threads = workers or min(8, os.cpu_count() or 1)
    if threads == 1:
        yield from map(job, range(count))
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting = []
        try:
            for index in range(count):
                waiting.append(pool.submit(job, index))
                if len(waiting) > AHEAD * threads:
                    yield waiting.pop(0).result()
            for future in waiting:
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()


def _depths(seen: Sequence[Seen]) -> Iterator[Finding]:
    """Images of 8 bits among those of 16, which look alike on a screen and not to a network."""
    kinds = Counter(one.picture.kind.split(" ")[0] for one in seen if one.picture.kind)
    if len(kinds) > 1:
        rarest = kinds.most_common()[-1][0]
        first = next(one.record for one in seen if one.picture.kind.startswith(rarest))
        told = ", ".join(f"{number} of {kind}" for kind, number in kinds.most_common())
        yield Finding("depths", f"{told}; {rarest} here", first.name, first.groups.get("split", ""))


def _counted(opened: Opened, examined: Sequence[Examined]) -> tuple[dict[str, int], list[Counted]]:
    """Images of each split, and the objects of each class; classes of parts are joined by name."""
    splits = [record.groups.get("split", "") for part in opened.parts for record in part.records]
    if len(opened.parts) > 1:
        names = tuple(dict.fromkeys(name for part in opened.parts for name in part.classes.names))
        to = [np.array([names.index(n) for n in part.classes.names]) for part in opened.parts]
        classes = Labels(names)
    else:
        classes = opened.parts[0].classes if opened.parts else Labels(())
        to = [np.arange(len(classes))]
    owner = np.repeat(np.arange(len(opened.parts)), [len(part) for part in opened.parts])
    labels = [to[k][one.labels] for k, one in zip(owner.tolist(), examined, strict=True)]
    counted = count_classes(classes, splits, labels, [one.areas for one in examined])
    return dict(Counter(splits)), counted


def _some(parts: Sequence[Dataset]) -> Iterator[Instances]:
    """The objects of a few images."""
    for part in parts:
        for index in range(min(len(part), 3)):
            with suppress(InputError):
                yield part.truth(index)

"""Several annotations of the same images: brought together, compared, and made one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from delineate.core.errors import DatasetError, DelineateError, InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon
from delineate.data.dataset import open_dataset
from delineate.data.records import Dataset, Record
from delineate.metrics.agreement import Agreement, Strokes
from delineate.metrics.agreement_report import AgreementReport
from delineate.metrics.annotator_groups import THRESHOLD
from delineate.metrics.consensus import Method, consensus

Tick = Callable[[], object]


@dataclass(frozen=True)
class SharedImage:
    """An image that two annotators or more annotated.

    Attributes:
        name: as the first of them calls it.
        indices: by annotator its place in the dataset, None where the annotator does not have it.
    """

    name: str
    indices: tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class Annotators:
    """Datasets of the same images, one for each annotator.

    Attributes:
        names: of the annotators.
        datasets: theirs.
        classes: all classes that any has, with the ids of the first dataset that knows each.
        images: those that two or more have, in the order of the first dataset.
        alone: how many images one annotator alone has; they are left out.
        notes: what a reader must know, one sentence each.
    """

    names: tuple[str, ...]
    datasets: tuple[Dataset, ...]
    classes: Labels
    images: tuple[SharedImage, ...]
    alone: int = 0
    notes: tuple[str, ...] = ()

    def annotations(self, shared: SharedImage) -> list[Instances | None]:
        """By annotator the objects of an image, in the common classes, with masks; boxes become rectangles.

        Raises:
            DatasetError: an annotation cannot be read, or the sizes differ.
        """
        found = [
            None if index is None else self._common(data.truth(index))
            for data, index in zip(self.datasets, shared.indices, strict=True)
        ]
        sizes = {own.size for own in found if own is not None}
        if len(sizes) > 1:
            raise DatasetError(
                f"{shared.name}: expected one image size from all annotators, got {sorted(sizes)} (height, "
                "width); they did not annotate the same image"
            )
        return found

    def strokes(self, shared: SharedImage) -> list[Strokes | None]:
        """By annotator how the objects of an image were drawn."""
        return [
            None if index is None else strokes(data.drawn(index))
            for data, index in zip(self.datasets, shared.indices, strict=True)
        ]

    def image(self, shared: SharedImage) -> Path | None:
        """A file with the image's pixels, where an annotator's dataset has one."""
        for data, index in zip(self.datasets, shared.indices, strict=True):
            if index is not None and data.records[index].path.is_file():
                return data.records[index].path
        return None

    def _common(self, own: Instances) -> Instances:
        labels = np.array([self.classes.names.index(name) for name in own.classes.names], dtype=np.int64)
        masks = own.masks
        if masks is None:
            corners = own.boxes.astype(np.float64)[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
            masks = Masks.from_polygons([[Polygon(ring)] for ring in corners], own.size)
        return Instances(
            own.size, labels=labels[own.labels], masks=masks, crowd=own.crowd, classes=self.classes
        )


def strokes(drawn: Sequence[Sequence[Polygon] | None]) -> Strokes:
    """Vertices and outline of objects as they were drawn; a closing point that repeats the first is none."""
    points = np.full(len(drawn), -1, dtype=np.int64)
    length = np.full(len(drawn), np.nan)
    for k, parts in enumerate(drawn):
        if parts is not None:
            rings = [ring for part in parts for ring in part.rings]
            steps = [np.hypot(*(np.roll(ring, -1, axis=0) - ring).T) for ring in rings]
            points[k] = sum(int((step > 0).sum()) for step in steps)
            length[k] = sum(float(step.sum()) for step in steps)
    return Strokes(points, length)


def open_annotators(
    paths: Sequence[str | Path], names: Sequence[str] | None = None, images: str | Path | None = None
) -> Annotators:
    """Opens one dataset for each annotator and finds the images that they share, by name.

    Args:
        paths: two datasets or more, of any format.
        names: of the annotators; default what the paths do not have in common.
        images: the folder of the images, where they do not lie beside the annotations.

    Raises:
        InputError: fewer than two datasets, names that do not fit, or no image in common.
        DatasetError: a dataset cannot be read.
    """
    if len(paths) < 2:
        raise InputError(f"agreement: expected two datasets or more, got {len(paths)}; name each annotator's")
    names = _names(paths) if names is None else list(names)
    if len(names) != len(paths) or len(set(names)) < len(names):
        raise InputError(
            f"agreement, names: expected {len(paths)} different ones, got {names}; name each annotator once"
        )
    datasets = tuple(_open(path, images) for path in paths)
    shared, alone = _shared(datasets)
    if not shared:
        raise InputError(
            "agreement: expected images of the same names in the datasets, got none in common "
            f"({datasets[0].names[0]!r} and {datasets[1].names[0]!r}, for instance); annotate the same images"
        )
    notes = [f"{alone} images that one annotator alone has are left out"] if alone else []
    notes += [f"{name}: {note}" for name, data in zip(names, datasets, strict=True) for note in data.notes]
    return Annotators(tuple(names), datasets, _classes(datasets), tuple(shared), alone, tuple(notes))


def _open(path: str | Path, images: str | Path | None) -> Dataset:
    """With images where they are found, else without: only the pictures of the page need them."""
    try:
        return open_dataset(path, images=images)
    except DatasetError as error:
        if images is not None:
            raise
        try:
            return open_dataset(path, images=False)
        except DatasetError:
            raise error from None


def _names(paths: Sequence[str | Path]) -> list[str]:
    """The paths' own names where they differ, else with their folders'."""
    parts = [Path(path).resolve().with_suffix("").parts for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(p[-depth:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{p[-1]} ({k})" for k, p in enumerate(parts, 1)]


def _shared(datasets: Sequence[Dataset]) -> tuple[list[SharedImage], int]:
    """The images that two or more have, and how many one alone has: by name, else by name without ending."""

    def places(key: Callable[[str], str]) -> dict[str, list[int | None]]:
        table: dict[str, list[int | None]] = {}
        for k, data in enumerate(datasets):
            keys = [key(name.replace("\\", "/")) for name in data.names]
            often = Counter(keys)
            for index, own in enumerate(keys):
                if often[own] == 1:
                    table.setdefault(own, [None] * len(datasets))[k] = index
        return table

    def common(table: dict[str, list[int | None]]) -> int:
        return sum(len(datasets) - row.count(None) > 1 for row in table.values())

    table = max((places(key) for key in (str, _file, _stem)), key=common)
    shared = []
    for row in table.values():
        if len(row) - row.count(None) > 1:
            k, index = next((k, index) for k, index in enumerate(row) if index is not None)
            shared.append(SharedImage(datasets[k].names[index], tuple(row)))
    return shared, len(table) - len(shared)


def _file(name: str) -> str:
    return PurePosixPath(name).name


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _classes(datasets: Sequence[Dataset]) -> Labels:
    """All classes by name; an id that is taken is given anew."""
    ids: dict[str, int] = {}
    for data in datasets:
        for name, number in zip(data.classes.names, data.classes.ids, strict=True):
            if name not in ids:
                ids[name] = number if number not in ids.values() else max(ids.values()) + 1
    return Labels(tuple(ids), tuple(ids.values()))


def measure(
    annotators: Annotators, threshold: float = THRESHOLD, tick: Tick | None = None
) -> tuple[AgreementReport, list[str]]:
    """How far the annotators agree.

    Args:
        annotators: of :func:`open_annotators`.
        threshold: IoU from which two outlines show one object.
        tick: called after each image.

    Returns:
        The report, and one sentence for each image that could not be compared.

    Raises:
        InputError: no image at all could be compared.
    """
    metric = Agreement(annotators.names, annotators.classes, threshold)
    failed = []
    for number, shared in enumerate(annotators.images, 1):
        try:
            metric.update(annotators.annotations(shared), number, shared.name, annotators.strokes(shared))
        except DelineateError as error:
            failed.append(str(error))
        if tick is not None:
            tick()
    if len(failed) == len(annotators.images):
        raise InputError(f"agreement: no image could be compared; the first: {failed[0]}")
    return metric.compute(), failed


def consensus_dataset(
    annotators: Annotators,
    method: Method = "vote",
    threshold: float = THRESHOLD,
    least: int | None = None,
    skip: Sequence[str] = (),
) -> Dataset:
    """One dataset out of all: its truth is worked out image by image when it is asked for.

    Args:
        annotators: of :func:`open_annotators`.
        method: ``"vote"`` or ``"staple"``, see :func:`delineate.metrics.consensus.consensus`.
        threshold: mean IoU from which outlines are one object.
        least: annotators who must have drawn an object; default more than half of those who saw the image.
        skip: names of images to leave out.
    """
    records = []
    for shared in annotators.images:
        if shared.name in skip:
            continue
        k, index = next((k, index) for k, index in enumerate(shared.indices) if index is not None)
        record = annotators.datasets[k].records[index]
        path = annotators.image(shared) or record.path
        records.append(replace(record, path=path, annotation=shared, groups=dict(record.groups)))
    if len({record.image_id for record in records}) < len(records):
        records = [replace(record, image_id=number) for number, record in enumerate(records, 1)]
    decode = partial(_decode, annotators, method, threshold, least)
    source = annotators.datasets[0].source
    return Dataset(tuple(records), annotators.classes, decode, f"consensus ({method})", source)


def _decode(
    annotators: Annotators, method: Method, threshold: float, least: int | None, record: Record, classes: Any
) -> tuple[Instances, tuple[str, ...]]:
    seen = [own for own in annotators.annotations(record.annotation) if own is not None]
    found = consensus(seen, method, threshold, least).instances
    return found.replace(scores=None), ()  # truth has no scores

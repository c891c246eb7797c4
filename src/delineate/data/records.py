"""A dataset as a sequence of samples, read when they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, overload

from numpy.typing import NDArray

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic
from delineate.core.polygons import Polygon
from delineate.core.semantic import Semantic
from delineate.core.stuff import whole

from .images import read

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Folder and file names that mean a split, and the one word for each."""


@dataclass(frozen=True)
class Sample:
    """One image and its truth.

    Attributes:
        image: (H, W) or (H, W, C) uint8, uint16 or float32, upright, as
            :func:`delineate.data.images.read` gives.
        truth: its objects, in the image's pixels.
        name: the image's name inside the dataset.
        path: where the image lies.
        image_id: the dataset's own number for it.
        notes: what was converted or is in doubt in this image or its annotation.
    """

    image: NDArray[Any]
    truth: Instances
    name: str
    path: Path
    image_id: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """What is kept of a sample until it is read.

    Attributes:
        name: the image's name inside the dataset.
        path: where the image lies.
        image_id: the dataset's own number for it.
        size: (height, width) where the dataset says it, else None.
        annotation: what the format's ``decode`` needs.
        groups: further columns, such as split and modality.
    """

    name: str
    path: Path
    image_id: int
    size: tuple[int, int] | None
    annotation: Any
    groups: Mapping[str, str] = field(default_factory=dict)


Decode = Callable[[Record, Labels], tuple[Instances, tuple[str, ...]]]
Drawn = Sequence[Sequence[Polygon] | None]
Outlined = Callable[[Record, Labels], Drawn]
Segmented = Callable[[Record, Labels], Panoptic | Semantic]


@dataclass(frozen=True, eq=False)
class Dataset(Sequence[Sample]):
    """Images with their truth; images and masks are decoded when a sample is asked for, and not kept.

    Attributes:
        records: one per image.
        classes: the class names and the dataset's own ids.
        decode: makes the truth of a record; a module-level function, so that the dataset can be pickled.
        format: ``COCO`` or ``label images``.
        source: the file or folder it was read from.
        notes: what was corrected, left out or is in doubt, one phrase each.
        channels: which channels of the images to read; None reads grey or RGB.
        segments: makes all segments, or the classes of all pixels, of a record; None where the format has
            objects alone.
        outlines: gives the polygons as somebody drew them, for each object of a record its parts, or None
            where it was not drawn as polygons; None where the format has none at all.

    Example:
        >>> data = open_dataset("dsb2018", split="val")  # doctest: +SKIP
        >>> data[0].image.shape, len(data[0].truth), data.groups["modality"][0]  # doctest: +SKIP
        ((256, 320, 3), 70, 'purple_on_white')
    """

    records: tuple[Record, ...]
    classes: Labels
    decode: Decode
    format: str
    source: Path
    notes: tuple[str, ...] = ()
    channels: tuple[int, ...] | None = None
    segments: Segmented | None = None
    outlines: Outlined | None = None

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Sample | Dataset:
        """Reads one sample, or cuts out a part of the dataset by a slice.

        Raises:
            InputError: the image cannot be read.
            DatasetError: image and annotation are not of one size.
        """
        if isinstance(index, slice):
            return replace(self, records=self.records[index])
        record = self.records[index]
        image = read(record.path, channels=self.channels)
        truth, notes = self.decode(record, self.classes)
        if truth.size != image.size:
            raise DatasetError(
                f"{record.path}: expected an image of {truth.size} pixels (height, width) as its annotation "
                f"says, got {image.size}; masks would be displaced: correct the annotation or the image"
                + (" (was it drawn without the EXIF rotation?)" if truth.size == image.size[::-1] else "")
            )
        return Sample(image.pixels, truth, record.name, record.path, record.image_id, (*image.notes, *notes))

    def __iter__(self) -> Iterator[Sample]:
        for index in range(len(self)):
            yield self[index]

    def truth(self, index: int) -> Instances:
        """The objects of image ``index``, without decoding the image.

        Raises:
            DatasetError: the annotation cannot be read.
        """
        return self.decode(self.records[index], self.classes)[0]

    def drawn(self, index: int) -> Drawn:
        """The polygons of image ``index`` as they were drawn, one entry for each object of ``truth(index)``.

        Returns:
            For each object its parts, or None where it was not drawn as polygons (a mask, a box).

        Raises:
            DatasetError: the annotation cannot be read.
        """
        if self.outlines is None:
            return [None] * len(self.truth(index))
        return self.outlines(self.records[index], self.classes)

    def polygons(self, index: int, truth: Instances) -> list[list[Polygon]]:
        """The outlines of ``truth``, the objects of image ``index``: as drawn, else traced along the pixels.

        Raises:
            DatasetError: boxes without masks.
        """
        drawn = self.drawn(index) if self.outlines is not None else [None] * len(truth)
        if all(parts is not None for parts in drawn):
            return [list(parts) for parts in drawn if parts is not None]
        if truth.masks is None:
            raise DatasetError(
                f"{self.records[index].name}: expected masks, got boxes alone; leave those objects out"
            )
        missing = [i for i, parts in enumerate(drawn) if parts is None]
        traced = dict(zip(missing, truth.masks[missing].to_polygons(), strict=True))
        return [traced[i] if parts is None else list(parts) for i, parts in enumerate(drawn)]

    def panoptic(self, index: int) -> Panoptic:
        """All segments of image ``index``, things and stuff, without decoding the image.

        Raises:
            DatasetError: the format has no segments, or the annotation cannot be read.
        """
        found = self._segmented(index)
        if isinstance(found, Semantic):
            raise DatasetError(
                f"{self.source}: expected segments, got {self.format}, which has classes of pixels alone; "
                "give a COCO panoptic file"
            )
        return found

    def semantic(self, index: int) -> Semantic:
        """The class of every pixel of image ``index``, without decoding the image.

        Raises:
            DatasetError: the format does not say it, or the annotation cannot be read.
        """
        found = self._segmented(index)
        return found if isinstance(found, Semantic) else found.to_semantic()

    def whole(self) -> Dataset:
        """The same images whose truth has stuff too: each class of it in an image is one more object.

        Raises:
            DatasetError: the format has objects alone.
        """
        if self.segments is None:
            raise self._objects_alone()
        return replace(self, decode=partial(_whole, self.segments))

    def _segmented(self, index: int) -> Panoptic | Semantic:
        if self.segments is None:
            raise self._objects_alone()
        return self.segments(self.records[index], self.classes)

    def _objects_alone(self) -> DatasetError:
        return DatasetError(
            f"{self.source}: expected things and stuff of every pixel, got {self.format}, which has "
            "objects alone; give COCO panoptic, Cityscapes or ADE20K"
        )

    @property
    def names(self) -> list[str]:
        """The images' names, one per image."""
        return [record.name for record in self.records]

    @property
    def image_ids(self) -> list[int]:
        """The dataset's own numbers of the images."""
        return [record.image_id for record in self.records]

    @property
    def groups(self) -> dict[str, list[str]]:
        """Further columns, one value per image (empty where an image has none): split, modality, …"""
        columns = dict.fromkeys(column for record in self.records for column in record.groups)
        return {column: [record.groups.get(column, "") for record in self.records] for column in columns}

    def subset(self, indices: Sequence[int]) -> Dataset:
        """The dataset of these images, in this order."""
        return replace(self, records=tuple(self.records[i] for i in indices))

    def select(self, **groups: str | Sequence[str]) -> Dataset:
        """The images whose columns have these values: ``select(split="val", modality="brightfield")``.

        Raises:
            DatasetError: no such column or no image with such a value; the message lists what there is.
        """
        have = self.groups
        keep = list(range(len(self)))
        for column, wanted in groups.items():
            if column not in have:
                raise DatasetError(
                    f"{self.source}: expected a column {column!r}, got {sorted(have) or 'no columns'}; "
                    "choose one of them"
                )
            values = {wanted} if isinstance(wanted, str) else set(wanted)
            if column == "split":
                values = {SPLIT_NAMES.get(v.lower(), v) for v in values}
            keep = [i for i in keep if have[column][i] in values]
            if not keep:
                raise DatasetError(
                    f"{self.source}: expected images with {column} {sorted(values)}, got only "
                    f"{sorted(set(have[column]))}; choose one of them"
                )
        return self.subset(keep)

    def describe(self) -> str:
        """One line: where from, which format, how many images of each split, which classes."""
        splits = Counter(name or "unassigned" for name in self.groups.get("split", ()))
        parts = f" ({', '.join(f'{n} {name}' for name, n in splits.items())})" if splits else ""
        shown = ", ".join(self.classes.names[:5]) + (", …" if len(self.classes) > 5 else "")
        classes = f"{len(self.classes)} class{'es' if len(self.classes) != 1 else ''}"
        return f"{self.source}: {self.format}, {len(self)} images{parts}, {classes} ({shown})"

    def __repr__(self) -> str:
        return f"Dataset({self.describe()})"


def _whole(segments: Segmented, record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    return whole(segments(record, classes)), ()


def concatenate(parts: Sequence[Dataset], source: Path) -> Dataset:
    """One dataset of several with the same classes; an image number that repeats is given anew.

    Raises:
        DatasetError: the parts differ in format or classes.
    """
    first = parts[0]
    for part in parts[1:]:
        if part.classes != first.classes or part.format != first.format:
            raise DatasetError(
                f"{source}: expected one format and one list of classes in all splits, got "
                f"{first.describe()!r} and {part.describe()!r}; open one split at a time"
            )
    records = [record for part in parts for record in part.records]
    notes = [note for part in parts for note in part.notes]
    taken = {record.image_id for record in records}
    if len(taken) < len(records):
        free = max(taken) + 1
        met: set[int] = set()
        for place, record in enumerate(records):
            if record.image_id in met:
                records[place] = replace(record, image_id=free)
                free += 1
            met.add(record.image_id)
        anew = free - max(taken) - 1
        notes.append(
            f"{anew} image ids repeat between splits and were given anew; open one split to keep them"
        )
    return replace(first, records=tuple(records), notes=tuple(dict.fromkeys(notes)), source=source)

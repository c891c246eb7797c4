"""What is measured: label images and stacks, datasets, results, or what a model finds in images."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError, InputError
from delineate.core.instances import Instances
from delineate.data.dataset import open_dataset
from delineate.data.find import find
from delineate.data.formats.label_image import read_ids
from delineate.data.images import ImageFile, read
from delineate.data.known_formats import guess
from delineate.data.records import Dataset, Record
from delineate.data.sniff import SLIDES, SUFFIXES, is_zarr

from .measure import labelled
from .measure_large_files import LargeLabels, large_labels
from .measure_scale import Scale, scale_of, voxel_scale
from .measure_stack import page_axes, read_image_stack, read_label_page, read_label_stack
from .result_folders import LABEL_ENDINGS
from .stored import ImageEntry

NUMBERED = ("label images", "StarDist", "Cellpose", "Cell Tracking Challenge")
"""Formats whose objects' ids are the numbers in their label images."""

log = logging.getLogger(__name__)
NO_SCALE = Scale()
Predict = Callable[[NDArray[Any]], Instances]


@dataclass(frozen=True, eq=False)
class Found:
    """The objects of one image, ready to measure.

    Attributes:
        objects: of an image; None for a stack.
        ids: (N,) the objects' numbers in their label image; None: 1..N.
        image: its pixels, or None.
        scale: what a pixel measures.
        stack: (Z, Y, X) labels, or None.
        notes: what is in doubt, one phrase each.
        large: in place of all these, files that are measured by windows.
    """

    objects: Instances | None
    ids: NDArray[np.int64] | None = None
    image: NDArray[Any] | None = None
    scale: Scale = NO_SCALE
    stack: NDArray[Any] | None = None
    notes: tuple[str, ...] = ()
    large: LargeLabels | None = None


@dataclass(frozen=True, eq=False)
class Item:
    """One image to measure.

    Attributes:
        name: what it is called, its own in this run.
        look: reads (or finds) its objects.
        files: what it is read from; when these change, it is measured again.
        groups: further columns, such as split and modality.
        file: what files about it are called, without ending; its own in this run, whatever the case.
        pictured: whether there is an image, so that brightness can be measured.
    """

    name: str
    look: Callable[[], Found]
    files: tuple[Path, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    file: str = ""
    pictured: bool = True

    @property
    def stamp(self) -> str:
        """Sizes and times of its files."""
        stats = [file.stat() for file in self.files if file.exists()]
        return " ".join(f"{s.st_size}-{s.st_mtime_ns}" for s in stats)


@dataclass(frozen=True)
class Choice:
    """How sources are read.

    Attributes:
        images: folder of the images, where they do not lie beside the labels.
        split: of a dataset, only this one.
        channels: of the images, as :func:`delineate.data.images.read` takes them.
        with_images: read the images at all.
        slices: multi-page label TIFFs are stacks; else each page is an image.
    """

    images: Path | None = None
    split: str | None = None
    channels: tuple[int, ...] | None = None
    with_images: bool = True
    slices: bool = True


def items_of(inputs: Sequence[str], choice: Choice) -> list[Item]:
    """The images that label files, folders, datasets and patterns stand for.

    Raises:
        InputError: an input is nothing of these; the message names it.
    """
    items: list[Item] = []
    for given in inputs:
        data = dataset_of(given, choice)
        items += dataset_items(data, choice) if data is not None else _label_items(given, choice)
    return own_names(items)


def dataset_of(given: str, choice: Choice) -> Dataset | None:
    """The dataset of this name, without images where they are not there; None for label images.

    Raises:
        DatasetError: nothing that is read.
    """
    path = Path(given)
    if not given.startswith("synthetic:"):
        if not path.exists() or path.suffix.lower() in SUFFIXES or is_zarr(path):
            return None
        if path.is_dir() and guess(path) is None and any(_pictures(path)):
            return None
        if path.suffix.lower() == ".json" and path.read_bytes()[:64].lstrip().startswith(b"["):
            raise DatasetError(
                f"{given}: expected labels, got a list of results; name the dataset that they are about: "
                "--data DATASET"
            )
    try:
        data = open_dataset(given, split=choice.split, images=choice.images, channels=choice.channels)
    except DatasetError as error:
        if choice.images is not None:
            raise
        try:  # labels alone can be measured too
            data = open_dataset(given, split=choice.split, images=False)
        except DatasetError:
            raise error from None
    for note in data.notes:
        log.warning("%s: %s", given, note)
    return data


def _pictures(folder: Path) -> Iterator[Path]:
    return (
        p
        for p in folder.iterdir()
        if p.name[0] != "." and (p.suffix.lower() in (*SUFFIXES, ".svs", *SLIDES) or is_zarr(p))
    )


def dataset_items(
    data: Dataset,
    choice: Choice,
    objects: Callable[[ImageEntry], Instances] | None = None,
    predict: Predict | None = None,
) -> list[Item]:
    """One item for each image of a dataset.

    Args:
        data: the dataset.
        choice: how images are read.
        objects: gives predictions for an image in place of the dataset's own objects.
        predict: finds objects in an image's pixels, in place of either.
    """

    def item(index: int, record: Record) -> Item:
        def look() -> Found:
            image = None
            if predict is not None and not record.path.is_file():
                raise DatasetError(
                    f"{data.source}: expected the image {record.name} to find objects in, got no such file; "
                    "name its folder"
                )
            if predict is not None or (choice.with_images and record.path.is_file()):
                image = read(record.path, channels=data.channels)
            if predict is not None and image is not None:
                found = predict(image.pixels)
            elif objects is not None:
                size = record.size or (image.size if image is not None else data.truth(index).size)
                found = objects(ImageEntry(record.image_id, record.name, size))
            else:
                found = data.truth(index)
            _check_size(record.name, found.size, image)
            numbered = objects is None and predict is None and data.format in NUMBERED
            return Found(
                found.replace(ids=None) if numbered else found,
                found.ids if numbered else None,
                None if image is None else image.pixels,
                scale_of(record.path, None if image is None else image.pixel_size),
                notes=() if image is None else image.notes,
            )

        files = (
            record.path,
            *([record.annotation] if isinstance(record.annotation, Path) else [data.source]),
        )
        pictured = predict is not None or (choice.with_images and record.path.is_file())
        return Item(record.name, look, files, dict(record.groups), pictured=pictured)

    return own_names([item(index, record) for index, record in enumerate(data.records)])


def result_items(path: str, data: Dataset, choice: Choice) -> list[Item]:
    """Results of any tool for a dataset's images, as `delineate evaluate` reads them.

    Raises:
        InputError: malformed, or about other images.
    """
    from delineate.data.images import read_size

    from .predictions import read_predictions

    entries = [ImageEntry(r.image_id, r.name, r.size or read_size(r.path)) for r in data.records]
    found = read_predictions(path, entries, data.classes)
    return dataset_items(data, choice, found.instances)


def _label_items(given: str, choice: Choice) -> list[Item]:
    files = find([given])
    pictures = _by_stem(choice.images) if choice.images is not None and choice.with_images else {}
    single = choice.images if choice.images is not None and _is_picture(choice.images) else None
    if single is not None and len(files) > 1:
        raise InputError(f"--images {single}: expected a folder for {len(files)} label images, got a file")
    items: list[Item] = []
    for path in files:
        picture = single or _picture_of(path, pictures)
        if pictures and picture is None:
            raise InputError(
                f"{path}: expected an image of this name in {choice.images}, got none; name label images as "
                "their images, or leave --images out"
            )
        count, slices = page_axes(path, labels=True)
        if slices and choice.slices:
            items.append(_stack_item(path, picture, choice))
        elif count > 1:
            items += [_label_item(path, picture, choice, page) for page in range(count)]
        else:
            items.append(_label_item(path, picture, choice))
    return items


def _label_item(path: Path, picture: Path | None, choice: Choice, page: int | None = None) -> Item:
    def look() -> Found:
        found = large_labels(path, picture, page, choice.channels)
        if found is not None:
            return Found(None, scale=found.scale, notes=found.notes, large=found)
        return measured_whole()

    def measured_whole() -> Found:
        labels = read_ids(path) if page is None else read_label_page(path, page)
        found, ids = labelled(labels)
        image = None if picture is None else read(picture, channels=choice.channels, page=page)
        _check_size(str(path), found.size, image)
        scale = Scale() if picture is None else scale_of(picture, image.pixel_size if image else None)
        scale = scale if scale.size is not None else scale_of(path)
        pixels, notes = (None, ()) if image is None else (image.pixels, image.notes)
        return Found(found, ids, pixels, scale, notes=notes)

    name = path.name if page is None else f"{path.name} page {page}"
    return Item(name, look, (path,) if picture is None else (path, picture), pictured=picture is not None)


def _stack_item(path: Path, picture: Path | None, choice: Choice) -> Item:
    files = (path,) if picture is None else (path, picture)
    return Item(path.name, lambda: _stack(path, picture, choice), files, pictured=picture is not None)


def _stack(path: Path, picture: Path | None, choice: Choice) -> Found:
    stack = read_label_stack(path)
    image = None if picture is None else read_image_stack(picture, choice.channels)
    if image is not None and image.shape[:3] != stack.shape:
        raise InputError(
            f"{path}: expected an image stack of {stack.shape} (slices, rows, columns), got "
            f"{image.shape[:3]} in {picture}; give the stack that was segmented"
        )
    scale = voxel_scale(picture) if picture is not None else Scale()
    return Found(None, None, image, scale if scale.size is not None else voxel_scale(path), stack)


def model_items(inputs: Sequence[str], predict: Predict, choice: Choice) -> list[Item]:
    """What a model finds in the images that files, folders, patterns and datasets stand for, page by page.

    Raises:
        InputError: an input matches nothing.
    """

    def item(path: Path, page: int | None) -> Item:
        def look() -> Found:
            image = read(path, channels=choice.channels, page=page)
            scale = scale_of(path, image.pixel_size)
            return Found(predict(image.pixels), None, image.pixels, scale, notes=image.notes)

        return Item(path.name if page is None else f"{path.name} page {page}", look, (path,))

    items: list[Item] = []
    for given in inputs:
        data = dataset_of(given, choice)
        if data is not None:
            items += dataset_items(data, choice, predict=predict)
            continue
        for path in find([given]):
            count, _ = page_axes(path)
            items += [item(path, None)] if count < 2 else [item(path, page) for page in range(count)]
    return own_names(items)


def _check_size(where: str, size: tuple[int, int], image: ImageFile | None) -> None:
    if image is not None and image.size != size:
        raise InputError(
            f"{where}: expected an image of {size} pixels (height, width) as the labels, got {image.size}; "
            "give the image that was segmented"
        )


def _by_stem(folder: Path) -> dict[str, Path]:
    if _is_picture(folder):
        return {_stem(folder): folder}
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder with images, got none there; check the spelling")
    return {_stem(path): path for path in sorted(_pictures(folder))}


def _is_picture(path: Path) -> bool:
    return path.is_file() or is_zarr(path)


def _stem(path: Path) -> str:
    """The name without ``.png``, ``.ome.tif``, ``.ome.zarr`` and the like."""
    return path.stem.removesuffix(".ome")


def _picture_of(path: Path, pictures: Mapping[str, Path]) -> Path | None:
    stem = _stem(path)
    for ending in sorted(LABEL_ENDINGS, key=len, reverse=True):
        if stem.endswith(ending) and stem.removesuffix(ending) in pictures:
            return pictures[stem.removesuffix(ending)]
    return None


def own_names(items: Sequence[Item]) -> list[Item]:
    """Names that repeat are told apart by the folder of their file, else by a number; files likewise."""
    often = Counter(item.name for item in items)
    parents = [f"{item.files[0].parent.name}/{item.name}" if item.files else item.name for item in items]
    named = [item.name if often[item.name] == 1 else p for item, p in zip(items, parents, strict=True)]
    met: Counter[str] = Counter()
    taken: set[str] = set()
    result = []
    for item, name in zip(items, named, strict=True):
        met[name] += 1
        unique = name if met[name] == 1 else f"{name} ({met[name]})"
        bare = unique[: -len(Path(unique).suffix)] if unique.lower().endswith(SUFFIXES) else unique
        stem = base = "".join(c if c.isalnum() or c in "-_." else "_" for c in bare)
        number = 1
        while stem.casefold() in taken:
            number += 1
            stem = f"{base}-{number}"
        taken.add(stem.casefold())
        result.append(replace(item, name=unique, file=stem))
    return result

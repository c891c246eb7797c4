"""Writing label images: ``images/``, ``labels/``, ``split.csv``; StarDist and Cellpose use parts of it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances

from ..losses import Losses
from ..painted import paint
from ..place import Place, stems
from ..records import Dataset, Record, Sample
from ..write import atomic, write_label_tiff, write_png

LARGEST = 2**16 - 1
"""Objects keep ids up to this one; larger ones are numbered anew, unless they are tracks."""


def write(
    folder: str | Path,
    samples: Dataset | Iterable[Sample],
    losses: Losses | None = None,
    place: Place | None = None,
    *,
    groups: dict[str, list[str]] | None = None,
) -> Path:
    """Writes ``images/``, ``labels/`` (TIFF) and ``split.csv``; a pixel belongs to one object alone.

    Args:
        folder: made if it is missing.
        samples: a dataset or samples.
        losses: where to count what label images cannot hold.
        place: puts the images; None writes their pixels as PNG, or TIFF for float and many channels.
        groups: columns for ``split.csv``, one value per sample; default those of the dataset.

    Raises:
        DatasetError: a sample without masks, or two of one name.
    """
    folder = Path(folder)
    if isinstance(samples, Dataset) and place is not None:
        names = stems(samples.records)
        files = [folder / "labels" / f"{stem}.tif" for stem in names]
        pictures = [
            folder / "images" / f"{n}{r.path.suffix}" for n, r in zip(names, samples.records, strict=True)
        ]
        write_files(samples, files, pictures, Losses() if losses is None else losses, place)
        _write_columns(folder / "split.csv", names, samples.groups)
        return folder
    groups = groups if groups is not None else (samples.groups if isinstance(samples, Dataset) else {})
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    names = []
    for sample in samples:
        stem = Path(sample.name).stem
        if sample.truth.masks is None:
            raise DatasetError(f"{sample.name}: expected masks, got boxes only; label images need masks")
        if stem in names:
            raise DatasetError(f"{sample.name}: expected every name once, got {stem!r} again; rename one")
        _write_image(folder / "images" / stem, sample.image)
        write_label_tiff(folder / "labels" / f"{stem}.tif", sample.truth.masks.to_label_image())
        names.append(stem)
    _write_columns(folder / "split.csv", names, groups)
    return folder


def write_files(
    data: Dataset, files: Sequence[Path], pictures: Sequence[Path], losses: Losses, place: Place
) -> None:
    """Writes a label image of each record, and places its image.

    Args:
        data: what to write.
        files: the label image of each record.
        pictures: where its image goes.
        losses: where to count.
        place: puts the images.
    """
    for index, record in enumerate(data.records):
        truth = count(losses, data.truth(index), record)
        place(record, pictures[index])
        files[index].parent.mkdir(parents=True, exist_ok=True)
        write_label_tiff(files[index], numbered(paint(truth, losses, record.name), truth, record))


def count(losses: Losses, truth: Instances, record: Record) -> Instances:
    """Counts what no label image holds: crowds, scores, and classes where there are several.

    Returns:
        The objects without the crowd regions, which would be taken for objects.
    """
    losses.tally(truth, record.name, "crowd", "scores")
    if len(truth.classes) > 1:
        losses.count("classes", record.name, int((~truth.crowd).sum()))
    return truth[~truth.crowd]


def numbered(painted: NDArray[np.int32], truth: Instances, record: Record) -> NDArray[np.int64]:
    """The picture of objects with their ids: tracks always, others where they are small and distinct."""
    ids = truth.ids
    own = (
        ids is not None
        and len(np.unique(ids)) == len(ids)
        and len(ids) > 0
        and ids.min() > 0
        and ("sequence" in record.groups or int(ids.max()) <= LARGEST)
    )
    table = np.arange(len(truth) + 1) if not own or ids is None else np.concatenate([[0], ids])
    return table[painted]


def _write_columns(path: Path, names: Sequence[str], groups: Mapping[str, list[str]]) -> None:
    if not groups:
        return
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", *groups])
        rows.writerows(zip(names, *groups.values(), strict=True))


def _write_image(path: Path, image: NDArray[Any]) -> None:
    if image.dtype != np.float32 and (image.ndim == 2 or image.shape[2] == 3):
        write_png(path.with_name(path.name + ".png"), image)
        return
    planar = image if image.ndim == 2 else np.moveaxis(image, 2, 0)
    axes = {"axes": "CYX"} if image.ndim == 3 else {"axes": "YX"}
    with atomic(path.with_name(path.name + ".tif")) as temporary:
        tifffile.imwrite(temporary, planar, photometric="minisblack", compression="zlib", metadata=axes)

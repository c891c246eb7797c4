"""Writing COCO panoptic: a JSON file and a folder of pictures of the same name; of splits one of each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from delineate.core.errors import DatasetError
from delineate.core.labels import Labels
from delineate.core.panoptic import LARGEST_ID, Panoptic

from ..losses import Losses
from ..painted import paint
from ..place import Place, safe_name, stems
from ..records import Dataset
from ..write import atomic, write_png
from .coco_write import layout

Segmented = tuple[str, int, Panoptic]
Written = tuple[str, int, Panoptic, str, dict[str, str]]
"""Name, image id, segments, picture and columns."""


def write(
    path: str | Path,
    samples: Dataset | Iterable[Segmented],
    losses: Losses | None = None,
    place: Place | None = None,
) -> Path:
    """Writes COCO panoptic: the JSON file, atomically, and a folder of the same name for the pictures.

    Of data without segments the objects are the segments; a pixel goes to the smallest object that covers it.

    Args:
        path: the JSON file, whose folder must exist; or, of a dataset, a folder: ``annotations.json``,
            ``annotations/``, ``images/``; with several splits ``annotations/panoptic_SPLIT.json`` and so on.
        samples: a dataset, or name, image id and segments of each image.
        losses: where to count what it cannot hold.
        place: puts the images; None leaves them where they are.

    Raises:
        DatasetError: no samples, or samples of different classes.
    """
    path = Path(path)
    if not isinstance(samples, Dataset):
        _write_file(path, ((*sample, f"{Path(sample[0]).stem}.png", {}) for sample in samples), None)
        return path
    counted = losses if losses is not None else Losses()
    for file, part, images in layout(path, samples, "panoptic"):
        _write_file(file, _segmented(part, counted, place, images), part.classes)
    return path


def _segmented(data: Dataset, losses: Losses, place: Place | None, images: Path | None) -> Iterator[Written]:
    for index, (record, stem) in enumerate(zip(data.records, stems(data.records), strict=True)):
        name = safe_name(record.name)
        if place is not None and images is not None:
            place(record, images / name)
        columns = {c: v for c, v in record.groups.items() if c != "split" or images is None}
        yield name, record.image_id, segments_of(data, index, losses), f"{stem}.png", columns


def segments_of(data: Dataset, index: int, losses: Losses) -> Panoptic:
    """All segments of image ``index``; where the data have objects alone, those.

    Args:
        data: the dataset.
        index: of the image.
        losses: counts objects without masks and those that others cover.
    """
    record = data.records[index]
    found = None if data.segments is None else data.segments(record, data.classes)
    if isinstance(found, Panoptic):
        data.truth(index)  # counts the image
        return found
    truth = data.truth(index)
    painted = paint(truth, losses, record.name)
    shown = np.setdiff1d(painted, [0])
    number = np.zeros(len(truth) + 1, np.int32)
    number[shown] = np.arange(1, len(shown) + 1)
    kept = truth[shown - 1]
    ids = kept.ids
    own = (
        ids is not None
        and len(ids)
        and len(np.unique(ids)) == len(ids)
        and 1 <= ids.min() <= ids.max() <= LARGEST_ID
    )
    if not own and "sequence" in record.groups:
        losses.count("tracks", record.name, len(kept))
    return Panoptic(
        number[painted],
        kept.labels,
        scores=kept.scores,
        crowd=kept.crowd,
        ids=ids if own and ids is not None else np.arange(1, len(kept) + 1),
        classes=data.classes,
    )


def _write_file(path: Path, samples: Iterable[Written], classes: Labels | None) -> None:
    rows: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    for name, image_id, found, picture, columns in samples:
        classes = classes or found.classes
        if found.classes != classes:
            raise DatasetError(
                f"{path}: expected one list of classes, got another in {name!r}; map them first"
            )
        height, width = found.size
        row: dict[str, Any] = {"id": image_id, "file_name": name, "height": height, "width": width}
        images.append({**row, "columns": columns} if columns else row)
        rows.append(write_picture(path.with_suffix(""), picture, image_id, found))
    if classes is None:
        raise DatasetError(f"{path}: expected at least one sample, got none; give one")
    with atomic(path) as temporary:
        temporary.write_text(
            json.dumps(document(images, rows, classes), ensure_ascii=False), encoding="utf-8"
        )


def write_picture(folder: Path, name: str, image_id: int, found: Panoptic) -> dict[str, Any]:
    """Writes one picture and gives its row of ``annotations``."""
    picture, rows = found.to_coco()
    folder.mkdir(parents=True, exist_ok=True)
    write_png(folder / name, picture)
    return {"image_id": image_id, "file_name": name, "segments_info": rows}


def document(images: list[dict[str, Any]], rows: list[dict[str, Any]], classes: Labels) -> dict[str, Any]:
    """The whole of the JSON file."""
    listed = zip(classes.ids, classes.names, classes.things, classes.colors.tolist(), strict=True)
    categories = [{"id": i, "name": n, "isthing": int(t), "color": c} for i, n, t, c in listed]
    return {"images": images, "annotations": rows, "categories": categories}

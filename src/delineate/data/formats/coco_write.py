"""Writing COCO instance annotations: one file, or a folder with images and a file for each split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels

from ..losses import Losses
from ..place import Place, safe_name
from ..records import Dataset, Drawn, Record, Sample
from .coco_document import category_rows, document


def write(
    path: str | Path,
    samples: Dataset | Iterable[Sample],
    losses: Losses | None = None,
    place: Place | None = None,
    *,
    classes: Labels | None = None,
) -> Path:
    """Writes ground truth as COCO JSON, atomically; polygons as they were drawn, else compressed RLE: exact.

    Tracks are written as ``track_id``, with ``videos`` and ``video_id``, ``frame_id`` of the images. Further
    columns of an image, such as its split, stand in ``columns``, which other tools leave alone.

    Args:
        path: the JSON file, whose folder must exist; or, of a dataset, a folder: ``annotations.json`` and
            ``images/``, with several splits ``annotations/instances_SPLIT.json`` and ``images/SPLIT/``.
        samples: a dataset (its images are not decoded) or samples.
        losses: where to count what COCO cannot hold.
        place: puts the images; None leaves them where they are.
        classes: the categories; default those of the dataset or of the first sample.

    Raises:
        DatasetError: no samples, or samples of different classes.
    """
    path = Path(path)
    if not isinstance(samples, Dataset):
        return _write_samples(path, samples, classes)
    for file, part, images in layout(path, samples, "instances"):
        write_part(file, part, losses, place, images)
    return path


def layout(out: Path, data: Dataset, prefix: str) -> Iterator[tuple[Path, Dataset, Path | None]]:
    """The files of a dataset, what goes into each, and the folder of its images.

    Args:
        out: a JSON file, or a folder.
        data: what to write.
        prefix: of the names of several splits' files.
    """
    if out.suffix.lower() == ".json":
        yield out, data, None
        return
    splits = list(dict.fromkeys(data.groups.get("split", ())))
    if not any(splits):
        yield out / "annotations.json", data, out / "images"
        return
    (out / "annotations").mkdir(parents=True, exist_ok=True)
    for split in splits:
        part = data.subset([i for i, r in enumerate(data.records) if r.groups.get("split", "") == split])
        name = safe_name(split or "rest").replace("/", "_")
        yield out / "annotations" / f"{prefix}_{name}.json", part, out / "images" / name


def write_part(
    path: Path,
    data: Dataset,
    losses: Losses | None,
    place: Place | None,
    images: Path | None,
) -> None:
    """Writes one JSON file.

    Args:
        path: the file.
        data: what to write.
        losses: where to count.
        place: puts the images.
        images: the folder they are placed in, which tells the split; None places none.
    """
    with document(path) as rows:
        rows.categories = category_rows(data.classes)
        for index, record in enumerate(data.records):
            truth = data.truth(index)
            if losses is not None:
                losses.tally(truth, record.name, "scores")
            name = safe_name(record.name)
            if place is not None and images is not None:
                place(record, images / name)
            height, width = truth.size
            row = {"id": record.image_id, "file_name": name, "height": height, "width": width}
            rows.image(row, record, ("split",) if images is not None else ())
            drawn: Drawn = data.drawn(index) if data.outlines is not None else ()
            rows.annotations(truth, drawn, record.image_id, "sequence" in record.groups)


def _write_samples(path: Path, samples: Iterable[Sample], classes: Labels | None) -> Path:
    with document(path) as rows:
        for sample in samples:
            truth: Instances = sample.truth
            classes = classes or truth.classes
            if truth.classes != classes:
                raise DatasetError(
                    f"{path}: expected one list of classes, got another in {sample.name!r}; "
                    "map the labels first"
                )
            height, width = truth.size
            row = {"id": sample.image_id, "file_name": sample.name, "height": height, "width": width}
            rows.image(row, Record(sample.name, sample.path, sample.image_id, truth.size, None))
            rows.annotations(truth, (), sample.image_id, tracked=False)
        if classes is None:
            raise DatasetError(
                f"{path}: expected at least one sample, got none; give classes to write an empty file"
            )
        rows.categories = category_rows(classes)
    return path

"""Writing COCO instance annotations."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels

from ..losses import Losses
from ..place import Place
from ..records import Dataset, Sample
from ..write import atomic


def write(
    path: str | Path,
    samples: Dataset | Iterable[Sample],
    losses: Losses | None = None,
    place: Place | None = None,
    *,
    classes: Labels | None = None,
) -> Path:
    """Writes ground truth as COCO JSON, atomically; masks as compressed RLE: exact, with holes and parts.

    Args:
        path: the JSON file; its folder must exist.
        samples: a dataset (its images are not decoded) or samples.
        losses: where to count what COCO cannot hold.
        place: puts the images; None leaves them where they are.
        classes: the categories; default those of the dataset or of the first sample.

    Raises:
        DatasetError: no samples, or samples of different classes.
    """
    rows: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": []}
    for name, image_id, truth in _each(samples):
        classes = classes or truth.classes
        if truth.classes != classes:
            raise DatasetError(
                f"{path}: expected one list of classes, got another in {name!r}; map the labels first"
            )
        height, width = truth.size
        rows["images"].append({"id": image_id, "file_name": name, "height": height, "width": width})
        encoded = truth.masks.to_rle() if truth.masks is not None else [None] * len(truth)
        for i, rle in enumerate(encoded):
            x1, y1, x2, y2 = truth.boxes[i].tolist()
            row = {
                "id": len(rows["annotations"]) + 1,
                "image_id": image_id,
                "category_id": classes.id(int(truth.labels[i])),
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": float(truth.area[i]),
                "iscrowd": int(truth.crowd[i]),
            }
            rows["annotations"].append(row if rle is None else {**row, "segmentation": rle})
    if classes is None:
        raise DatasetError(
            f"{path}: expected at least one sample, got none; give classes to write an empty file"
        )
    rows["categories"] = [{"id": i, "name": n} for i, n in zip(classes.ids, classes.names, strict=True)]
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return Path(path)


def _each(samples: Dataset | Iterable[Sample]) -> Iterable[tuple[str, int, Instances]]:
    if isinstance(samples, Dataset):
        return ((r.name, r.image_id, samples.truth(i)) for i, r in enumerate(samples.records))
    return ((s.name, s.image_id, s.truth) for s in samples)

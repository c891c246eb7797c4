"""COCO results files: a list of scored boxes, polygons or RLE, which belong to the images of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from delineate.core.errors import DatasetError, MaskError
from delineate.core.instances import Instances
from delineate.core.masks import Masks

from ..images import read_size
from ..records import Dataset, Record
from . import coco_check as check
from .coco_check import Bad, Findings
from .coco_truth import Annotation, decode
from .json_file import load_json, show


def read_results(path: str | Path, dataset: Dataset, skip_invalid: bool = False) -> list[Instances]:
    """Predictions of a results file, one :class:`Instances` per image of ``dataset``, in its order.

    Args:
        path: a JSON list of ``image_id, category_id, score`` with ``segmentation`` or ``bbox``, or both.
            A ``bbox`` that is there is kept as it is, else it is the mask's.
        dataset: the ground truth whose image and class ids the file uses.
        skip_invalid: leave malformed entries out instead of refusing.

    Raises:
        DatasetError: not a results file, an unknown image or class, a score that is not a number in 0..1, a
            malformed mask; the message has the JSON path.
    """
    path = Path(path)
    rows = load_json(path)
    if not isinstance(rows, list):
        raise DatasetError(f"{path}: expected a results file (a list), got {show(rows)}; give predictions")
    findings = Findings(path)
    index_of = {identity: index for index, identity in enumerate(dataset.classes.ids)}
    records = {record.image_id: record for record in dataset.records}
    found: dict[int, list[tuple[Annotation, float]]] = {image_id: [] for image_id in records}
    masked = [isinstance(row, dict) and row.get("segmentation") is not None for row in rows]
    if any(masked) and not all(masked):
        findings.problems.append(
            f"[{masked.index(False)}].segmentation: expected masks in all entries or in none, got none here"
        )
    for index, row in enumerate(rows):
        try:
            image_id, annotation, score = _entry(index, row, index_of, any(masked), findings)
            if image_id not in records:
                raise Bad(
                    f"[{index}].image_id: expected the id of an image of {dataset.source}, got {image_id}"
                )
        except Bad as bad:
            findings.problems.append(str(bad))
            continue
        found[image_id].append((annotation, score))
    results = [_instances(record, found[record.image_id], dataset, findings) for record in dataset.records]
    findings.settle(skip_invalid)
    return results


def _entry(
    index: int, row: Any, index_of: dict[int, int], masked: bool, findings: Findings
) -> tuple[int, Annotation, float]:
    where = f"[{index}]"
    if not isinstance(row, dict):
        raise Bad(f"{where}: expected an object, got {show(row)}")
    category = check.number(row, "category_id", where)
    if category not in index_of:
        raise Bad(f"{where}.category_id: expected the id of one of the categories, got {category}")
    score = row.get("score")
    if not check.finite(score) or not 0 <= score <= 1:  # type: ignore[operator]
        raise Bad(f"{where}.score: expected a number in 0..1, got {show(score)}")
    segmentation = row.get("segmentation") if masked else None
    if isinstance(segmentation, list):
        check.polygons(segmentation, f"{where}.segmentation", findings)
    elif masked and not isinstance(segmentation, dict):
        raise Bad(f"{where}.segmentation: expected polygons or an RLE object, got {show(segmentation)}")
    box = _box(row, where)
    if box is None and not masked:
        raise Bad(f"{where}: expected a segmentation or a bbox, got neither")
    annotation = Annotation(index, 0, index_of[category], False, box, None, segmentation)
    return check.number(row, "image_id", where), annotation, float(score)  # type: ignore[arg-type]


def _box(row: dict[str, Any], where: str) -> tuple[float, float, float, float] | None:
    """As for ground truth, but a predicted box may be empty."""
    value = row.get("bbox")
    if isinstance(value, list) and len(value) == 4 and all(map(check.finite, value)) and min(value[2:]) == 0:
        x, y, width, height = map(float, value)
        return x, y, x + width, y + height
    return check.bbox(row, where)


def _instances(
    record: Record, found: list[tuple[Annotation, float]], dataset: Dataset, findings: Findings
) -> Instances:
    size = record.size or read_size(record.path)
    kept = []
    for annotation, score in found:
        try:
            if isinstance(annotation.segmentation, dict):
                Masks.from_rle([annotation.segmentation], size, [f"[{annotation.index}].segmentation"])
        except MaskError as error:
            findings.problems.append(str(error).split("; ")[0])
            continue
        kept.append((annotation, score))
    sized = Record(record.name, record.path, record.image_id, size, [a for a, _ in kept], record.groups)
    predicted, _ = decode(sized, dataset.classes)
    return predicted.replace(scores=np.array([s for _, s in kept], np.float32), ids=None, areas=None)

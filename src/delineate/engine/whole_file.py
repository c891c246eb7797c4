"""COCO's AP of a whole results file at once, from its checked columns.

Image by image, every result would pass through Python as a dict of its own; here hotcoco takes columns, and
the run lengths of those results alone that some true object can match. Truth is given as the dataset holds
it, mended and cut to the split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import hotcoco
import numpy as np
from numpy.typing import NDArray

from delineate.core.labels import Labels
from delineate.data.formats.coco_results_table import ResultsTable
from delineate.data.formats.coco_truth import decode
from delineate.data.formats.json_file import without_collection
from delineate.data.records import Dataset, Record
from delineate.metrics.average_precision import AveragePrecision
from delineate.metrics.average_precision_report import ClassTally

from .coco_plain_results import PlainCocoPredictions
from .evaluation_inputs import Truth
from .metric_registry import Part

LARGEST_ID = 2**31
"""Of an image or a category: two of them fit one number, and each is exact as float64."""


def score_at_once(
    truth: Truth, predictor: Any, parts: Sequence[Part], given: Mapping[str, Any]
) -> dict[str, AveragePrecision]:
    """The metrics that could be computed of whole files, by the name of their part.

    Args:
        truth: the dataset; it must be COCO instances, scored in one group.
        predictor: who predicts; only a plain COCO results file is taken at once.
        parts: what is asked for.
        given: the settings of the evaluation that metrics may want.
    """
    data = truth.samples
    chosen = [part for part in parts if part.factory.endswith(":AveragePrecision")]
    able = isinstance(predictor, PlainCocoPredictions) and predictor.table.masked and bool(chosen)
    if not able or not isinstance(data, Dataset) or data.decode is not decode or any(truth.groups):
        return {}
    if any(r.size is None or any(a.segmentation is None for a in r.annotation) for r in data.records):
        return {}
    metrics: dict[str, Any] = {part.name: part.make(given) for part in chosen}
    done = score_whole_file(data, predictor.table, list(metrics.values()))
    return metrics if done else {}


@without_collection()
def score_whole_file(dataset: Dataset, table: ResultsTable, metrics: Sequence[AveragePrecision]) -> bool:
    """Score a results file in fresh metrics.

    Args:
        dataset: the truth, a COCO dataset whose every image has its size.
        table: the columns of the results, all about images of ``dataset``, with the run lengths of all that
            some true object can match.
        metrics: of boxes, of masks or both, all of ``dataset``'s classes.

    Returns:
        Whether it was possible; False leaves the metrics as they were: there is nothing on one side, or
        ids are too large to be joined.
    """
    rows = [row for record in dataset.records for row in _rows(record, dataset.classes)]
    if not rows or not len(table) or max(table.images.max(), table.categories.max()) >= LARGEST_ID:
        return False
    for number, row in enumerate(rows, 1):  # an id of 0 would count as unmatched in the protocol's code
        row["id"] = number
    images = [{"id": r.image_id, "height": r.size[0], "width": r.size[1]} for r in dataset.records if r.size]
    categories = [
        {"id": i, "name": n} for i, n in zip(dataset.classes.ids, dataset.classes.names, strict=True)
    ]
    truth = hotcoco.COCO({"images": images, "annotations": rows, "categories": categories})
    found = truth.load_res(
        np.column_stack([table.images, table.boxes, table.scores, table.categories]),
        segmentation=_segmentations(table, images) if table.masked else None,
    )
    tally = _tally(rows, table, dataset.classes, metrics[0].max_dets[-1])
    ids = [image["id"] for image in images]
    for metric in sorted(metrics, key=_by_mask):  # hotcoco takes areas from boxes until it is told others
        if _by_mask(metric):
            found.update_anns(ids=np.arange(1, len(table) + 1), area=table.areas)
        metric.update_whole(truth, found, ids, tally)
    return True


def _by_mask(metric: AveragePrecision) -> bool:
    """Whether the area of its mask puts a detection into its size class."""
    return metric.kind == "mask" and metric.detection_area == "mask"


def _segmentations(table: ResultsTable, images: Sequence[dict[str, Any]]) -> list[Any]:
    """One per result: the run lengths where a true object of its class is in its image, else none at all.

    No mask is compared with any but these; of the others the area is all that counts, and that is known.
    """
    nothing = {i["id"]: {"size": [i["height"], i["width"]], "counts": ""} for i in images}
    result = [nothing[image] for image in table.images.tolist()]
    for index, text in zip(table.kept.tolist(), table.counts, strict=True):
        result[index] = {"size": result[index]["size"], "counts": text}
    return result


def _rows(record: Record, classes: Labels) -> list[dict[str, Any]]:
    """One image's annotations as COCO has them; what the file lacks is the masks' own."""
    rows: list[dict[str, Any]] = [
        {
            "image_id": record.image_id,
            "category_id": classes.ids[a.label],
            "iscrowd": int(a.crowd),
            "area": a.area,
            "bbox": a.box and [a.box[0], a.box[1], a.box[2] - a.box[0], a.box[3] - a.box[1]],
            "segmentation": a.segmentation,
        }
        for a in record.annotation
    ]
    if any(row["area"] is None or row["bbox"] is None for row in rows):
        own, _ = decode(record, classes)
        boxes = own.boxes.astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        for row, area, box in zip(rows, own.area.tolist(), boxes.tolist(), strict=True):
            row["area"] = area if row["area"] is None else row["area"]
            row["bbox"] = box if row["bbox"] is None else row["bbox"]
    return rows


def _tally(rows: Sequence[dict[str, Any]], table: ResultsTable, classes: Labels, max_det: int) -> ClassTally:
    """How many objects there are; results of other classes are not counted."""
    order = np.argsort(classes.ids)
    ids = np.array(classes.ids, np.int64)[order]
    count = len(ids)

    def label(categories: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        at = np.minimum(np.searchsorted(ids, categories), count - 1)
        return order[at], ids[at] == categories

    truth, _ = label(np.array([row["category_id"] for row in rows], np.int64))
    crowd = np.array([row["iscrowd"] for row in rows], np.bool_)
    found, known = label(table.categories)
    found = found[known]
    _, image = np.unique(table.images[known], return_inverse=True)
    each, number = np.unique(image * count + found, return_counts=True)  # of an image and a class
    beyond = np.maximum(number - max_det, 0)
    return ClassTally(
        truths=np.bincount(truth[~crowd], minlength=count),
        crowds=np.bincount(truth[crowd], minlength=count),
        detections=np.bincount(found, minlength=count),
        beyond=np.bincount(each % count, beyond, minlength=count).astype(np.int64),
        beyond_images=len(np.unique(each[beyond > 0] // count)),
    )

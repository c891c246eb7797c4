"""A COCO results file that is as most are: its columns at once, its entries when they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from delineate.core.convert.coco import from_coco
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.formats.coco_results_table import ResultsTable, Row, read_table, rows

from .coco_results import about_foreign
from .stored import ImageEntry, Predictions


class PlainCocoPredictions(Predictions):
    """A results file of run lengths or boxes alone, whose columns were checked; its entries are read when
    they are asked for.

    Attributes:
        table: the columns.
    """

    table: ResultsTable

    def __init__(self, source: Path, classes: Labels, table: ResultsTable, notes: Sequence[str]) -> None:
        super().__init__(source, classes, notes, f"COCO results: {len(table)} entries")
        self.table = table
        self._rows: dict[int, list[Row]] | None = None

    def instances(self, image: ImageEntry) -> Instances:
        """The objects predicted on ``image``; none where the file has none."""
        return self.surest(image, 0.0)

    def surest(self, image: ImageEntry, least: float) -> Instances:
        """Those whose score, in the single precision of :class:`Instances`, is at least ``least``."""
        found = self._records(image)
        if self.table.masked:  # boxes alone are all told, so that it is noticed
            enough = np.array([record["score"] for record in found], np.float32) >= np.float32(least)
            found = [record for record, kept in zip(found, enough.tolist(), strict=True) if kept]
        return (
            from_coco(found, image.size, self.classes) if found else Instances.empty(image.size, self.classes)
        )

    def results(self, image: ImageEntry) -> list[dict[str, Any]]:
        """COCO results of ``image``."""
        found = self._records(image)
        if found and not self.table.boxed:
            masks = Masks.from_rle([record["segmentation"] for record in found], image.size)
            boxes = masks.boxes.astype(np.float64)
            boxes[:, 2:] -= boxes[:, :2]
            for record, box in zip(found, boxes.tolist(), strict=True):
                record["bbox"] = box
        return found

    def _records(self, image: ImageEntry) -> list[dict[str, Any]]:
        if self._rows is None:
            self._rows = {}
            known = set(self.classes.ids)
            for row in (row for piece in rows(self.source) for row in piece):
                if row.category_id in known:
                    self._rows.setdefault(row.image_id, []).append(row)
        return [_plain_record(row) for row in self._rows.get(image.id, [])]


def _plain_record(row: Row) -> dict[str, Any]:
    record: dict[str, Any] = {
        "image_id": row.image_id,
        "category_id": row.category_id,
        "score": row.score,
    }
    if row.bbox is not None:
        record["bbox"] = list(row.bbox)
    if row.segmentation is not None:
        record["segmentation"] = {**row.segmentation, "size": list(row.segmentation["size"])}
    return record


def read_plain_results(
    path: Path,
    images: Sequence[ImageEntry],
    classes: Labels,
    wanted: Collection[tuple[int, int]] = (),
) -> PlainCocoPredictions | None:
    """A results file that is as most are; None where the careful reader must look at it.

    Args:
        path: the JSON file.
        images: the dataset's images.
        classes: the dataset's classes.
        wanted: image and category ids of the results whose run lengths the table is to keep.

    Raises:
        InputError: no result is of the dataset's classes.
    """
    table = read_table(path, {image.id: image.size for image in images}, wanted)
    if table is None:
        return None
    foreign = table.categories[~np.isin(table.categories, classes.ids)]
    notes = about_foreign(path, Counter(foreign.tolist()), len(table), set(classes.ids))
    return PlainCocoPredictions(path, classes, table, notes)

"""LVIS (Gupta et al. 2019): COCO's file, where an image is exhaustive for some classes alone.

Of an image, ``neg_category_ids`` are known to be absent and ``not_exhaustive_category_ids`` are not all
marked; of a category, ``frequency`` is r, c or f: in at most 10, 100 or more training images.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from delineate.core.instances import Instances

from ..losses import Losses
from ..place import Place, safe_name
from ..records import Dataset, Drawn
from . import coco
from .coco_document import category_rows, document
from .coco_write import layout
from .json_file import ends, load_json

ABSENT, INCOMPLETE = "neg_category_ids", "not_exhaustive_category_ids"
_OF_CATEGORY = ("frequency", "synset", "synonyms", "def")
_OF_IMAGE = (ABSENT, INCOMPLETE, "coco_url", "flickr_url", "license", "date_captured")


def recognise(path: Path) -> bool:
    """Whether a JSON file has, near its ends, what LVIS has beyond COCO."""
    text = ends(path) if path.suffix.lower() == ".json" and path.is_file() else b""
    return b'"neg_category_ids"' in text or (b'"synset"' in text and b'"frequency"' in text)


def read(
    path: str | Path, images: str | Path | Literal[False] | None = None, skip_invalid: bool = False
) -> Dataset:
    """Reads an LVIS file; see :func:`delineate.data.formats.coco.read`."""
    return replace(coco.read(path, images, skip_invalid), format="LVIS")


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes one file, or a folder with a file for each split.

    What an LVIS source says of classes and images is kept. Of other data every image is exhaustive: all its
    other classes are absent from it, and frequencies are counted in what is written. A crowd region makes
    its class not exhaustive in its image and is left out.

    Raises:
        DatasetError: an annotation that cannot be read.
    """
    for file, part, images in layout(out, data, "lvis"):
        _write(file, part, images, losses, place)


def _write(file: Path, data: Dataset, images: Path | None, losses: Losses, place: Place) -> None:
    known_images, known_categories = _known(data)
    frequency: Counter[int] = Counter()
    objects: Counter[int] = Counter()
    with document(file) as rows:
        for index, record in enumerate(data.records):
            truth = data.truth(index)
            losses.tally(truth, record.name, "crowd", "scores")
            ids = np.array(data.classes.ids, np.int64)[truth.labels]
            present = set(ids[~truth.crowd].tolist())
            frequency.update(present)
            objects.update(ids[~truth.crowd].tolist())
            name = safe_name(record.name)
            if images is not None:
                place(record, images / name)
            height, width = truth.size
            row: dict[str, Any] = {"id": record.image_id, "file_name": name, "height": height, "width": width}
            row |= known_images.get(record.image_id) or _exhaustive(data, truth, ids)
            rows.image(row, record, ("split",) if images is not None else ())
            kept = np.flatnonzero(~truth.crowd)
            drawn: Drawn = data.drawn(index) if data.outlines is not None else [None] * len(truth)
            chosen = [drawn[i] for i in kept.tolist()]
            rows.annotations(truth[kept], chosen, record.image_id, "sequence" in record.groups)
        rows.categories = category_rows(data.classes)
        for row in rows.categories:
            number = frequency[row["id"]]
            row |= {"image_count": number, "instance_count": objects[row["id"]]}
            row |= {"frequency": "r" if number <= 10 else "c" if number <= 100 else "f"}
            row |= known_categories.get(row["id"], {})


def _known(data: Dataset) -> tuple[dict[int, dict[str, Any]], dict[int, dict[str, Any]]]:
    """What an LVIS source says of each image and each category; empty of others."""
    if data.format != "LVIS" or not data.source.is_file():
        return {}, {}
    content = load_json(data.source)
    images, categories = (
        {row["id"]: {key: row[key] for key in keys if key in row} for row in content[table]}
        for table, keys in (("images", _OF_IMAGE), ("categories", _OF_CATEGORY))
    )
    return images, categories


def _exhaustive(data: Dataset, truth: Instances, ids: Any) -> dict[str, list[int]]:
    return {
        ABSENT: sorted(set(data.classes.ids) - set(ids.tolist())),
        INCOMPLETE: sorted(set(ids[truth.crowd].tolist())),
    }

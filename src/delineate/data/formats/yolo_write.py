"""Writing YOLO datasets; see :mod:`delineate.data.formats.yolo_dataset` for the layout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.polygons import Polygon

from ..losses import Losses
from ..place import Place, safe_name
from ..records import Dataset
from ..rings import Ring, apart, single_ring
from ..write import atomic

SPLITS = ("train", "val", "test")
BEYOND = 1.0
"""Drawn points may lie so many pixels outside the image; those of a farther one are traced anew."""


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes ``data.yaml``, ``images/`` and ``labels/``; images without a split go to ``train``.

    Crowd regions are left out, since a line would make one object of them; images of objects with boxes alone
    get lines of boxes.

    Raises:
        DatasetError: two images of one name in a split, or an annotation that cannot be read.
    """
    splits: dict[str, None] = {}
    for index, record in enumerate(data.records):
        truth = data.truth(index)
        losses.tally(truth, record.name, "crowd", "scores")
        split = record.groups.get("split") or "train"
        splits[split] = None
        name = safe_name(record.name)
        place(record, out / "images" / split / name)
        file = (out / "labels" / split / name).with_suffix(".txt")
        if file.exists():
            raise DatasetError(
                f"{record.name}: expected image names that differ before their ending; rename it"
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = _boxes(truth) if truth.masks is None else _outlines(data, index, truth)
        with atomic(file) as temporary:
            temporary.write_text("".join(lines), encoding="ascii")
    with atomic(out / "data.yaml") as temporary:
        temporary.write_text(_contents(list(splits), data.classes), encoding="utf-8")


def _contents(splits: Sequence[str], classes: Labels) -> str:
    import yaml

    folders = {split: f"images/{split}" for split in sorted(splits, key=_split_order)}
    content = {**folders, "names": dict(enumerate(classes.names))}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _split_order(name: str) -> tuple[int, str]:
    return (SPLITS.index(name) if name in SPLITS else len(SPLITS), name)


def _boxes(truth: Instances) -> Iterable[str]:
    height, width = truth.size
    for label, (x1, y1, x2, y2), crowd in zip(truth.labels, truth.boxes.tolist(), truth.crowd, strict=True):
        if not crowd:
            values = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
            yield f"{label} {_numbers(values)}\n"


def _outlines(data: Dataset, index: int, truth: Instances) -> Iterable[str]:
    assert truth.masks is not None
    height, width = truth.size
    sides = np.array([width, height], np.float64)
    for i, parts in enumerate(data.polygons(index, truth)):
        if truth.crowd[i]:
            continue
        ring = _ring(parts, truth, i, data.outlines is not None)
        if len(ring):
            yield f"{truth.labels[i]} {_numbers((ring.clip(0, sides) / sides).ravel().tolist())}\n"


def _ring(parts: list[Polygon], truth: Instances, i: int, drawn: bool) -> Ring:
    """One ring: the drawn one where it can be, else that along the pixels."""
    assert truth.masks is not None
    height, width = truth.size
    inside = all(
        x1 >= -BEYOND and y1 >= -BEYOND and x2 <= width + BEYOND and y2 <= height + BEYOND
        for x1, y1, x2, y2 in (part.bounds for part in parts)
    )
    if drawn and not (inside and apart(parts, truth.size)):
        parts = truth.masks[i].to_polygons()[0]
    return single_ring(parts) if parts else np.zeros((0, 2))


def _numbers(values: Iterable[float]) -> str:
    """The numbers to 9 decimals, without trailing zeros and without exponents."""
    text = " ".join(map(repr, np.round(np.fromiter(values, np.float64), 9).tolist()))
    if "e" in text:  # below 0.0001
        text = " ".join(f"{float(word):.9f}".rstrip("0") for word in text.split())
    return text

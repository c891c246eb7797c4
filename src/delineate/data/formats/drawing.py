"""What the writers of annotation tools' formats share: one object after the other, with its outline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.lean_outlines import lean_outlines
from delineate.core.polygons import Polygon

from ..losses import Losses
from ..place import safe_name
from ..records import SPLIT_NAMES, Dataset, Record
from ..write import atomic


@dataclass(frozen=True, eq=False)
class ToDraw:
    """One object on its way into a tool's file.

    Attributes:
        name: its class.
        label: the class's index.
        box: xyxy.
        parts: its outlines, as drawn or of few points and the same pixels; empty where it has a box alone.
        crop: its mask in a box and the box's corner; None where it has a box alone.
        id: its track or object id, or None.
        score: in 0..1.
        crowd: whether it stands for a group.
    """

    name: str
    label: int
    box: tuple[float, float, float, float]
    parts: tuple[Polygon, ...]
    crop: tuple[NDArray[np.bool_], tuple[int, int]] | None
    id: int | None
    score: float
    crowd: bool

    @property
    def simple(self) -> bool:
        """Whether one ring without holes is all of it."""
        return len(self.parts) == 1 and not self.parts[0].holes


def to_draw(
    data: Dataset, index: int, losses: Losses, outlined: bool = True
) -> tuple[Instances, list[ToDraw]]:
    """The objects of image ``index``; those without any pixel are counted as too thin and left out.

    Args:
        data: the dataset.
        index: of the image.
        losses: where to count.
        outlined: whether outlines are wanted; else ``parts`` are empty.
    """
    truth = data.truth(index)
    outlines: list[list[Polygon] | None] = [None] * len(truth)
    areas = [] if truth.masks is None else truth.masks.area.tolist()
    losses.count("too thin", data.records[index].name, areas.count(0))
    if truth.masks is not None and outlined:
        given = data.drawn(index)
        blank = [i for i, parts in enumerate(given) if not parts]
        outlines = [list(parts) if parts else None for parts in given]
        lean = lean_outlines(truth.masks[np.array(blank, np.int64)])
        for i, traced in zip(blank, lean, strict=True):
            outlines[i] = traced
    found = []
    for i, parts in enumerate(outlines):
        if areas and not areas[i]:
            continue
        label = int(truth.labels[i])
        x1, y1, x2, y2 = truth.boxes[i].tolist()
        found.append(
            ToDraw(
                truth.classes.name(label),
                label,
                (x1, y1, x2, y2),
                tuple(parts or ()),
                None if truth.masks is None else truth.masks.crop(i),
                None if truth.ids is None else int(truth.ids[i]),
                float(truth.scores[i]),
                bool(truth.crowd[i]),
            )
        )
    return truth, found


def count_ids(data: Dataset, losses: Losses, *, images: bool, classes: bool) -> None:
    """Counts numbers that a format without any gives anew, 1, 2, 3, …, and names of two classes.

    Args:
        data: the dataset.
        losses: where to.
        images: whether images lose theirs.
        classes: whether classes do.
    """
    if images:
        for place, record in enumerate(data.records, 1):
            if record.image_id != place:
                losses.count("ids", record.name)
    names = data.classes.names
    if data.records and len(set(names)) < len(names):
        losses.count("classes", data.records[0].name, len(names) - len(set(names)))
    if classes and data.records:
        changed = sum(own != place for place, own in enumerate(data.classes.ids, 1))
        losses.count("ids", data.records[0].name, changed)


def own_path(record: Record) -> str:
    """An image's name inside a written dataset: in a folder of its split, where it has one."""
    name, split = safe_name(record.name), record.groups.get("split", "")
    if split and SPLIT_NAMES.get(name.split("/")[0].lower(), name.split("/")[0]) != split:
        name = f"{safe_name(split)}/{name}"
    return name


def without_split(name: str, split: str) -> str:
    """The inverse of :func:`own_path`: the name without the folder of its split."""
    first, _, rest = name.partition("/")
    return rest if rest and split and SPLIT_NAMES.get(first.lower(), first) == split else name


def count_tracks(record: Record, truth: Instances, losses: Losses) -> None:
    """Counts the tracks of a video's frame as lost."""
    if truth.ids is not None and "frame" in record.groups:
        losses.count("tracks", record.name, len(truth))


def plain(values: Any) -> list[Any]:
    """Coordinates as JSON has them best: whole numbers without a fraction, others with all their digits."""
    return _plain(np.asarray(values, np.float64).tolist())


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return int(value) if value == int(value) else value


@contextmanager
def text_file(path: Path) -> Iterator[IO[str]]:
    """A text file that takes its name when the block ends well; its folder is made.

    Raises:
        InputError: the folder may not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path.parent}: expected a folder to write to, got {error.strerror}; choose another place"
        ) from None
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        yield file


def dumps(value: Any) -> str:
    """Compact JSON with letters of all languages."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

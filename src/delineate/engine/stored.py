"""The face of stored predictions, and what of an image is needed to look them up."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels


@dataclass(frozen=True)
class ImageEntry:
    """One image of a dataset, without its pixels.

    Attributes:
        id: its number in the dataset.
        name: its file name.
        size: (height, width) in pixels.
    """

    id: int
    name: str
    size: tuple[int, int]


class Predictions(ABC):
    """Predictions for the images of a dataset, in the dataset's classes.

    Attributes:
        source: the file or folder.
        classes: the dataset's classes.
        notes: what a reader of the scores must know, one sentence each.
        form: what they were read as, and how many: ``YOLO txt: 69 files``.
    """

    source: Path
    classes: Labels
    notes: tuple[str, ...]
    form: str

    def __init__(self, source: Path, classes: Labels, notes: Sequence[str] = (), form: str = "") -> None:
        self.source, self.classes, self.notes, self.form = source, classes, tuple(notes), form

    @property
    def told(self) -> tuple[str, ...]:
        """What they were read as, and the notes."""
        return (f"read as {self.form}", *self.notes) if self.form else self.notes

    @abstractmethod
    def instances(self, image: ImageEntry) -> Instances:
        """The objects predicted on ``image``; none where the file has none.

        Raises:
            InputError: what is stored for this image cannot be used.
        """

    def surest(self, image: ImageEntry, least: float) -> Instances:
        """The objects whose score is at least ``least``, and maybe others: none need be decoded for those.

        Raises:
            InputError: what is stored for this image cannot be used.
        """
        return self.instances(image)

    def check(self, task: str) -> None:
        """Refuse a task, ``panoptic`` or ``semantic``, that these predictions do not have.

        Raises:
            InputError: objects alone.
        """
        raise InputError(
            f"{self.source}: expected {task} results, got objects alone; give a folder that "
            f"`delineate predict --task {task}` wrote"
        )

    def results(self, image: ImageEntry) -> list[dict[str, Any]] | None:
        """The same as COCO results in full float64 precision, validated; None where there are no such."""
        return None

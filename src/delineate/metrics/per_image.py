"""A metric that keeps a small record of each image: updated, merged and read in one way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Self, TypeVar

from delineate.core.errors import InputError
from delineate.core.instances import Instances

Record = TypeVar("Record")


class PerImage(ABC, Generic[Record]):
    """What metrics of this kind share; a metric says what it keeps of an image and what it makes of all.

    The records are read in the order of the image ids, so that the result is the same, bit for bit, however
    the images were shared out.
    """

    def __init__(self) -> None:
        self._images: dict[int, Record] = {}

    @abstractmethod
    def of_image(self, pred: Instances, truth: Instances) -> Record:
        """What is kept of one image."""

    @abstractmethod
    def settings(self) -> tuple[object, ...]:
        """What two shards must have in common."""

    def update(self, pred: Instances, truth: Instances, image_id: int | None = None) -> None:
        """Add one image.

        Args:
            pred: the predicted objects.
            truth: the true objects.
            image_id: its number, needed to merge shards; default: the next free one.

        Raises:
            InputError: image sizes differ, masks are missing where they are needed, or an image given twice.
        """
        name = type(self).__name__
        if image_id is None:
            image_id = max(self._images, default=0) + 1
        if image_id in self._images:
            raise InputError(f"{name}: expected every image once, got image {image_id} twice")
        if pred.size != truth.size:
            raise InputError(
                f"{name}: expected a prediction of the image's size {truth.size} (height, width), "
                f"got {pred.size}; predict on the original image"
            )
        self._images[image_id] = self.of_image(pred, truth)

    def merge(self, other: Self) -> None:
        """Take over the images of another shard; the result does not depend on how images were shared out.

        Raises:
            InputError: other settings, or an image seen by both.
        """
        both = self._images.keys() & other._images.keys()
        if both or self.settings() != other.settings():
            what = f"image {min(both)} in both" if both else f"settings {other.settings()}"
            raise InputError(
                f"{type(self).__name__}.merge: expected other images and the settings {self.settings()}, got "
                f"{what}; give update() the dataset's own image_id"
            )
        self._images.update(other._images)

    @property
    def image_ids(self) -> tuple[int, ...]:
        """The images so far, ascending."""
        return tuple(sorted(self._images))

    @property
    def records(self) -> list[Record]:
        """The records in the order of :attr:`image_ids`."""
        return [self._images[i] for i in self.image_ids]

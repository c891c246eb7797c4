"""A frame that is held back: its objects by id, to be changed before it is given out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from delineate.core.instances import Instances
from delineate.core.masks import Masks

from .tracks import masks_of


class Held:
    """One frame.

    Attributes:
        number: from 0.
        objects: N objects; their ``ids`` are not looked at.
        ids: (N,) int64.
        filled: (N,) bool, not detected in this frame.
    """

    def __init__(self, number: int, objects: Instances, ids: NDArray[np.int64]) -> None:
        """A frame as the tracker gave it."""
        self.number, self.ids = number, ids
        self.objects = objects.replace(masks=masks_of(objects), ids=None)
        self.filled = np.zeros(len(ids), np.bool_)

    def __contains__(self, i: int) -> bool:
        return bool((self.ids == i).any())

    def row(self, i: int) -> int:
        """The place of an object."""
        return int(np.flatnonzero(self.ids == i)[0])

    @property
    def masks(self) -> Masks:
        """N masks; empty ones where only boxes are known."""
        return masks_of(self.objects)

    def mask(self, i: int) -> Masks:
        """The mask of an object."""
        return self.masks[self.row(i)]

    def put(self, i: int, mask: Masks) -> None:
        """Another mask for an object; its box with it."""
        row = self.row(i)
        order = np.arange(len(self.ids))
        order[row] = len(self.ids)
        masks = Masks.concatenate((self.masks, mask))[order]
        boxes = self.objects.boxes.copy()
        boxes[row] = mask.boxes[0]
        self.objects = self.objects.replace(masks=masks, boxes=boxes, areas=None)

    def add(self, i: int, like: Instances, mask: Masks) -> None:
        """One more object: of the class and score of another one's single row."""
        added = like.replace(masks=mask, boxes=mask.boxes, areas=None, ids=None)
        self.objects = Instances.concatenate((self.objects, added))
        self.ids = np.append(self.ids, i)
        self.filled = np.append(self.filled, True)

    def drop(self, i: int) -> None:
        """Forget an object."""
        keep = self.ids != i
        self.objects, self.ids, self.filled = self.objects[keep], self.ids[keep], self.filled[keep]

    def rename(self, old: int, new: int) -> None:
        """Another id for an object, if it is there."""
        self.ids = np.where(self.ids == old, new, self.ids)

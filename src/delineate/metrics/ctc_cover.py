"""Which result covers which reference cell: what the Cell Tracking Challenge's scores are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cover:
    """One frame; objects without a pixel are left out.

    Attributes:
        true: (T,) int64 ids of the reference cells, ascending.
        predicted: (P,) int64 ids of the results, ascending.
        cell: (M,) index into ``true`` of the covered cells, ascending.
        by: (M,) index into ``predicted`` of the result that covers more than half of it.
        iou: (M,) float64 their IoU.
    """

    true: Ints
    predicted: Ints
    cell: Ints
    by: Ints
    iou: Floats

    @classmethod
    def of(cls, pred: Instances, truth: Instances) -> Cover:
        """Where results overlap and two cover more than half of a cell, the one that covers more counts."""
        truth, pred = _sorted(truth), _sorted(pred)
        true_ids, predicted_ids = _ids(truth), _ids(pred)
        if truth.masks is None or pred.masks is None or not len(truth) or not len(pred):
            none = np.zeros(0, np.int64)
            return cls(true_ids, predicted_ids, none, none, np.zeros(0))
        true_area, area = np.asarray(truth.masks.area), np.asarray(pred.masks.area)
        i, j, shared = truth.masks.intersection_pairs(pred.masks)
        good = 2 * shared > true_area[i]
        i, j, shared = i[good], j[good], shared[good]
        order = np.lexsort((j, -shared, i))
        i, first = np.unique(i[order], return_index=True)
        j, shared = j[order][first], shared[order][first]
        return cls(true_ids, predicted_ids, i, j, shared / (true_area[i] + area[j] - shared))


def _sorted(objects: Instances) -> Instances:
    """Those with pixels, ascending by id."""
    if objects.masks is None:
        return objects
    objects = objects[np.asarray(objects.masks.area) > 0]
    return objects[np.argsort(_ids(objects), kind="stable")]


def _ids(objects: Instances) -> Ints:
    return np.arange(1, len(objects) + 1) if objects.ids is None else objects.ids


class CtcFrames:
    """The frames of many sequences, a few numbers an object."""

    def __init__(self) -> None:
        self._frames: dict[str, dict[int, Cover]] = {}

    def update(self, pred: Instances, truth: Instances, frame: int, sequence: str = "") -> None:
        """Add one frame; frames and sequences may come in any order.

        Args:
            pred: the results, with masks and, for tracking, ``ids``.
            truth: the reference cells, likewise. Classes and scores are not looked at.
            frame: its number, from 0.
            sequence: the name of the video.

        Raises:
            InputError: masks missing, an id twice in a frame, other sizes, a frame given twice.
        """
        where = f"{type(self).__name__}: sequence {sequence!r}, frame {frame}"
        if pred.size != truth.size:
            raise InputError(
                f"{where}: expected a result of the frame's size {truth.size} (height, width), "
                f"got {pred.size}; do not resize it"
            )
        for name, side in (("result", pred), ("reference", truth)):
            if side.masks is None and len(side):
                raise InputError(f"{where}: expected masks in the {name}, got boxes only; give label images")
            if len(np.unique(_ids(side))) < len(side):
                raise InputError(f"{where}: expected each id once in the {name}, got one twice; renumber it")
        if frame < 0 or frame in self._frames.get(sequence, ()):
            raise InputError(
                f"{where}: expected every frame once, from 0 on, got it twice; correct the number"
            )
        self._frames.setdefault(sequence, {})[int(frame)] = Cover.of(pred, truth)

    def merge(self, other: Self) -> None:
        """Take over the frames of another shard; the result does not depend on how they were shared out.

        Raises:
            InputError: a frame seen by both.
        """
        for sequence, frames in other._frames.items():
            mine = self._frames.setdefault(sequence, {})
            both = mine.keys() & frames.keys()
            if both:
                raise InputError(
                    f"{type(self).__name__}.merge: expected other frames, got frame {min(both)} of "
                    f"{sequence!r} in both; share out the frames"
                )
            mine.update(frames)

    @property
    def sequences(self) -> tuple[str, ...]:
        """Their names, sorted."""
        return tuple(sorted(self._frames))

    def frames(self, sequence: str) -> list[Cover]:
        """Those of a sequence in order."""
        return [cover for _, cover in self.numbered(sequence)]

    def numbered(self, sequence: str) -> Iterator[tuple[int, Cover]]:
        """Likewise, each with its number."""
        frames = self._frames[sequence]
        return ((number, frames[number]) for number in sorted(frames))

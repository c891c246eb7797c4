"""The ranked detections of many images at one IoU threshold, laid end to end, and each class of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .ranked_matches import RankedMatches

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RankedPool:
    """Detections that count, highest score first; of equal scores those of the first image come first.

    Attributes:
        labels: (D,) classes.
        scores: (D,) float32.
        right: (D,) matched with a true object.
        objects: (K,) number of true objects of each class.
    """

    labels: Ints
    scores: NDArray[np.float32]
    right: NDArray[np.bool_]
    objects: Ints

    @classmethod
    def of(cls, records: Sequence[RankedMatches], classes: int) -> RankedPool:
        """Of images matched at one threshold; detections ignored for a crowd region are left out."""
        if not records:
            return cls(np.zeros(0, int), np.zeros(0, np.float32), np.zeros(0, bool), np.zeros(classes, int))
        counted = np.concatenate([~r.ignored[0] for r in records])
        scores = np.concatenate([r.scores for r in records])[counted]
        order = np.argsort(-scores, kind="stable")
        labels = np.concatenate([r.labels for r in records])[counted][order]
        right = np.concatenate([r.right[0] for r in records])[counted][order]
        objects = np.bincount(np.concatenate([r.objects for r in records]), minlength=classes)
        return cls(labels, scores[order], right, objects)

    def of_class(self, k: int) -> RankedPool:
        """The detections and objects of one class."""
        own = self.labels == k
        objects = np.where(np.arange(len(self.objects)) == k, self.objects, 0)
        return RankedPool(self.labels[own], self.scores[own], self.right[own], objects)

    @property
    def last(self) -> Ints:
        """(S,) the last detection of each score that occurs: where a threshold may cut."""
        return np.flatnonzero(np.append(self.scores[1:] != self.scores[:-1], True)[: len(self.scores)])

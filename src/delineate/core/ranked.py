"""Candidates walked from the best down, each step deleting or lowering those that overlap the chosen one."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


class Ranked:
    """Candidates by descending score, walked from the best down: a step costs as much as there are left.

    Args:
        boxes: (N, 4) xyxy.
        scores: (N,) descending.
        labels: (N,) classes; objects of different classes do not overlap here.
    """

    def __init__(self, boxes: Floats, scores: NDArray[np.float64], labels: Ints) -> None:
        self.corners = np.ascontiguousarray(boxes.T)  # (4, N): x1, y1, x2, y2
        self.sizes = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        self.scores = scores
        self.labels = labels
        self.one_class = len(labels) == 0 or bool((labels == labels[0]).all())

    def overlaps(self, best: int, rest: Ints) -> Floats:
        """(M,) box IoU of one with others, in torchvision's order of operations; 0 for another class."""
        x1, y1, x2, y2 = self.corners[:, best]
        u1, v1, u2, v2 = self.corners[:, rest]
        zero = np.float32(0)
        width = np.maximum(np.minimum(x2, u2) - np.maximum(x1, u1), zero)
        shared: Floats = width * np.maximum(np.minimum(y2, v2) - np.maximum(y1, v1), zero)
        whole = self.sizes[best] + self.sizes[rest] - shared
        result = np.divide(shared, whole, out=np.zeros_like(shared), where=shared > 0)
        if not self.one_class:
            result[self.labels[rest] != self.labels[best]] = 0
        return result

    def greedy(
        self, limit: int, threshold: float, directions: Floats | None = None, similarity: float = -math.inf
    ) -> Ints:
        """Ranks of those that stay when a better one deletes its copies, at most ``limit``."""
        rest = np.arange(len(self.scores))
        kept: list[int] = []
        while len(rest) and len(kept) < limit:
            best, rest = int(rest[0]), rest[1:]
            kept.append(best)
            copy = self.overlaps(best, rest).astype(np.float64) > threshold
            if directions is not None:
                near = np.flatnonzero(copy)
                copy[near] = directions[rest[near]] @ directions[best] > similarity
            rest = rest[~copy]
        return np.array(kept, dtype=np.int64)

    def soft(self, limit: int, sigma: float, confidence: float) -> tuple[Ints, NDArray[np.float64]]:
        """Ranks by descending fallen score, at most ``limit``, and the fallen scores of all ranks."""
        final = self.scores.copy()
        rest = np.arange(len(final))
        kept: list[int] = []
        while len(rest) and len(kept) < limit:
            at = int(np.argmax(final[rest]))
            best = int(rest[at])
            rest = np.delete(rest, at)
            kept.append(best)
            overlap = self.overlaps(best, rest).astype(np.float64)
            final[rest] *= np.exp(-overlap * overlap / sigma)
            rest = rest[final[rest] > confidence]
        return np.array(kept, dtype=np.int64), final

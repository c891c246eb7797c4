"""Mask runs as flat columns, with the sums over each region that measuring needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.masks import Masks


@dataclass(frozen=True)
class Runs:
    """All vertical runs of N regions, each with at least one run.

    Attributes:
        size: (height, width) of the image in pixels.
        x: (R,) int64 image column of each run.
        y: (R,) int64 first image row of each run.
        length: (R,) int64 rows in each run, at least 1.
        starts: (N,) int64 index of each region's first run. A region's runs lie together, sorted by
            column, then by row, and do not touch within a column.
    """

    size: tuple[int, int]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    length: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, masks: Masks) -> Runs:
        """The runs of ``masks``, none of which may be empty."""
        runs = masks.runs
        x, y, length = (v.astype(np.int64) for v in (runs.x, runs.y, runs.length))
        return cls(masks.size, x, y, length, runs.offsets[:-1])

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(N,) number of runs of each region."""
        return np.diff(self.starts, append=len(self.x))

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """(R,) region of each run."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.counts)

    def sum(self, values: NDArray[Any]) -> NDArray[Any]:
        """(N,) sums over each region's runs of ``values`` (R,)."""
        return np.add.reduceat(values, self.starts) if len(self) else values[:0]

    def low(self, values: NDArray[Any]) -> NDArray[Any]:
        """(N,) smallest of each region's ``values`` (R,)."""
        return np.minimum.reduceat(values, self.starts) if len(self) else values[:0]

    def high(self, values: NDArray[Any]) -> NDArray[Any]:
        """(N,) largest of each region's ``values`` (R,)."""
        return np.maximum.reduceat(values, self.starts) if len(self) else values[:0]

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """(R,) the region's value of ``values`` (N,) for each of its runs."""
        return np.repeat(values, self.counts)

    @cached_property
    def bbox(self) -> NDArray[np.int64]:
        """(N, 4) min row, min column, max row, max column; the maxima exclusive, as in scikit-image."""
        edges = (
            self.low(self.y),
            self.low(self.x),
            self.high(self.y + self.length),
            self.high(self.x) + 1,
        )
        return np.stack(edges, axis=1)

    def part(self, first: int, last: int) -> Runs:
        """Regions ``first`` .. ``last - 1``."""
        begin = int(self.starts[first])
        end = int(self.starts[last]) if last < len(self) else len(self.x)
        cut = slice(begin, end)
        return Runs(self.size, self.x[cut], self.y[cut], self.length[cut], self.starts[first:last] - begin)

    def chosen(self, order: NDArray[np.int64]) -> Runs:
        """Regions ``order``, in that order."""
        counts = self.counts[order]
        starts = np.cumsum(counts) - counts
        pick = np.repeat(self.starts[order] - starts, counts) + np.arange(counts.sum())
        return Runs(self.size, self.x[pick], self.y[pick], self.length[pick], starts)

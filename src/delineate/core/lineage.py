"""Which track descends from which: the tracks of a sequence with their parents."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from .errors import InputError


@dataclass(frozen=True, eq=False)
class Lineage:
    """N tracks, as the Cell Tracking Challenge writes them (its L B E P).

    Attributes:
        ids: (N,) int64 ids of the tracks, above 0.
        begin: (N,) int64 first frame, from 0.
        end: (N,) int64 last frame.
        parent: (N,) int64 id of the track that it comes from, 0 for none.
        where: what to call it in errors, such as the file.

    Raises:
        InputError: an id twice or not above 0, an end before its begin, a parent that is not among the ids
            or does not end before its child begins.

    Example:
        >>> Lineage([1, 2, 3], [0, 5, 5], [4, 9, 7], [0, 1, 1]).divisions
        {1: (2, 3)}
    """

    ids: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    parent: NDArray[np.int64]
    where: str = "Lineage"

    def __post_init__(self) -> None:
        for name in ("ids", "begin", "end", "parent"):
            column = np.array(getattr(self, name), dtype=np.int64).reshape(-1)
            column.flags.writeable = False
            object.__setattr__(self, name, column)
        if len({len(getattr(self, f.name)) for f in fields(self) if f.name != "where"}) > 1:
            raise InputError(
                f"{self.where}: expected columns of one length, got several; give four per track"
            )
        ids, counts = np.unique(self.ids, return_counts=True)
        if len(ids) and (ids[0] < 1 or counts.max() > 1):
            which = int(ids[0]) if ids[0] < 1 else int(ids[counts > 1][0])
            raise InputError(f"{self.where}: expected distinct ids above 0, got {which}; renumber the tracks")
        last = dict(zip(self.ids.tolist(), self.end.tolist(), strict=True))
        for i, begin, end, parent in self.rows():
            if not 0 <= begin <= end:
                raise InputError(
                    f"{self.where}: track {i}: expected a first frame from 0 to the last one, got {begin} "
                    f"and {end}; correct the line"
                )
            if parent and last.get(parent, begin) >= begin:
                said = f"one that ends in frame {last[parent]}" if parent in last else "an unknown one"
                raise InputError(
                    f"{self.where}: track {i}: expected as parent 0 or a track that ends before frame "
                    f"{begin}, got {parent}, {said}; correct the line"
                )

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self) -> list[tuple[int, int, int, int]]:
        """N tuples of id, first frame, last frame, parent."""
        columns = (self.ids, self.begin, self.end, self.parent)
        return list(zip(*(c.tolist() for c in columns), strict=True))

    @property
    def divisions(self) -> dict[int, tuple[int, ...]]:
        """The children of each track that has any."""
        found: dict[int, list[int]] = {}
        for i, _, _, parent in self.rows():
            if parent:
                found.setdefault(parent, []).append(i)
        return {parent: tuple(children) for parent, children in found.items()}

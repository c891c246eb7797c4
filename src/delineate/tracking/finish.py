"""Tracks as they look a few frames later: gaps filled, pieces joined, divisions that were none undone.

A tracker says who is who at once. Some of it is seen to be wrong soon after: a cell that was missed for a
frame comes back; a cell that seemed to divide is whole again two frames later, because its outline had only
fallen in two. :class:`Finish` holds the last frames back until that is known. What it gives out is what the
Cell Tracking Challenge asks for: tracks without gaps, and a :class:`~delineate.core.lineage.Lineage` of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.lineage import Lineage
from delineate.core.masks import Masks

from .between import covered, expected, without
from .held import Held
from .tracked import Tracked

GROWN = 1.3  # a mask so many times larger than expected covers something else too
LEAST = 0.1  # a filled mask keeps so much of its area, or is left out
HALF = 0.5
FRESH = 2**31  # ids for tracks that go on after a gap that is not filled, downwards


class Finished(NamedTuple):
    """One frame.

    Attributes:
        number: from 0.
        objects: with ``ids``, ascending.
        filled: (N,) bool, not detected here: carried over from the frames before and after.
        parents: id -> id of the parent, of tracks that begin in this frame.
    """

    number: int
    objects: Instances
    filled: NDArray[np.bool_]
    parents: dict[int, int]


class Finish:
    """Holds the frames of a tracker back for a moment and mends them.

    - A track that comes back after at most ``gap`` frames gets masks in between: its own, moved along the
      way. What another track covers stays the other's, unless its mask is larger there than expected: a mask
      over both.
    - So does a mother that was last seen some frames before her daughters.
    - A track that came out of a cell, was seen in at most ``piece`` frames, and went back into that cell, was
      a piece of it: its masks are joined to the cell's. Where the two were told to be daughters, there was
      no division.
    - A track that comes back later than that goes on under a new id, as the old one's child.

    Memory is that of ``lag`` frames, and four numbers for each track.

    Args:
        gap: longest gap that is filled, in frames; 0 fills none.
        piece: most frames in which a piece of a cell is seen; 0 joins none.
        lag: frames that are held back; to join pieces, more than ``piece`` plus the tracker's patience.

    Raises:
        InputError: a number below 0, or a ``lag`` that is not above ``gap``.

    Example:
        >>> from delineate.tracking import tracker
        >>> cell = Instances((9, 9), masks=Masks.from_label_image(np.pad(np.ones((3, 3), int), 3)))
        >>> follow, finish = tracker("cells"), Finish()
        >>> for found in (cell, Instances.empty((9, 9)), cell):
        ...     _ = list(finish.add(follow.update(found)))
        >>> [(f.objects.ids.tolist(), f.filled.tolist()) for f in finish.close()], finish.lineage.rows()
        ([([1], [False]), ([1], [True]), ([1], [False])], [(1, 0, 2, 0)])
    """

    def __init__(self, gap: int = 3, piece: int = 4, lag: int = 10) -> None:
        if min(gap, piece) < 0 or lag <= gap:
            raise InputError(
                f"Finish: expected gap and piece from 0 up and a lag above gap, got {gap}, {piece} and {lag}"
            )
        self.gap, self.piece, self.lag = gap, piece, lag
        self._held: deque[Held] = deque()
        self._number = 0
        self._alias: dict[int, int] = {}  # id of the tracker -> id that it goes on under
        self._parents: dict[int, int] = {}  # of tracks whose beginning is held back
        self._seen: dict[int, tuple[int, int]] = {}  # first and last frame of those seen in frames held back
        self._spans: dict[int, tuple[int, int, int]] = {}  # given out: first and last frame, parent
        self._again: dict[int, int] = {}  # id -> id it is given out under, after a gap
        self._fresh = FRESH

    def add(self, tracked: Tracked) -> Iterator[Finished]:
        """Take the tracker's next frame; gives out those of which all is known by now."""
        ids = tracked.instances.ids
        assert ids is not None  # Tracked made sure
        named = np.array([self._alias.get(i, i) for i in ids.tolist()], np.int64)
        frame = Held(self._number, tracked.instances, named)
        self._held.append(frame)
        self._number += 1
        self._parents |= {c: self._alias.get(p, p) for c, p in tracked.parents.items()}
        for i in named.tolist():
            self._bridge(i, frame)
            self._seen[i] = (self._seen.get(i, (frame.number, 0))[0], frame.number)
        mothers = {self._parents[c] for c in tracked.parents}
        for gone in tracked.ended:
            own = self._alias.pop(gone, gone)
            if own not in mothers:
                self._join(own)
        if len(self._held) > self.lag:
            yield self._give()

    def close(self) -> Iterator[Finished]:
        """The frames that are still held back."""
        for i, (_, last) in sorted(self._seen.items()):
            if last < self._number - 1 and i not in self._parents.values():
                self._join(i)
        while self._held:
            yield self._give()

    @property
    def lineage(self) -> Lineage:
        """The tracks given out so far."""
        rows = [(i, *span) for i, span in sorted(self._spans.items())]
        ids, begin, end, parent = np.array(rows, np.int64).reshape(-1, 4).T
        return Lineage(ids, begin, end, parent, where="tracks")

    def _at(self, number: int) -> Held | None:
        """A frame that is held back."""
        place = number - self._held[0].number
        return self._held[place] if 0 <= place < len(self._held) else None

    # -- gaps ------------------------------------------------------------------------------------------

    def _bridge(self, i: int, now: Held) -> None:
        """Fills the gap before a frame in which a track, or its first daughters, are seen again."""
        own = i if i in self._seen else self._parents.get(i, 0)
        first, last = self._seen.get(own, (0, now.number))
        before = self._at(last)
        if not 0 < now.number - last - 1 <= self.gap or before is None or own not in before:
            return
        row = before.objects[before.row(own)]
        start = before.mask(own)
        end = now.mask(i) if own == i else start
        for number in range(last + 1, now.number):
            frame = self._at(number)
            assert frame is not None  # between two that are held
            part = (number - last) / (now.number - last)
            wanted = expected(start, end, part)
            mask = self._cleared(wanted, frame, before, now, part)
            if mask.area[0] > LEAST * wanted.area[0]:
                frame.add(own, row, mask)
        self._seen[own] = (first, now.number - 1)

    def _cleared(self, mask: Masks, frame: Held, before: Held, now: Held, part: float) -> Masks:
        """What of a mask the other objects of a frame leave; one that covers more than itself gives it up."""
        for j in frame.ids[covered(mask, frame.masks) > 0].tolist():
            other = frame.mask(j)
            if j in before and j in now:
                usual = expected(before.mask(j), now.mask(j), part)
                if other.area[0] > GROWN * usual.area[0]:
                    other = without(other, without(mask, usual))
                    frame.put(j, other)
            mask = without(mask, other)
        return mask

    # -- pieces ----------------------------------------------------------------------------------------

    def _join(self, i: int) -> None:
        """A track that is gone: if it was but a piece of a cell, the cell gets its masks."""
        first, last = self._seen.get(i, (0, 0))
        before, after = self._at(first - 1), self._at(last + 1)
        if last - first + 1 > self.piece or before is None or after is None:
            return
        frames = [f for n in range(first, last + 1) if (f := self._at(n)) is not None and i in f]
        if not frames or not len(before.ids) or not len(after.ids):
            return
        into, out_of = covered(frames[-1].mask(i), after.masks), covered(frames[0].mask(i), before.masks)
        host, source = int(after.ids[into.argmax()]), int(before.ids[out_of.argmax()])
        if into.max() < HALF or out_of.max() < HALF or not all(host in f for f in frames):
            return
        if host != source:
            if self._parents.get(i) != source or self._parents.get(host) != source:
                return
            self._undivide(source, host)
        for frame in frames:
            whole = Masks.concatenate((frame.mask(source), frame.mask(i))).union()
            frame.put(source, whole)
            frame.drop(i)
        self._parents.pop(i, None)
        self._seen.pop(i)

    def _undivide(self, mother: int, daughter: int) -> None:
        """There was no division: the daughter is the mother."""
        for frame in self._held:
            frame.rename(daughter, mother)
        self._alias = {i: mother if to == daughter else to for i, to in self._alias.items()}
        self._alias[daughter] = mother
        self._parents.pop(daughter)
        self._parents = {c: mother if p == daughter else p for c, p in self._parents.items()}
        self._seen[mother] = (self._seen.get(mother, (0, 0))[0], self._seen.pop(daughter)[1])

    # -- given out -------------------------------------------------------------------------------------

    def _give(self) -> Finished:
        """The frame held back longest."""
        frame = self._held.popleft()
        names = np.array([self._name(i, frame.number) for i in frame.ids.tolist()], np.int64)
        order = np.argsort(names, kind="stable")
        objects = frame.objects[order].replace(ids=names[order])
        self._seen = {i: span for i, span in self._seen.items() if span[1] > frame.number}
        begun = {i: self._spans[i] for i in names.tolist() if self._spans[i][0] == frame.number}
        parents = {i: parent for i, (_, _, parent) in begun.items() if parent}
        return Finished(frame.number, objects, frame.filled[order], parents)

    def _name(self, i: int, number: int) -> int:
        """The id under which an object is given out; its span grows."""
        name = self._again.get(i, i)
        first, last, parent = self._spans.get(name, (number, number - 1, 0))
        if name not in self._spans:
            mother = self._parents.pop(i, 0)
            mother = self._again.get(mother, mother)
            parent = mother if mother in self._spans else 0
        elif last < number - 1:
            first, parent = number, name
            self._fresh -= 1
            name = self._again[i] = self._fresh
        self._spans[name] = (first, number, parent)
        return name

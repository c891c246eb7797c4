"""Who followed whom when: each true track's time, and where the results missed it or changed its id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from delineate.metrics.track_frames import TrackFrames

LEAST = 0.5
"""IoU from which a predicted object counts as the true one."""
Ints = NDArray[np.int64]


class Span(NamedTuple):
    """Frames of a true track with one predicted id.

    Attributes:
        first: place of the first frame among the video's.
        last: of the last frame.
        predicted: id in the results; -1: missed.
    """

    first: int
    last: int
    predicted: int


@dataclass(frozen=True)
class Way:
    """One true track.

    Attributes:
        name: of its class.
        id: in the truth.
        spans: in the order of time; where there is none the object is not in the picture.
    """

    name: str
    id: int
    spans: tuple[Span, ...]

    @property
    def missed(self) -> int:
        """Frames in which nothing was found there."""
        return sum(s.last - s.first + 1 for s in self.spans if s.predicted < 0)

    @property
    def switches(self) -> int:
        """How often it was found under another id than the last time."""
        ids = [s.predicted for s in self.spans if s.predicted >= 0]
        return sum(a != b for a, b in pairwise(ids))


@dataclass(frozen=True, eq=False)
class Timeline:
    """One video.

    Attributes:
        sequence: its name.
        numbers: (F,) of the frames.
        ways: of the true tracks.
        missed: (F,) true objects that were not found.
        false: (F,) predicted objects that are none.
        switched: (F,) objects whose id changed.
    """

    sequence: str
    numbers: Ints
    ways: tuple[Way, ...]
    missed: Ints
    false: Ints
    switched: Ints

    def worst(self, count: int, apart: int = 10) -> list[int]:
        """Places of the frames with most errors, the worst first, each some frames from the others."""
        errors = self.missed + self.false + self.switched
        chosen: list[int] = []
        for k in np.argsort(-errors, kind="stable").tolist():
            if len(chosen) == count or not errors[k]:
                break
            if all(abs(k - other) >= apart for other in chosen):
                chosen.append(k)
        return chosen


def timeline(frames: TrackFrames, sequence: str, numbers: Sequence[int]) -> Timeline:
    """Matches the objects of each frame at IoU 0.5, one to one; who was matched in the frame before stays so.

    That is how MOTA matches (Bernardin and Stiefelhagen 2008, section 2.1.2), so the sums are MOTA's, as
    :mod:`delineate.metrics.clear_mot` counts them.

    Args:
        frames: what was scored.
        sequence: the name of a video in it.
        numbers: of its frames, ascending.
    """
    count = len(numbers)
    missed, false, switched = (np.zeros(count, np.int64) for _ in range(3))
    ways: list[Way] = []
    for label in frames.used_labels():
        tracks = frames.tracks(sequence, label)
        spans: dict[int, list[Span]] = {}
        known: dict[int, int] = {}  # the id that each was found under last
        before: dict[int, int] = {}  # in the frame before
        for k, frame in enumerate(tracks.frames):
            partner = _matched(frame.matrix(), frame.true.tolist(), frame.predicted.tolist(), before)
            before = partner if len(frame.true) and len(frame.predicted) else before
            false[k] += len(frame.predicted) - len(partner)
            for true in frame.true.tolist():
                own = partner.get(true, -1)
                missed[k] += own < 0
                if own >= 0:
                    switched[k] += known.get(true, own) != own
                    known[true] = own
                _extend(spans.setdefault(true, []), k, own)
        name = frames.labels.name(label)
        ways += [Way(name, true, tuple(found)) for true, found in sorted(spans.items())]
    return Timeline(sequence, np.array(numbers, np.int64), tuple(ways), missed, false, switched)


def _extend(spans: list[Span], frame: int, predicted: int) -> None:
    if spans and spans[-1].predicted == predicted and spans[-1].last == frame - 1:
        spans[-1] = spans[-1]._replace(last=frame)
    else:
        spans.append(Span(frame, frame, predicted))


def _matched(
    similarity: NDArray[np.float64], true: list[int], predicted: list[int], before: dict[int, int]
) -> dict[int, int]:
    """Predicted id by true id."""
    allowed = np.where(similarity >= LEAST - 1e-9, similarity, 0.0)
    column = {identity: k for k, identity in enumerate(predicted)}
    for row, identity in enumerate(true):
        same = column.get(before.get(identity, -1))
        if same is not None and allowed[row, same] > 0:
            allowed[row, same] += 1000
    rows, columns = linear_sum_assignment(-allowed)
    return {
        true[r]: predicted[c]
        for r, c in zip(rows.tolist(), columns.tolist(), strict=True)
        if allowed[r, c] > 0
    }

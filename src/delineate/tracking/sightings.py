"""Where objects with identities were seen, frame by frame: their feet, collected into tracks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels

from .feet import Foot, covered, cut, feet
from .participants import participants
from .plane import Plane
from .smooth import TrackBatch

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
BATCH = 20_000  # steps of tracks that run side by side, which bounds the memory


@dataclass(eq=False)
class Seen:
    """All sightings of a video; give frames in the order of their times, empty ones too.

    Attributes:
        classes: of the objects.
        foot: how foot points are found.
    """

    classes: Labels
    foot: Foot = field(default_factory=Foot)
    _numbers: list[int] = field(default_factory=list, repr=False)
    _times: list[float] = field(default_factory=list, repr=False)
    _parts: list[tuple[NDArray[np.float64], ...]] = field(default_factory=list, repr=False)

    def add(self, number: int, time: float, objects: Instances) -> None:
        """Adds a frame.

        Args:
            number: of the frame.
            time: seconds.
            objects: with ``ids``; crowd regions are left out.

        Raises:
            InputError: no ids, other classes, or a time that is not after the one before.
        """
        if self._times and not time > self._times[-1]:
            raise InputError(
                f"frame {number}: expected a time after {self._times[-1]:g} s, got {time:g} s; "
                "give frames in order"
            )
        if objects.ids is None and len(objects):
            raise InputError(f"frame {number}: expected ids of tracks, got none; track the objects first")
        if objects.classes != self.classes:
            raise InputError(f"frame {number}: expected the classes {self.classes.names}, got others")
        keep = _once(objects)
        chosen = objects[keep]
        points, spread = feet(chosen, self.foot)
        ids = np.zeros(0, np.int64) if chosen.ids is None else chosen.ids
        frame = np.full(len(chosen), len(self._times), np.float64)
        self._numbers.append(int(number))
        self._times.append(float(time))
        hidden = np.logical_or(*cut(chosen)) | covered(chosen)
        numbers = (
            ids.astype(np.float64),
            frame,
            chosen.labels.astype(np.float64),
            chosen.scores,
            hidden,
        )
        self._parts.append((np.column_stack(numbers), points, spread, chosen.boxes.astype(np.float64)))

    def __len__(self) -> int:
        return len(self._times)

    @property
    def numbers(self) -> Ints:
        """(F,) the frames' numbers."""
        return np.array(self._numbers, np.int64)

    @property
    def times(self) -> Floats:
        """(F,) seconds."""
        return np.array(self._times, np.float64)

    def table(self) -> Table:
        """All sightings, sorted by track and time."""
        if not self._parts:
            no, none = np.zeros(0, np.int64), np.zeros((0, 4))
            return Table(no, no, no, np.zeros(0), no > 0, none[:, :2], none[:, :2], none)
        head, points, spread, boxes = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        order = np.lexsort((head[:, 1], head[:, 0]))
        track, frame, label = (head[order, k].astype(np.int64) for k in (0, 1, 2))
        label = _usual(track, label, head[order, 3])
        score, edge = head[order, 3], head[order, 4] > 0
        return Table(track, frame, label, score, edge, points[order], spread[order], boxes[order])


@dataclass(frozen=True, eq=False)
class Table:
    """S sightings by track and time.

    Attributes:
        track: (S,) ids.
        frame: (S,) places of the frames among all frames.
        label: (S,) the class that its track has for the most part.
        score: (S,).
        hidden: (S,) bool, whether the picture's edge cuts it or another object hides its foot.
        foot: (S, 2) pixels.
        spread: (S, 2) their standard deviations.
        boxes: (S, 4) xyxy pixels.
    """

    track: Ints
    frame: Ints
    label: Ints
    score: Floats
    hidden: NDArray[np.bool_]
    foot: Floats
    spread: Floats
    boxes: Floats

    def starts(self) -> Ints:
        """(K + 1,) where each track's sightings begin, and S."""
        first = np.flatnonzero(np.diff(self.track, prepend=np.nan))
        return np.append(first, len(self.track)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Batch:
    """N tracks side by side.

    Attributes:
        steps: what the filters take.
        frame: (T, N) place of the frame of each step.
        at: (T, N) the sighting of the table at each step, or -1; ``steps.seen`` says which have a place.
        first: (N,) a sighting of each track.
        length: (N,) how many steps each has.
    """

    steps: TrackBatch
    frame: Ints
    at: Ints
    first: Ints
    length: Ints


def placed(table: Table, plane: Plane | None) -> tuple[Floats, Floats]:
    """Where the feet are, (S, 2), and how sure that is, (S, 2, 2): in metres with a ground, else in pixels.

    On the ground NaN where the foot is above the horizon, or hidden while it is seen at other times.
    """
    cov = np.zeros((len(table.track), 2, 2))
    cov[:, 0, 0], cov[:, 1, 1] = table.spread[:, 0] ** 2, table.spread[:, 1] ** 2
    if plane is None:
        return table.foot, cov
    places = plane.places(table.foot, table.frame)
    for a, b in pairwise(table.starts().tolist()):
        if not table.hidden[a:b].all():
            places[a:b][table.hidden[a:b]] = np.nan
    return places, plane.covariance(table.foot, table.spread, table.frame)


def batches(
    table: Table, places: Floats, cov: Floats, times: Floats, classes: Labels, metric: bool
) -> Iterator[Batch]:
    """The tracks, those of like length side by side.

    Args:
        table: S sightings.
        places: (S, 2); what is not finite is not seen, and a track without any is left out.
        cov: (S, 2, 2).
        times: (F,) of the frames.
        classes: of the objects.
        metric: whether places are metres.
    """
    usable = np.atleast_1d(np.isfinite(places).all(axis=1) & np.isfinite(cov).all(axis=(1, 2)))
    starts = table.starts()
    tracks = [np.flatnonzero(usable[a:b]) + a for a, b in pairwise(starts.tolist())]
    tracks = [track for track in tracks if len(track)]
    tracks.sort(key=lambda track: int(table.frame[track[-1]] - table.frame[track[0]]))
    group: list[Ints] = []
    for track in tracks:
        length = int(table.frame[track[-1]] - table.frame[track[0]]) + 1
        if group and length * (len(group) + 1) > BATCH:
            yield _batch(group, table, places, cov, times, classes, metric)
            group = []
        group.append(track)
    if group:
        yield _batch(group, table, places, cov, times, classes, metric)


def _batch(
    tracks: list[Ints], table: Table, places: Floats, cov: Floats, times: Floats, classes: Labels,
    metric: bool,
) -> Batch:  # fmt: skip
    first = np.array([table.frame[track[0]] for track in tracks])
    length = np.array([table.frame[track[-1]] for track in tracks]) - first + 1
    step = np.arange(length.max())[:, None]
    frame = first + np.minimum(step, length - 1)
    at, seen = np.full(frame.shape, -1), np.zeros(frame.shape, np.bool_)
    for n, track in enumerate(tracks):
        own = np.arange(track[0], track[-1] + 1)  # sightings without a place too
        at[table.frame[own] - first[n], n] = own
        seen[table.frame[track] - first[n], n] = True
    kinds = [participants(classes)[int(table.label[track[0]])] for track in tracks]
    unit = np.ones(len(tracks))
    if not metric:
        tall = [float(np.median(table.boxes[track, 3] - table.boxes[track, 1])) for track in tracks]
        unit = np.array([max(h, 1.0) / kind.height for h, kind in zip(tall, kinds, strict=True)])
    steps = TrackBatch(
        times[frame], places[at], cov[at], seen,
        np.array([kind.acceleration for kind in kinds]), np.array([kind.turning for kind in kinds]), unit,
    )  # fmt: skip
    return Batch(steps, frame, at, np.array([track[0] for track in tracks]), length)


def _once(objects: Instances) -> Ints:
    """Without crowd regions; where an id stands twice its surest object."""
    if objects.ids is None:
        return np.zeros(0, np.int64)
    order = np.argsort(-objects.scores, kind="stable")
    order = order[~objects.crowd[order]]
    _, first = np.unique(objects.ids[order], return_index=True)
    return np.sort(order[first])


def _usual(track: Ints, label: Ints, score: Floats) -> Ints:
    """(S,) the class for which the scores of each track add up to most."""
    if not len(track):
        return label
    _, which = np.unique(track, return_inverse=True)
    votes = np.zeros((int(which.max()) + 1, int(label.max()) + 1))
    np.add.at(votes, (which, label), score + 1e-9)
    found: Ints = votes.argmax(axis=1)[which].astype(np.int64)
    return found

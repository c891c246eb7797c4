"""The frame around the steps of a tracker: time, births and deaths, ids, and what is given back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances

from .kalman import Index
from .motion import CentreSize, Motion
from .round import Round
from .tracked import Tracked
from .tracks import Tracks

Step = Callable[[Round], None]
"""One step of a tracker: pairs, splits, begins or ends something in the round that it is given."""


@dataclass(frozen=True)
class Life:
    """When tracks are born and forgotten.

    Attributes:
        begin: score from which a detection that no track claims begins one.
        confirm: detections in a row until a track is told of and has an id.
        at_once: frames from the video's beginning in which a new track is told of at once.
        patience: frames (of the usual interval) for which a track may be missing before it ends.
        patience_new: the same for a track that is not confirmed.
        interval: seconds between frames as usual, where times are given; None: the median so far.
    """

    begin: float = 0.6
    confirm: int = 2
    at_once: int = 1
    patience: float = 30
    patience_new: float = 0
    interval: float | None = None

    def __post_init__(self) -> None:
        at_least = {"begin": 0, "confirm": 1, "at_once": 0, "patience": 0, "patience_new": 0}
        for name, least in at_least.items():
            value = getattr(self, name)
            if not value >= least:
                raise InputError(f"tracker, {name}: expected {least} or more, got {value}; correct it")
        if self.interval is not None and not self.interval > 0:
            raise InputError(f"tracker, interval: expected seconds above 0, got {self.interval}; correct it")


class Stepwise:
    """A tracker made of steps that run one after another on each frame's :class:`Round`.

    Args:
        steps: what is done with a frame, in order. After them every detection that is still free and scores
            ``life.begin`` begins a track.
        life: birth and death.
        motion: what the Kalman filter follows.
    """

    def __init__(self, steps: Sequence[Step], life: Life | None = None, motion: Motion | None = None) -> None:
        self.steps = tuple(steps)
        self.life, self.motion = life or Life(), motion or CentreSize()
        self.tracks: Tracks | None = None
        self._next = 1
        self._number = 0
        self._time: float | None = None
        self._intervals: list[float] = []

    def update(
        self,
        found: Instances,
        frame: NDArray[Any] | None = None,
        *,
        time: float | None = None,
        features: NDArray[np.float32] | None = None,
    ) -> Tracked:
        """Take the next frame's detections and say who is who; see :class:`.tracked.Tracker`."""
        self._check(found, features)
        if self.tracks is None:
            self.tracks = Tracks(self.motion, found.size)
        self.tracks.predict(self._elapsed(time))
        play = Round(self.tracks, found, features, frame, self._number)
        for step in self.steps:
            step(play)
        result = self._close(play)
        self._number += 1
        return result

    def _check(self, found: Instances, features: NDArray[np.float32] | None) -> None:
        if self.tracks is not None and found.size != self.tracks.masks.size:
            raise InputError(
                f"tracker: expected frames of {self.tracks.masks.size} (height, width), got {found.size}; "
                "begin a new tracker for another video"
            )
        if features is not None and (np.ndim(features) != 2 or len(features) != len(found)):
            raise InputError(
                f"tracker, features: expected ({len(found)}, D), got {np.shape(features)}; give one row each"
            )

    def _elapsed(self, time: float | None) -> float:
        """Frames of the usual interval since the last call."""
        before, self._time = self._time, time
        if time is None or before is None:
            return 1.0
        if not time > before:
            raise InputError(
                f"tracker, time: expected more than {before} s, got {time}; give frames in order"
            )
        self._intervals = [*self._intervals[-30:], time - before]
        usual = self.life.interval or float(np.median(self._intervals))
        return (time - before) / usual

    def _close(self, play: Round) -> Tracked:
        """Births, deaths and confirmations; the frame's result."""
        tracks, life = play.tracks, self.life
        rows = np.flatnonzero(play.of_track >= 0)
        tracks.meet(rows, play.remembered or play.found, play.of_track[rows], play.doubt)
        for column in np.flatnonzero(play.free_found & (play.found.scores >= life.begin)):
            play.begin(int(column))
        columns = np.array(sorted(play.births), dtype=np.int64)
        parents = np.array([play.births[c] for c in columns.tolist()], dtype=np.int64)
        born = tracks.add(play.found, columns)
        tracks.last_index = np.concatenate((play.of_track, columns))
        fresh = (tracks.streak >= life.confirm) & (tracks.last_index >= 0)
        fresh[born] |= (parents >= 0) | (self._number < life.at_once)
        given = self._number_new(tracks, np.flatnonzero(fresh & ~tracks.confirmed))
        family = {
            int(tracks.ids[child]): int(tracks.ids[parent])
            for child, parent in zip(born.tolist(), parents.tolist(), strict=True)
            if parent >= 0 and tracks.ids[parent]
        }
        told = np.flatnonzero(tracks.confirmed & (tracks.last_index >= 0))
        told = told[np.argsort(tracks.last_index[told], kind="stable")]
        at = tracks.last_index[told]
        result = play.found[at].replace(ids=tracks.ids[told])
        ended = self._bury(play, given)
        return Tracked(result, play.source[at], play.part[at], ended, family)

    def _number_new(self, tracks: Tracks, rows: Index) -> Index:
        tracks.ids[rows] = self._next + np.arange(len(rows))
        tracks.confirmed[rows] = True
        self._next += len(rows)
        return rows

    def _bury(self, play: Round, given: Index) -> tuple[int, ...]:
        """Forget what was missing for too long, or never confirmed; ids that had been given."""
        tracks = play.tracks
        life = self.life
        gone = tracks.missing > np.where(tracks.confirmed, life.patience, life.patience_new)
        gone[sorted(play.ending)] = True
        ended = tuple(sorted(int(i) for i in tracks.ids[gone] if i))
        tracks.keep(~gone)
        return ended

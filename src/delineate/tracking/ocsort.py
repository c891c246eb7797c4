"""OC-SORT: what was observed counts for more than what the filter believes after a gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from delineate.core import boxes as box
from delineate.core.errors import InputError

from .association import assign_all
from .kalman import Floats, Index
from .motion import CentreArea
from .round import Round
from .stepwise import Life, Stepwise


@dataclass(frozen=True)
class OcSortSettings(Life):
    """Settings of the tracker ``ocsort``, those of the paper.

    Attributes:
        high: score from which a detection is looked at.
        overlap: IoU of the boxes that a pair must have.
        momentum: weight of the agreement of directions beside the IoU (lambda in the paper).
        stride: frames back from which a track's direction is taken (delta t in the paper), 1 to 30.
        by_class: whether a track keeps its class.
    """

    confirm: int = 3
    at_once: int = 3
    patience_new: float = 30
    high: float = 0.6
    overlap: float = 0.3
    momentum: float = 0.2
    stride: int = 3
    by_class: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.stride <= 30:
            raise InputError(f"tracker, stride: expected 1 to 30 frames, got {self.stride}; correct it")


class OcSort(Stepwise):
    """OC-SORT (Cao et al., "Observation-Centric SORT: Rethinking SORT for Robust MOT", CVPR 2023).

    Its three parts: momentum (section 4.2, OCM), recovery by the last observation (section 4.3, OCR) and
    re-update over the gap (section 4.1, ORU). Masks are carried along, not looked at.
    """

    def __init__(self, settings: OcSortSettings | None = None) -> None:
        self.settings = settings or OcSortSettings()
        steps = [self.remember, self.momentum, self.recover, self.head, self.bridge]
        super().__init__(steps, self.settings, CentreArea())

    def remember(self, play: Round) -> None:
        """Boxes of the last frames, oldest first; nan where a track was not found."""
        tracks, stride = play.tracks, self.settings.stride
        past = tracks.column("past", (stride, 4), np.nan)
        past[:, :-1] = past[:, 1:]
        past[:, -1] = np.where((tracks.last_index >= 0)[:, None], tracks.seen, np.nan)

    def _reference(self, play: Round) -> Floats:
        """(T, 4) the oldest box of the last frames, or the last one seen."""
        past = play.tracks.own["past"]
        known = ~np.isnan(past[..., 0])
        oldest = past[np.arange(len(past)), known.argmax(axis=1)]
        return np.where(known.any(axis=1)[:, None], oldest, play.tracks.seen)

    def momentum(self, play: Round) -> None:
        """All tracks with all strong detections by IoU and agreement of directions (OCM)."""
        s, scores = self.settings, play.found.scores
        columns = play.free_found & (scores >= s.high)
        allowed = play.allowed(play.free_tracks, columns, s.by_class)
        heading = play.tracks.column("heading", (2,))
        start, to = _centres(self._reference(play)), _centres(play.found.boxes.astype(np.float64))
        x, y = (to[:, k] - start[:, k, None] for k in (0, 1))
        along = (x * heading[:, 0, None] + y * heading[:, 1, None]) / (np.hypot(x, y) + 1e-6)
        angle = np.arccos(np.clip(along, -1, 1))
        agree = (0.5 - angle / np.pi) * np.any(heading, axis=1, keepdims=True)
        rows, found = assign_all(play.box_iou + s.momentum * agree * scores, allowed, -np.inf)
        made = play.box_iou[rows, found] >= s.overlap
        play.pair(rows[made], found[made])

    def recover(self, play: Round) -> None:
        """Tracks that are left, where they were last seen, with the detections that are left (OCR)."""
        s = self.settings
        columns = play.free_found & (play.found.scores >= s.high)
        allowed = play.allowed(play.free_tracks, columns, s.by_class)
        play.pair(*assign_all(box.iou(play.tracks.seen, play.found.boxes), allowed, s.overlap))

    def head(self, play: Round) -> None:
        """The direction of each track that was found."""
        rows = np.flatnonzero(play.of_track >= 0)
        now = play.found.boxes[play.of_track[rows]].astype(np.float64)
        play.tracks.column("heading", (2,))[rows] = _directions(self._reference(play)[rows], now)

    def bridge(self, play: Round) -> None:
        """Run the filter anew over the gap of each track that is back, along a straight line (ORU)."""
        tracks = play.tracks
        rows = np.flatnonzero((play.of_track >= 0) & (tracks.last_index < 0))
        steps = np.maximum(np.rint(tracks.missing[rows]).astype(np.int64), 1)
        for count in np.unique(steps).tolist():
            self._replay(play, rows[steps == count], count)

    def _replay(self, play: Round, rows: Index, steps: int) -> None:
        """The filters of ``rows`` anew over ``steps`` frames; the last one's measurement is left to come."""
        tracks = play.tracks
        tracks.kalman.restore(rows, tracks.sighted[rows])
        some, motion = tracks.kalman.taken(rows), self.motion
        first, last = tracks.seen[rows], play.found.boxes[play.of_track[rows]].astype(np.float64)
        for k in range(1, steps + 1):
            some.predict(1.0, *motion.step(some.value))
            if k < steps:
                value = motion.measure(first + (last - first) * (k / steps))
                some.update(np.arange(len(rows)), value, motion.noise(value))
        tracks.kalman.restore(rows, some.state)


def _centres(boxes: Floats) -> Floats:
    """(N, 2) xy."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _directions(start: Floats, end: Floats) -> Floats:
    """(N, 2) unit vectors from the centres of boxes to those of others; zero where they are the same."""
    way = _centres(end) - _centres(start)
    return way / (np.linalg.norm(way, axis=1, keepdims=True) + 1e-6)

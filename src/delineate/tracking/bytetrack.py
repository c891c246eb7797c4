"""ByteTrack: strong detections first, then the weak ones for the tracks that are left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .association import assign
from .kalman import Floats
from .motion import CentreAspect
from .round import Round
from .stepwise import Life, Stepwise

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class ByteTrackSettings(Life):
    """Settings of the tracker ``bytetrack``, those of the paper.

    Attributes:
        high: score from which a detection is strong.
        low: score below which a detection is not looked at.
        overlap: IoU of the boxes above which strong pairs are made.
        weak_overlap: the same for weak detections.
        new_overlap: the same for tracks seen only once.
        by_class: whether a track keeps its class.
    """

    begin: float = 0.7
    high: float = 0.6
    low: float = 0.1
    overlap: float = 0.2
    weak_overlap: float = 0.5
    new_overlap: float = 0.3
    by_class: bool = True


class ByteTrack(Stepwise):
    """ByteTrack (Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box", 2022).

    Algorithm 1 of the paper with IoU in both stages. The published program also multiplies the IoU by the
    score and removes tracks that lie on another; neither is in the algorithm, nor here. Masks are carried
    along, not looked at.
    """

    def __init__(self, settings: ByteTrackSettings | None = None) -> None:
        self.settings = settings or ByteTrackSettings()
        steps = [self.strong, self.weak, self.fresh]
        super().__init__(steps, self.settings, CentreAspect())

    def _similarity(self, play: Round, rows: Bools, columns: Bools) -> Floats:
        return np.where(play.allowed(rows, columns, self.settings.by_class), play.box_iou, -np.inf)

    def strong(self, play: Round) -> None:
        """Confirmed tracks, those lost lately too, with strong detections."""
        s = self.settings
        columns = play.free_found & (play.found.scores >= s.high)
        rows = play.free_tracks & play.tracks.confirmed
        play.pair(*assign(self._similarity(play, rows, columns), s.overlap))

    def weak(self, play: Round) -> None:
        """Tracks of the last frame that are left, with weak detections."""
        s = self.settings
        columns = play.free_found & (play.found.scores >= s.low) & (play.found.scores < s.high)
        rows = play.free_tracks & play.tracks.confirmed & (play.tracks.last_index >= 0)
        play.pair(*assign(self._similarity(play, rows, columns), s.weak_overlap))

    def fresh(self, play: Round) -> None:
        """Tracks seen once, with the strong detections that are left."""
        s = self.settings
        columns = play.free_found & (play.found.scores >= s.high)
        rows = play.free_tracks & ~play.tracks.confirmed
        play.pair(*assign(self._similarity(play, rows, columns), s.new_overlap))

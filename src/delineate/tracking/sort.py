"""SORT: boxes moved on by a Kalman filter, paired by their IoU."""

from __future__ import annotations

from dataclasses import dataclass

from .association import assign_all
from .motion import CentreArea
from .round import Round
from .stepwise import Life, Stepwise


@dataclass(frozen=True)
class SortSettings(Life):
    """Settings of the tracker ``sort``: those of the paper, with the score that its detector was cut at.

    Attributes:
        high: score from which a detection is looked at.
        overlap: IoU of the boxes that a pair must have.
        by_class: whether a track keeps its class.
    """

    begin: float = 0.5
    confirm: int = 3
    at_once: int = 3
    patience: float = 1
    patience_new: float = 1
    high: float = 0.5
    overlap: float = 0.3
    by_class: bool = True


class Sort(Stepwise):
    """SORT (Bewley et al., "Simple Online and Realtime Tracking", ICIP 2016, sections 3.2 to 3.4).

    Masks are carried along, not looked at. Once confirmed, a track is told of in every frame in which it is
    found; the published program keeps silent for some frames after a gap.
    """

    def __init__(self, settings: SortSettings | None = None) -> None:
        self.settings = settings or SortSettings()
        super().__init__([self.pair], self.settings, CentreArea())

    def pair(self, play: Round) -> None:
        """All tracks with all detections."""
        s = self.settings
        columns = play.free_found & (play.found.scores >= s.high)
        play.pair(*assign_all(play.box_iou, play.allowed(play.free_tracks, columns, s.by_class), s.overlap))

"""The tracker of masks: each expected where its track's motion takes it, compared pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .association import assign
from .merged import split_merged
from .motion import CentreSize
from .round import Round
from .stepwise import Life, Step, Stepwise


@dataclass(frozen=True)
class MasksSettings(Life):
    """Settings of the tracker ``masks``.

    Attributes:
        high: score from which a detection is strong and takes part in the first stage.
        low: score below which a detection is not looked at.
        overlap: similarity (mask IoU joined with box IoU) that a pair of the first stage must be above.
        weak_overlap: the same for weak detections in the second stage.
        mask_weight: share of the mask IoU in the similarity, in 0..1; the rest is the box IoU's.
        by_class: whether a track keeps its class.
        split_merged: whether a mask over two or more tracks is cut into parts by their shapes.
    """

    high: float = 0.5
    low: float = 0.1
    overlap: float = 0.2
    weak_overlap: float = 0.4
    mask_weight: float = 0.7
    by_class: bool = True
    split_merged: bool = True


class MasksTracker(Stepwise):
    """Follows masks.

    Args:
        settings: a sentence each in :class:`MasksSettings`.
    """

    def __init__(self, settings: MasksSettings | None = None) -> None:
        self.settings = settings or MasksSettings()
        super().__init__(self._steps(), self.settings, CentreSize())

    def _steps(self) -> list[Step]:
        first = [split_merged] if self.settings.split_merged else []
        return [*first, self.strong, self.weak, self.unconfirmed]

    def similarity(self, play: Round) -> NDArray[np.float64]:
        """(T, N) similarity in 0..1, -inf where the classes differ."""
        weight = self.settings.mask_weight
        joint = weight * play.mask_iou + (1 - weight) * play.box_iou
        return np.where(play.same_class, joint, -np.inf) if self.settings.by_class else joint

    def _pair(self, play: Round, rows: NDArray[np.bool_], columns: NDArray[np.bool_], least: float) -> None:
        if rows.any() and columns.any():
            allowed = np.where(rows[:, None] & columns, self.similarity(play), -np.inf)
            play.pair(*assign(allowed, least))

    def strong(self, play: Round) -> None:
        """Confirmed tracks with strong detections."""
        s = self.settings
        strong = play.free_found & (play.found.scores >= s.high)
        self._pair(play, play.free_tracks & play.tracks.confirmed, strong, s.overlap)

    def weak(self, play: Round) -> None:
        """Tracks of the last frame that found none, with weak detections (ByteTrack's second stage)."""
        s = self.settings
        scores = play.found.scores
        weak = play.free_found & (scores >= s.low) & (scores < s.high)
        lately = play.free_tracks & play.tracks.confirmed & (play.tracks.last_index >= 0)
        self._pair(play, lately, weak, s.weak_overlap)

    def unconfirmed(self, play: Round) -> None:
        """Tracks that are not confirmed yet, with what is left of the strong detections."""
        s = self.settings
        strong = play.free_found & (play.found.scores >= s.high)
        self._pair(play, play.free_tracks & ~play.tracks.confirmed, strong, s.overlap)

"""The tracker of masks: each expected where its track's motion takes it, compared pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .appearance_memory import AppearanceMemory
from .association import assign
from .camera import STILL, Camera
from .doubt import coast, doubt_sizes
from .kalman import Floats, Index
from .merged import split_merged
from .motion import CentreSize
from .rescue import LIKELY, drop_copies, keep_hidden, rescue_weak
from .round import Round
from .stepwise import Life, Step, Stepwise
from .tracks import masks_of
from .whole import WholeShapes

Bools = NDArray[np.bool_]
UNLIKE = 0.1  # probability by looks below which a lost track is not taken up


@dataclass(frozen=True)
class MasksSettings(Life):
    """Settings of the tracker ``masks``.

    Attributes:
        high: score from which a detection is strong and takes part in the first stage.
        low: score below which a detection is not looked at.
        overlap: similarity (of masks, boxes and looks) that a pair of the first stage must be above.
        weak_overlap: the same for weak detections in the second stage.
        mask_weight: share of the masks in the similarity, in 0..1; the rest is the box IoU's.
        hidden_weight: share, within the masks', of the IoU that forgives what other detections hide.
        looks_weight: what looks add to the similarity at most, or take away; needs features.
        camera: whether the camera's motion is taken out; needs frames.
        again: probability by looks from which a lost track is taken up again out of reach of its mask.
        reach: how far from where it is expected a lost track may be taken up again, in diagonals of its box.
        views: looks of the past that are remembered of each track.
        by_class: whether a track keeps its class.
        split_merged: whether a mask over two or more tracks is cut into parts by their shapes.
        whole: whether objects that are partly hidden are remembered whole.
        rescue: whether weak detections are taken up where a lost track expects its object, copies of what a
            track has are set aside, and tracks of hidden objects age slowly.
    """

    high: float = 0.4
    low: float = 0.1
    overlap: float = 0.2
    weak_overlap: float = 0.4
    mask_weight: float = 0.5
    hidden_weight: float = 0.5
    looks_weight: float = 0.2
    camera: bool = True
    again: float = 0.7
    reach: float = 2.0
    views: int = 4
    by_class: bool = True
    split_merged: bool = True
    whole: bool = True
    rescue: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        shares = ("high", "low", "overlap", "weak_overlap", "mask_weight", "hidden_weight", "looks_weight")
        for name in (*shares, "again"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"tracker, {name}: expected 0 to 1, got {getattr(self, name)}; correct it")
        if not 1 <= self.views <= 100:
            raise InputError(f"tracker, views: expected 1 to 100, got {self.views}; correct it")


class MasksTracker(Stepwise):
    """Follows masks.

    A track's last mask is moved and stretched as its Kalman filter says (and the camera moves) and compared
    with the detections' masks; box IoU and, where features are given, looks join in one similarity. Strong
    detections come first, weak ones second (ByteTrack: Zhang et al., ECCV 2022), then tracks that are not
    confirmed, and at last those that were lost, which are known again by their looks.

    Args:
        settings: a sentence each in :class:`MasksSettings`.
    """

    def __init__(self, settings: MasksSettings | None = None) -> None:
        self.settings = settings or MasksSettings()
        self._whole = WholeShapes()
        super().__init__(self._steps(), self.settings, CentreSize())
        self._camera = Camera()
        self._memory = AppearanceMemory(self.settings.views)

    def _steps(self) -> list[Step]:
        s = self.settings
        cut: list[Step] = [self.cut] if s.split_merged else []
        copies: list[Step] = [drop_copies] if s.rescue else []
        saved: list[Step] = [self.rescue, keep_hidden] if s.rescue else []
        whole: list[Step] = [self._whole.learn] if s.whole else []
        return [
            *(self.prepare, *cut, self.strong, *copies, self.weak),
            *(self.unconfirmed, self.again, *saved, *whole, self.learn, doubt_sizes, coast),
        ]

    def similarity(self, play: Round) -> Floats:
        """(T, N) similarity of tracks and detections, about 0..1."""
        return play.once("similarity", lambda: self._joint(play))

    def _joint(self, play: Round) -> Floats:
        s = self.settings
        joint = (1 - s.mask_weight) * play.box_iou
        if s.mask_weight:
            masks = (1 - s.hidden_weight) * play.mask_iou + s.hidden_weight * play.seen_iou
            joint = joint + s.mask_weight * masks
        if s.looks_weight and play.features is not None:
            joint = joint + s.looks_weight * (2 * self._memory.likeness(play) - 1)
        return np.asarray(joint)

    def _pair(self, play: Round, rows: Bools, columns: Bools, least: float) -> None:
        if rows.any() and columns.any():
            allowed = play.allowed(rows, columns, self.settings.by_class)
            play.pair(*assign(np.where(allowed, self.similarity(play), -np.inf), least))

    def prepare(self, play: Round) -> None:
        """Take out the camera's motion; remember looks. A lost track is not what looks otherwise."""
        self._memory.begin(play, self.settings.high)
        if self.settings.camera:
            motion = self._camera.step(play.frame, play.found)
            if motion is not STILL:
                play.tracks.warp(motion)
        if play.features is not None:
            lost = play.tracks.last_index < 0
            play.refused |= lost[:, None] & (self._memory.likeness(play) < UNLIKE)

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

    def again(self, play: Round) -> None:
        """Lost tracks with strong detections beside their masks: by looks, else by place and size."""
        s, tracks = self.settings, play.tracks
        rows = np.flatnonzero(play.free_tracks & tracks.confirmed & (tracks.last_index < 0))
        columns = play.free_found & (play.found.scores >= s.high)
        if not len(rows) or not columns.any():
            return
        allowed = play.allowed(play.free_tracks, columns, s.by_class)[rows]
        near = np.exp(-play.surprise[rows] / 10)
        own, found = tracks.masks.area[rows, None], masks_of(play.found).area
        size = np.minimum(own, found) / np.maximum(np.maximum(own, found), 1)
        places = allowed & (play.surprise[rows] < LIKELY) & (size > 0.3)
        worth = np.where(places, near * size, -np.inf)
        if play.features is not None:
            likeness = self._memory.likeness(play, rows)
            known = allowed & (self._distance(play, rows) < s.reach) & (likeness > s.again)
            worth = np.maximum(worth, np.where(known, 1 + likeness, -np.inf))
        paired, to = assign(worth, 0.0)
        play.pair(rows[paired], to)

    def _distance(self, play: Round, rows: Index) -> Floats:
        """(K, N) from where tracks are expected to detections, in diagonals of the tracks' boxes."""
        expected, found = play.boxes[rows], play.found.boxes.astype(np.float64)
        way = (found[None, :, :2] + found[None, :, 2:] - expected[:, None, :2] - expected[:, None, 2:]) / 2
        far = np.linalg.norm(expected[:, 2:] - expected[:, :2], axis=1)[:, None]
        return np.asarray(np.linalg.norm(way, axis=2) / np.maximum(far, 1e-9))

    def cut(self, play: Round) -> None:
        """Masks over two or more tracks are cut."""
        split_merged(play, order=self._whole.in_front if self.settings.whole else None)

    def rescue(self, play: Round) -> None:
        """Tracks that expect an object take weak detections."""
        rescue_weak(play, by_class=self.settings.by_class)

    def learn(self, play: Round) -> None:
        """What looks tell here is learned from the pairs that the masks make sure."""
        self._memory.learn(play, self.settings.high)

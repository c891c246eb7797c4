"""Where a track expects an object, less is asked of a detection; where none is expected, copies begin none.

Weak detections are taken up by the tracks that expect an object there, those too that were missing for some
frames (ByteTrack's second stage asks for tracks of the last frame: Zhang et al., ECCV 2022, section 3). An
object behind others is not lost as long as it stays there: its track ages slowly. A detection that lies in
another one's mask and that no track expects is a copy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .association import assign
from .round import Round

Bools = NDArray[np.bool_]
LIKELY = 9.21  # chi-square of two degrees of freedom, 99 %


@dataclass(frozen=True)
class RescueSettings:
    """When a weak detection is an expected object, and when a detection is a copy.

    Attributes:
        low: score from which a detection can be rescued.
        overlap: IoU with the expected mask (what others hide forgiven) from which it is.
        recent: frames that a track may have been missing and still expect its object.
        copy: part of a free detection that lies in one that a track has, from which it is its copy.
        own: IoU of masks with a free track from which it is no copy, but that track's.
        hidden: part of an expected mask that lies in those of other tracks, from which its object is hidden.
        slowly: how many frames older a track becomes in a frame in which its object is hidden.

    Raises:
        InputError: a value out of range.
    """

    low: float = 0.1
    overlap: float = 0.3
    recent: float = 10
    copy: float = 0.7
    own: float = 0.3
    hidden: float = 0.5
    slowly: float = 0.25

    def __post_init__(self) -> None:
        for name in ("low", "overlap", "copy", "own", "hidden", "slowly"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(
                    f"RescueSettings, {name}: expected 0 to 1, got {getattr(self, name)}; correct it"
                )


def drop_copies(play: Round, settings: RescueSettings | None = None) -> None:
    """A step after the strong detections: those that are copies of what a track has are set aside."""
    s = settings or RescueSettings()
    masks, free, taken = play.found.masks, play.free_found, play.of_found >= 0
    if masks is None or not free.any() or not taken.any():
        return
    i, j, shared = masks[free].intersection_pairs(masks[taken])
    one, other = np.flatnonzero(free)[i], np.flatnonzero(taken)[j]
    same = play.found.labels[one] == play.found.labels[other]
    inside = same & (shared >= s.copy * np.maximum(masks.area[one], 1))
    expected = np.where(play.free_tracks[:, None], play.mask_iou, 0).max(axis=0, initial=0)
    for column in np.unique(one[inside & (expected[one] < s.own)]).tolist():
        play.drop(column)


def rescue_weak(play: Round, settings: RescueSettings | None = None, by_class: bool = True) -> None:
    """A step after the usual stages: tracks that expect an object take what is left, however weak."""
    s = settings or RescueSettings()
    tracks = play.tracks
    rows = play.free_tracks & tracks.confirmed & (tracks.missing <= s.recent + 1)
    columns = play.free_found & (play.found.scores >= s.low)
    if rows.any() and columns.any():
        allowed = play.allowed(rows, columns, by_class) & (play.surprise < LIKELY)
        play.pair(*assign(np.where(allowed, np.maximum(play.seen_iou, play.mask_iou), -np.inf), s.overlap))


def keep_hidden(play: Round, settings: RescueSettings | None = None) -> None:
    """The last step: tracks whose objects are hidden behind those that were found age more slowly."""
    s = settings or RescueSettings()
    tracks = play.tracks
    age = tracks.column("age")  # ``missing`` as it was after the frame before
    rows, taken = np.flatnonzero(play.free_tracks), play.of_found >= 0
    if play.found.masks is not None and len(rows) and taken.any():
        expected = play.masks[rows]
        i, _, shared = expected.intersection_pairs(play.found.masks[taken])
        covered = np.bincount(i, shared, minlength=len(rows)) / np.maximum(expected.area, 1)
        hidden = rows[covered >= s.hidden]
        tracks.missing[hidden] = age[hidden] + s.slowly * (tracks.missing[hidden] - age[hidden])
    age[:] = np.where(play.of_track >= 0, 0, tracks.missing)

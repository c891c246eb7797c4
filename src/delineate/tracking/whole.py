"""Whole shapes of objects that are partly hidden: remembered as they were when they were seen.

A detector's mask of an object behind others is what shows of it. A track that takes that for the object sees
it shrink and its centre drift away from what hides it, and looks for it in the wrong place when it comes out
again. Here the shape last seen whole is laid on what shows, hidden parts under the masks of other tracks; its
place is what the filter is told, and the next frames expect all of it. Who hides whom is remembered, too.

Tracking by whole boxes through occlusion is old (Wu and Nevatia, "Detection and Tracking of Multiple,
Partially Occluded Humans by Bayesian Combination of Edgelet based Part Detectors", IJCV 75, 2007); the
bookkeeping with masks is this program's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.masks import Masks

from .kalman import Index
from .laid import Shape, Window, worth
from .round import Round


@dataclass(frozen=True)
class WholeSettings:
    """When an object counts as partly hidden.

    Attributes:
        smaller: an object that shows less than this part of its expected shape may be partly hidden.
        behind: part of what is missing that must lie in the masks of other tracks,
        slack: unless what is missing elsewhere is at most this part of the shape, as outlines err.
        inside: part of what shows that must lie in the shape where it was laid.
        reach: how far a shape may be moved from where it is expected, in parts of its mean side.
        least: part of an expected shape that must show for it to be laid.
        memory: frames for which it is remembered who hides whom.

    Raises:
        InputError: a value out of range.
    """

    smaller: float = 1.0
    behind: float = 0.8
    slack: float = 0.06
    inside: float = 0.7
    reach: float = 0.25
    least: float = 0.15
    memory: int = 30

    def __post_init__(self) -> None:
        for name in ("smaller", "behind", "slack", "inside", "reach", "least"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(
                    f"WholeSettings, {name}: expected 0 to 1, got {getattr(self, name)}; correct it"
                )
        if self.memory < 0:
            raise InputError(f"WholeSettings, memory: expected 0 frames or more, got {self.memory}")


class WholeShapes:
    """A step that remembers whole shapes, and who was seen in front of whom.

    Args:
        settings: a sentence each in :class:`WholeSettings`.
    """

    def __init__(self, settings: WholeSettings | None = None) -> None:
        self.settings = settings or WholeSettings()
        self._front: dict[tuple[int, int], int] = {}  # serials (behind, in front) -> frame last seen so

    def in_front(self, play: Round, rows: Index) -> NDArray[np.bool_]:
        """(K, K) bool: the first was seen in front of the second, of some tracks."""
        serial = play.tracks.serial[rows].tolist()
        return np.array([[(b, a) in self._front for b in serial] for a in serial], np.bool_)

    def learn(self, play: Round) -> None:
        """A step when all pairs are made: what the tracks are to remember instead of what shows of them."""
        self._forget(play)
        if play.found.masks is None or len(play.found) < 2:
            return
        known = np.zeros(len(play.found), np.bool_)
        rows = np.flatnonzero((play.of_track >= 0) & play.tracks.confirmed)
        known[play.of_track[rows]] = True
        seen, expected = play.found.masks.area, play.masks.area
        columns = play.of_track[rows]
        smaller = seen[columns] < self.settings.smaller * expected[rows]
        shown = seen[columns] >= self.settings.least * expected[rows]
        places: dict[int, Masks] = {}
        canvas: NDArray[np.int32] | None = None
        for row in rows[(smaller | play.part[columns]) & shown & (expected[rows] > 0)].tolist():
            over = _over(play, row, known)
            if len(over):
                canvas = play.found.masks.to_label_image() if canvas is None else canvas
                whole = self._whole(play, row, over, canvas)
                if whole is not None:
                    places[int(play.of_track[row])] = whole
        if places:
            masks, boxes = play.found.masks, play.found.boxes.copy()
            order = np.arange(len(masks))
            at = np.array(list(places))
            order[at] = len(masks) + np.arange(len(at))
            whole_masks = Masks.concatenate([masks, *places.values()])[order]
            boxes[at] = whole_masks.boxes[at]
            play.remembered = play.found.replace(masks=whole_masks, boxes=boxes, areas=None)

    def _forget(self, play: Round) -> None:
        alive = set(play.tracks.serial.tolist())
        old = play.number - self.settings.memory
        self._front = {
            pair: seen for pair, seen in self._front.items() if seen >= old and alive.issuperset(pair)
        }

    def _whole(self, play: Round, row: int, over: Index, seen: NDArray[np.int32]) -> Masks | None:
        """The expected shape laid on what shows of it, if others hide the rest.

        Args:
            play: the round.
            row: the track.
            over: detections of other tracks that lie over its expected mask.
            seen: (H, W) 1 + detection, 0 where none is.
        """
        s, size = self.settings, play.found.size
        column = int(play.of_track[row])
        boxes = np.stack((play.boxes[row], play.found.boxes[column].astype(np.float64)))
        expected, corner = play.masks.crop(row)
        side = float(np.sqrt(np.count_nonzero(expected)))
        window = Window.around(boxes, size, side, s.reach)
        here = window.of(seen)
        target, others = here == column + 1, np.isin(here, over + 1)
        at = (corner[0] - window.x1, corner[1] - window.y1)
        shape = Shape(expected, at, window.size).laid(worth(target, others), s.reach)
        drawn = shape.drawn()
        missing = drawn & ~target
        hidden = int(np.count_nonzero(missing & others))
        if np.count_nonzero(drawn & target) < s.inside * np.count_nonzero(target):
            return None
        gone = int(np.count_nonzero(missing)) - hidden
        if not hidden or gone > max((1 - s.behind) * (hidden + gone), s.slack * shape.area):
            return None
        if not play.part[column]:
            serial = play.tracks.serial
            cover = np.bincount(here[missing], minlength=len(play.found) + 1)[over + 1]
            for k in over[cover >= 0.3 * hidden].tolist():
                self._front[int(serial[row]), int(serial[play.of_found[k]])] = play.number
        place = np.array([[window.x1 + shape.at[0], window.y1 + shape.at[1]]])
        return Masks.from_crops([shape.crop], place, size)


def _over(play: Round, row: int, known: NDArray[np.bool_]) -> Index:
    """Detections of other confirmed tracks that lie over a track's expected mask."""
    i, j, _ = play.shared
    begin, end = np.searchsorted(i, [row, row + 1])
    over = j[begin:end]
    return over[known[over] & (over != play.of_track[row])]

"""One frame's association while it is being made: what the steps of a tracker look at and change.

A tracker is a list of steps, functions of a :class:`Round`. Each step pairs some of the tracks that are
still free with some of the detections that are still free (:meth:`Round.pair`), cuts a detection into parts
(:meth:`Round.split`), sets one aside (:meth:`Round.drop`), begins tracks (:meth:`Round.begin`) or ends them
(:meth:`Round.end`). What is expected of the tracks (boxes, masks) and how it overlaps the detections is
worked out when first asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core import boxes as box
from delineate.core.instances import Instances
from delineate.core.masks import Masks

from .kalman import Floats, Index
from .moved_masks import moved
from .tracks import Tracks, masks_of


class Round:
    """One frame's association.

    Attributes:
        tracks: the T tracks alive before this frame, predicted to it. Rows are tracks.
        found: the N detections; more after a split. Columns are detections.
        features: (N, D) float32 what each looks like, or None. Parts of a split have their detection's.
        frame: the pixels, or None.
        number: frames before this one.
        of_track: (T,) the detection that each track was paired with, -1 for none.
        of_found: (N,) the track that each detection was paired with, -1 for none.
        source: (N,) place in the detections that were given.
        part: (N,) bool, cut out of the detection that was given.
        dropped: (N,) bool, set aside: no track may have it or begin with it.
        doubt: (N,) factor by which the variance of a detection's measured box is larger than usual; ones.
        refused: (T, N) bool, pairs that :meth:`allowed` leaves out.
        births: detections that begin a track -> the row of its parent, or -1.
        ending: rows of tracks that end with the last frame.
        remembered: (N,) the detections as the tracks are to remember them, or None: as they were found.
    """

    def __init__(
        self,
        tracks: Tracks,
        found: Instances,
        features: NDArray[np.float32] | None = None,
        frame: NDArray[Any] | None = None,
        number: int = 0,
    ) -> None:
        """Nothing is paired yet."""
        self.tracks, self.found, self.features, self.frame, self.number = (
            tracks,
            found,
            features,
            frame,
            number,
        )
        self.of_track = np.full(len(tracks), -1)
        self.of_found = np.full(len(found), -1)
        self.source = np.arange(len(found))
        self.part = np.zeros(len(found), dtype=np.bool_)
        self.dropped = np.zeros(len(found), dtype=np.bool_)
        self.doubt = np.ones(len(found))
        self.refused = np.zeros((len(tracks), len(found)), dtype=np.bool_)
        self.births: dict[int, int] = {}
        self.ending: set[int] = set()
        self.remembered: Instances | None = None
        self._known: dict[str, Any] = {}

    # -- who is free -----------------------------------------------------------------------------------

    @property
    def free_tracks(self) -> NDArray[np.bool_]:
        """(T,) bool: neither paired nor ended."""
        free = self.of_track < 0
        free[list(self.ending)] = False
        return np.asarray(free)

    @property
    def free_found(self) -> NDArray[np.bool_]:
        """(N,) bool: neither paired, nor set aside, nor the beginning of a track."""
        free = (self.of_found < 0) & ~self.dropped
        free[list(self.births)] = False
        return np.asarray(free)

    # -- what is expected ------------------------------------------------------------------------------

    @property
    def boxes(self) -> Floats:
        """(T, 4) where the tracks are expected, xyxy."""
        return self.once("boxes", lambda: self.tracks.boxes)

    @property
    def masks(self) -> Masks:
        """T masks as expected: the last ones seen, moved along; empty where a track has none."""
        return self.once("masks", lambda: moved(self.tracks.masks, self.tracks.anchor, self.boxes))

    @property
    def box_iou(self) -> Floats:
        """(T, N) IoU of expected and found boxes."""

        def overlap() -> Floats:
            own, theirs = self.boxes, self.found.boxes.astype(np.float64)
            i, j = box.overlapping_pairs(own, theirs)
            a, b = own[i], theirs[j]
            low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
            shared = np.prod(high - low, axis=1)
            result = np.zeros((len(own), len(theirs)))
            result[i, j] = shared / (box.area(a) + box.area(b) - shared)
            return result

        return self.once("box_iou", overlap)

    @property
    def shared(self) -> tuple[Index, Index, Index]:
        """Pairs (track, detection) whose expected and found masks share pixels, and how many: (P,) each."""
        return self.once("shared", lambda: self.masks.intersection_pairs(masks_of(self.found)))

    @property
    def mask_iou(self) -> Floats:
        """(T, N) IoU of expected and found masks; that of the boxes where either has no mask."""

        def overlap() -> Floats:
            own, theirs = self.masks.area, masks_of(self.found).area
            i, j, shared = self.shared
            result = np.zeros((len(own), len(theirs)))
            result[i, j] = shared / (own[i] + theirs[j] - shared)
            without = (self.tracks.masks.area == 0)[:, None] | (theirs == 0)
            return np.where(without, self.box_iou, result) if without.any() else result

        return self.once("mask_iou", overlap)

    @property
    def seen_iou(self) -> Floats:
        """(T, N) IoU of masks that forgives what is hidden: expected pixels under other detections.

        What stands before an object hides a part of it; that part speaks against no detection.
        """

        def overlap() -> Floats:
            own, theirs = self.masks.area, masks_of(self.found).area
            i, j, shared = self.shared
            covered = np.bincount(i, shared, minlength=len(own))
            result = np.zeros((len(own), len(theirs)))
            left = np.maximum(own[i] - covered[i] + shared, shared)  # masks may overlap
            result[i, j] = shared / (left + theirs[j] - shared)
            without = (self.tracks.masks.area == 0)[:, None] | (theirs == 0)
            return np.where(without, self.box_iou, result) if without.any() else result

        return self.once("seen_iou", overlap)

    @property
    def surprise(self) -> Floats:
        """(T, N) squared Mahalanobis distance between where each track's centre is expected and found.

        Chi-square of two degrees of freedom if the track is that detection: 9.21 in one case of a hundred.
        """

        def distance() -> Floats:
            tracks = self.tracks
            value, var = tracks.kalman.value, tracks.kalman.var + tracks.motion.noise(tracks.kalman.value)
            found = tracks.motion.measure(self.found.boxes)
            x, y = (found[:, k] - value[:, k, None] for k in (0, 1))
            return np.asarray(x * x / var[:, 0, None] + y * y / var[:, 1, None])

        return self.once("surprise", distance)

    @property
    def same_class(self) -> NDArray[np.bool_]:
        """(T, N) bool."""
        return np.asarray(self.tracks.labels[:, None] == self.found.labels)

    def allowed(
        self, rows: NDArray[np.bool_], columns: NDArray[np.bool_], by_class: bool = True
    ) -> NDArray[np.bool_]:
        """(T, N) bool: pairs of these tracks (T,) and detections (N,), of one class if ``by_class``."""
        pairs = rows[:, None] & columns & ~self.refused
        return pairs & self.same_class if by_class else pairs

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What ``make`` gives, worked out when first asked for, and anew after a split."""
        if name not in self._known:
            self._known[name] = make()
        return self._known[name]

    # -- what is decided -------------------------------------------------------------------------------

    def pair(self, rows: Index, columns: Index) -> None:
        """These tracks are these detections; (P,) each, distinct and free."""
        self.of_track[rows] = columns
        self.of_found[columns] = rows

    def part_ways(self, row: int) -> None:
        """A track and its detection are free again."""
        column = int(self.of_track[row])
        if column >= 0:
            self.of_found[column], self.of_track[row] = -1, -1

    def drop(self, column: int) -> None:
        """Set a detection aside (a duplicate, say); a track that had it is free again."""
        if self.of_found[column] >= 0:
            self.part_ways(int(self.of_found[column]))
        self.dropped[column] = True

    def begin(self, column: int, parent: int = -1) -> None:
        """A track begins with this free detection; ``parent`` is the row of the one that divided, or -1.

        A track with a parent is confirmed at once.
        """
        self.births[int(column)] = int(parent)

    def end(self, row: int) -> None:
        """A track ended with the last frame; its detection, if any, is free again."""
        self.part_ways(row)
        self.ending.add(int(row))

    def split(self, column: int, parts: Masks, rows: Index) -> None:
        """A detection covers several tracks: cut it and pair each part with its track.

        Args:
            column: the detection; a track that had it loses it. It keeps the first part, the others
                become new detections at the end.
            parts: two masks or more, none empty.
            rows: (P,) the tracks that the parts belong to, free or ``column``'s own.
        """
        rows = np.asarray(rows, dtype=np.int64)
        if self.of_found[column] >= 0:
            self.part_ways(int(self.of_found[column]))
        count, extra = len(self.found), len(parts) - 1
        order = np.concatenate((np.arange(count), np.full(extra, column)))
        columns = np.concatenate(([column], np.arange(count, count + extra)))
        pieces = order.copy()
        pieces[columns] = count + np.arange(len(parts))
        masks = Masks.concatenate((masks_of(self.found), parts))[pieces]
        corners = self.found.boxes[order].copy()
        corners[columns] = parts.boxes
        self.found = self.found[order].replace(masks=masks, boxes=corners, areas=None)
        self.features = None if self.features is None else self.features[order]
        self.source, self.part, self.dropped = self.source[order], self.part[order], self.dropped[order]
        self.doubt, self.refused = self.doubt[order], self.refused[:, order]
        self.of_found = np.concatenate((self.of_found, np.full(extra, -1)))
        self.part[columns] = True
        self._known = {name: known for name, known in self._known.items() if name in ("boxes", "masks")}
        self.pair(rows, columns)

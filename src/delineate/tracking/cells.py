"""The tracker of cells: they drift, change their shape a little, vanish for a frame or two, and divide."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from delineate.core import runs as run
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks

from .divisions import CUT, Divisions, Floats, Index, Shapes, weigh
from .joint import choose
from .motion import CentreSize
from .round import Round
from .stepwise import Life, Stepwise
from .tracked import Tracked
from .tracks import masks_of

ANY_AREA = 0.57  # density of the logarithm of a cell's area over another's, for cells that have no tie
MEMORY = 60.0  # links that what was learned of the cells' steps is worth
TAIL = 8.0  # degrees of freedom of Student's t: outlines fail more often than a normal density allows
T_SCALE = float(gammaln((TAIL + 1) / 2) - gammaln(TAIL / 2) - np.log(TAIL * np.pi) / 2)


@dataclass(frozen=True)
class CellsSettings(Life):
    """Settings of the tracker ``cells``; lengths in the radius of a disc of the cell's area.

    Attributes:
        begin: score from which a detection that no track claims begins one.
        confirm: detections in a row until a track is told of and has an id; in a video's first frame at once.
        patience: frames (of the usual interval) for which a cell may be missing before its track ends.
        low: score below which a detection is not looked at.
        step: standard deviation of a cell's step in a frame along each axis, to begin with; it is learned
            from the links as they are made.
        jitter: the same of an outline's centre, when the cell does not move.
        persistence: how much of its velocity a cell keeps from frame to frame, in 0..1.
        reach: farthest that a cell may have gone in a frame.
        area_spread: standard deviation of the logarithm of a cell's area from frame to frame.
        overlap: gain of a link whose mask covers just the pixels that are expected, in natural logarithms.
        appear: share of the cells that appear in a frame without a parent.
        vanish: share that vanish.
        divide: share that divide; 0 for things that never do.
        division: what divisions look like.
        by_class: whether a track keeps its class.

    Raises:
        InputError: a value out of its range.
    """

    begin: float = 0.5
    confirm: int = 1
    patience: float = 3
    low: float = 0.1
    step: float = 0.4
    jitter: float = 0.1
    persistence: float = 0.5
    reach: float = 3.0
    area_spread: float = 0.2
    overlap: float = 4.0
    appear: float = 0.02
    vanish: float = 0.02
    divide: float = 0.02
    division: Divisions = field(default_factory=Divisions)
    by_class: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        ranges = {
            "low": (0, 1), "step": (1e-3, 1e3), "jitter": (1e-3, 1e3), "persistence": (0, 1),
            "reach": (1e-3, 1e6), "area_spread": (1e-3, 1e3), "overlap": (0, 1e3), "appear": (1e-9, 1),
            "vanish": (1e-9, 0.5), "divide": (0, 0.49),
        }  # fmt: skip
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise InputError(f"cells, {name}: expected {least:g} to {most:g}, got {value}; correct it")


class CellsTracker(Stepwise):
    """Follows cells and tells of their divisions.

    Each link and each division has a gain: the logarithm of how likely it makes what is seen, over the track
    having vanished and the cells having come from nowhere. The links and divisions of a frame are chosen
    together (:func:`.joint.choose`), so that a daughter is not taken for her mother because she is nearest.

    Args:
        settings: a sentence each in :class:`CellsSettings`.

    Example:
        >>> cell = Masks.from_label_image(np.pad(np.ones((8, 8), int), 8))
        >>> pair = Masks.from_label_image(np.pad([[1] * 7 + [0] * 2 + [2] * 7] * 6, ((8, 10), (4, 4))))
        >>> tracker = CellsTracker()
        >>> seen = [tracker.update(Instances((24, 24), masks=m)) for m in (cell, cell, pair)]
        >>> [t.instances.ids.tolist() for t in seen], seen[2].ended, seen[2].parents
        ([[1], [1], [2, 3]], (1,), {2: 1, 3: 1})
    """

    def __init__(self, settings: CellsSettings | None = None) -> None:
        self.settings = settings or CellsSettings()
        super().__init__([self.lineage], self.settings, CentreSize())
        self._variance = self.settings.step**2  # of a step along an axis, in radii^2
        self._born: dict[int, int] = {}  # id of a daughter -> frame of her birth

    def lineage(self, play: Round) -> None:
        """The one step: links and divisions, chosen together."""
        s, tracks = self.settings, play.tracks
        usable = play.free_found & (play.found.scores >= s.low)
        if not len(tracks) or not usable.any():
            return
        own, theirs = self._expected(play), shapes(play.found)
        near = self._near(play, own, theirs) & usable
        height, width = play.found.size
        new = np.log(
            s.appear * len(tracks) / (height * width) * ANY_AREA
        )  # log density of a cell from nowhere
        gone = np.log(s.vanish)
        links = np.full(near.shape, -np.inf)
        i, j = np.nonzero(near)
        links[i, j] = self._links(play, own, theirs, i, j) + np.log(1 - s.vanish - s.divide) - gone - new
        covered = np.zeros(near.shape)
        i, j, shared = play.shared
        covered[i, j] = shared
        fertile = near & self._fertile(tracks.ids)[:, None]
        pairs = weigh(own, theirs, fertile, covered, tracks.missing, s.division, self.step)
        gains = pairs.worth + (np.log(s.divide) if s.divide else -np.inf) - gone - 2 * new
        table = np.stack(pairs[:3], axis=1)
        linked, to, divided = choose(links, table, gains)
        self._learn(own, theirs, linked, to, tracks.missing)
        play.pair(linked, to)
        for mother, one, other in table[divided].tolist():
            play.end(mother)
            play.begin(one, mother)
            play.begin(other, mother)

    def update(
        self,
        found: Instances,
        frame: NDArray[Any] | None = None,
        *,
        time: float | None = None,
        features: NDArray[np.float32] | None = None,
    ) -> Tracked:
        """Take the next frame's detections and say who is who; see :class:`.tracked.Tracker`."""
        result = super().update(found, frame, time=time, features=features)
        self._born |= dict.fromkeys(result.parents, self._number)
        young = self._number - self.settings.division.youth
        self._born = {i: at for i, at in self._born.items() if at > young}
        return result

    @property
    def step(self) -> float:
        """Standard deviation of a cell's step in a frame along each axis, in radii, as learned so far."""
        return float(np.sqrt(self._variance))

    def _fertile(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(T,) whether each may divide: told of, and not born a moment ago."""
        young = np.array(sorted(self._born), dtype=np.int64)
        return np.asarray((ids > 0) & ~np.isin(ids, young))

    def _expected(self, play: Round) -> Shapes:
        """The tracks where they should be: as last seen, moved by a part of the filter's motion."""
        last = shapes_of(play.tracks.masks, play.tracks.seen)
        way = (
            play.boxes[:, :2] + play.boxes[:, 2:] - play.tracks.anchor[:, :2] - play.tracks.anchor[:, 2:]
        ) / 2
        return last._replace(centre=last.centre + self.settings.persistence * way)

    def _near(self, play: Round, own: Shapes, theirs: Shapes) -> NDArray[np.bool_]:
        """(T, N) within reach, and of the same class if that is asked."""
        far = self.settings.reach * own.radius * np.sqrt(np.maximum(play.tracks.missing, 1))
        across, down = (own.centre[:, None, k] - theirs.centre[:, k] for k in (0, 1))
        near = across * across + down * down <= far[:, None] ** 2
        return near & play.same_class if self.settings.by_class else near

    def _links(self, play: Round, own: Shapes, theirs: Shapes, i: Index, j: Index) -> Floats:
        """(P,) logarithm of the density of what is seen if track i is detection j, per pixel^2."""
        s = self.settings
        unsure = CUT**2 * (own.cut[i] | theirs.cut[j])
        var = s.jitter**2 + self._variance * np.maximum(play.tracks.missing, 1)[i] + unsure
        var = var * own.radius[i] ** 2
        squares = ((theirs.centre[j] - own.centre[i]) ** 2).sum(axis=1)
        place = -(TAIL / 2 + 1) * np.log1p(squares / (TAIL * var))
        place -= np.log(2 * np.pi * var)  # Student's t in the plane
        spread = np.sqrt(s.area_spread**2 + unsure)
        ratio = np.log(theirs.area[j] / own.area[i]) / spread
        area = T_SCALE - (TAIL + 1) / 2 * np.log1p(ratio**2 / TAIL) - np.log(spread)  # Student's t
        return np.asarray(place + area + s.overlap * play.mask_iou[i, j])

    def _learn(self, own: Shapes, theirs: Shapes, rows: Index, columns: Index, missing: Floats) -> None:
        """Take in how far the cells went; outliers count as no more than three deviations."""
        way = (theirs.centre[columns] - own.centre[rows]) / own.radius[rows, None]
        squares = (way**2).sum(axis=1) / 2 / np.maximum(missing[rows], 1)
        if not len(squares):
            return
        squares = np.minimum(squares, 9 * (self._variance + self.settings.jitter**2))
        weight = len(squares) / (len(squares) + MEMORY)
        least, most = (self.settings.step / 10) ** 2, (self.settings.step * 10) ** 2
        learned = (1 - weight) * self._variance + weight * float(squares.mean())
        self._variance = float(np.clip(learned, least, most))


def shapes(found: Instances) -> Shapes:
    """The detections in numbers."""
    return shapes_of(masks_of(found), found.boxes.astype(np.float64))


def shapes_of(masks: Masks, boxes: Floats) -> Shapes:
    """N masks in numbers; those without a pixel by their (N, 4) boxes.

    Example:
        >>> m = Masks.from_label_image(np.array([[1, 1, 0], [1, 1, 0]]))
        >>> shapes_of(m, np.zeros((1, 4))).centre.tolist()
        [[1.0, 1.0]]
    """
    r, area = masks.runs, masks.area.astype(np.float64)
    x = run.segment_sums(r.length * (2 * r.x.astype(np.int64) + 1), r.offsets)
    y = run.segment_sums(r.length * (2 * r.y.astype(np.int64) + r.length), r.offsets)
    centre = np.stack((x, y), axis=1) / 2 / np.maximum(area, 1)[:, None]
    bare = area == 0
    corners = boxes[bare]
    centre[bare] = (corners[:, :2] + corners[:, 2:]) / 2
    area[bare] = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
    height, width = masks.size
    edges = np.where(bare[:, None], boxes, masks.boxes)
    cut = (edges[:, :2] < 1).any(axis=1) | (edges[:, 2:] > np.array([width, height]) - 1).any(axis=1)
    return Shapes(centre, np.maximum(area, 1), np.asarray(cut))

"""What each track looks like: a bounded memory, and how much a likeness means.

Features of a general network are alike for all objects of a kind; how alike is learned as the video goes on.
Two detections of one frame are surely two objects; a detection that lies where a track's mask is expected is
surely that track. From the cosines of both kinds follow the odds of "the same" (Fisher's discriminant with
one variance: Fisher, "The Use of Multiple Measurements in Taxonomic Problems", Annals of Eugenics 7, 1936).
Features that tell objects not apart then count for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .kalman import Floats, Index
from .round import Round

Features = NDArray[np.float32]
KEEP = 0.9  # of a track's recent look from frame to frame, as in BoT-SORT (arXiv:2206.14651, section 3.3)
EVERY = 10  # sightings from one remembered view to the next
SURE = 0.5  # IoU from which a detection is surely the track
MEMORY = 2000.0  # pairs that the learned means remember
ENOUGH = 20.0  # pairs of either kind before a likeness means anything
MOST = 64  # detections of a frame that are compared with each other


class AppearanceMemory:
    """Looks of the tracks and what likeness means, over one video.

    Each track has its recent look, a running mean, and some views of the past that serve to know it again.

    Args:
        views: views of the past that are kept of each track.
    """

    def __init__(self, views: int = 4) -> None:
        self.views = views
        self.same, self.other = Cosines(), Cosines()
        self._before: Round | None = None

    def begin(self, play: Round, least: float) -> None:
        """Take in what was decided in the frame before; to be called first in a frame.

        Args:
            play: this frame's round.
            least: score that a detection must have for its look to be remembered.
        """
        before, self._before = self._before, play
        if before is None or before.features is None or not len(before.features):
            return
        found, tracks = before.found, play.tracks
        looks = self._looks(play, before.features.shape[1])
        clear = (found.scores >= least) & ~before.part
        rows = np.flatnonzero(tracks.last_index >= 0)
        rows = rows[clear[tracks.last_index[rows]]]
        seen = before.features[tracks.last_index[rows]]
        known = ~np.isnan(looks[rows, 0, 0])
        mean = np.where(known[:, None], KEEP * looks[rows, 0] + (1 - KEEP) * seen, seen)
        looks[rows, 0] = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)
        due = (tracks.hits[rows] % EVERY == 1) | ~known
        slot = 1 + tracks.hits[rows] // EVERY % self.views
        looks[rows[due], slot[due]] = seen[due]

    def learn(self, play: Round, least: float) -> None:
        """Take in how alike one object's looks and two objects' are; to be called when pairs are made.

        Args:
            play: this frame's round.
            least: score that a detection must have to be compared.
        """
        if play.features is None or not len(play.features):
            return
        rows = np.flatnonzero(play.of_track >= 0)
        columns = play.of_track[rows]
        sure = (play.mask_iou[rows, columns] > SURE) & ~play.part[columns]
        looks = self._looks(play, play.features.shape[1])[rows[sure], 0]
        cosine = (looks * play.features[columns[sure]]).sum(axis=1)
        self.same.add(cosine[~np.isnan(cosine)])
        some = np.flatnonzero((play.found.scores >= least) & ~play.part)[:MOST]
        labels = play.found.labels[some]
        i, j = np.nonzero(np.triu(labels[:, None] == labels, k=1))
        self.other.add((play.features[some] @ play.features[some].T)[i, j])

    def likeness(self, play: Round, rows: Index | None = None) -> Floats:
        """Probability in 0..1 that a track and a detection are the same by their looks; 0.5: not known.

        Args:
            play: this frame's round.
            rows: (K,) tracks whose views of the past are compared too; default: all tracks, by their recent
                looks only.

        Returns:
            (T, N), or (K, N) of chosen rows.
        """
        count = len(play.tracks) if rows is None else len(rows)
        if play.features is None or not play.features.size or not count:
            return np.full((count, len(play.found)), 0.5)
        looks = self._looks(play, play.features.shape[1])
        cosine = looks[:, 0] @ play.features.T if rows is None else _best(looks[rows], play.features)
        return np.where(np.isnan(cosine), 0.5, self.probability(cosine))

    def probability(self, cosine: NDArray[np.floating]) -> Floats:
        """Cosines to probabilities of being one object, at even odds."""
        same, other = self.same, self.other
        if same.mean <= other.mean or min(same.count, other.count) < ENOUGH:
            return np.full(np.shape(cosine), 0.5)
        spread = (same.variance + other.variance) / 2 + 1e-6
        odds = (cosine - (same.mean + other.mean) / 2) * (same.mean - other.mean) / spread
        return 1 / (1 + np.exp(-np.clip(odds, -30, 30)))

    def _looks(self, play: Round, length: int) -> Features:
        """(T, 1 + views, D): the recent look, then views of the past; nan where there is none."""
        return play.tracks.column("looks", (1 + self.views, length), np.nan, np.float32)


@dataclass
class Cosines:
    """Mean and variance of cosines, the last ones counting most.

    Attributes:
        count: of cosines, up to a limit.
        mean: of them.
        variance: of them.
    """

    count: float = 0.0
    mean: float = 0.0
    variance: float = 0.0

    def add(self, values: NDArray[np.floating]) -> None:
        """Take in some more."""
        if not len(values):
            return
        total = self.count + len(values)
        mean, variance = float(values.mean()), float(values.var())
        share = len(values) / total
        step = mean - self.mean
        self.variance += share * (variance - self.variance) + share * (1 - share) * step * step
        self.mean += share * step
        self.count = min(total, MEMORY)


def _best(looks: Features, features: Features) -> Floats:
    """(K, N) largest cosine of any look of each track; nan where it has none."""
    cosine = np.einsum("kvd,nd->kvn", looks, features, optimize=True)
    best = np.where(np.isnan(cosine), -np.inf, cosine).max(axis=1)
    return np.where(np.isinf(best), np.nan, best)

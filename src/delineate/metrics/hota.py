"""HOTA: how well objects are found, and how well they are kept apart over time, in one number.

Luiten, Ošep, Dendorfer, Torr, Geiger, Leal-Taixé and Leibe, "HOTA: A Higher Order Metric for Evaluating
Multi-object Tracking", IJCV 2021, as its authors' TrackEval computes it, digit by digit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from .hota_report import HotaCounts, HotaReport
from .pairwise_sum import sparse_sum
from .track_frames import EPS, TrackFrame, TrackFrames, Tracks

ALPHAS: NDArray[np.float64] = np.arange(0.05, 0.99, 0.05)
"""(19,) IoU thresholds 0.05 to 0.95, as TrackEval rounds them."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class HOTA(TrackFrames):
    """HOTA, DetA, AssA and LocA over the frames of many sequences.

    Example:
        >>> from delineate.core.instances import Instances
        >>> def frame(*ids: int) -> Instances:
        ...     return Instances((9, 9), boxes=[[4 * i, 0, 4 * i + 3, 9] for i in (0, 1)], ids=list(ids))
        >>> metric = HOTA("box")
        >>> for number, found in enumerate([(5, 6), (5, 6), (6, 5), (6, 5)]):
        ...     metric.update(frame(*found), frame(1, 2), number)
        >>> scores = metric.compute().scores
        >>> round(scores["HOTA"], 4), scores["DetA"], round(scores["AssA"], 4)
        (0.5774, 1.0, 0.3333)
    """

    def compute(self) -> HotaReport:
        """The scores of all frames so far; may be called again after more updates."""
        names = self.labels.names
        classes: dict[str, HotaCounts] = {}
        sequences: dict[str, dict[str, HotaCounts]] = {name: {} for name in self.sequences}
        for label in self.used_labels():
            parts = {sequence: _judge(self.tracks(sequence, label)) for sequence in self.sequences}
            classes[names[label]] = HotaCounts.combine(list(parts.values()))
            for sequence, part in parts.items():
                sequences[sequence][names[label]] = part
        each = list(classes.values())
        total = each[0] if len(each) == 1 else HotaCounts.combine(each or [HotaCounts.nothing(len(ALPHAS))])
        return HotaReport(total, classes, sequences, tuple(ALPHAS.tolist()), self.kind)


def _judge(tracks: Tracks) -> HotaCounts:
    """The counts of one class of one sequence at each of :data:`ALPHAS`."""
    none = np.zeros(len(ALPHAS))
    if not tracks.true_objects or not tracks.predicted_objects:
        return HotaCounts(
            none, none + tracks.true_objects, none + tracks.predicted_objects, none, none, none, none + 1
        )
    a, b = tracks.pair_tracks()
    width = len(tracks.predicted_ids)
    pairs, pair = np.unique(a * width + b, return_inverse=True)  # (K,) pairs of tracks that ever overlap
    lengths_a, lengths_b = tracks.true_lengths()[pairs // width], tracks.predicted_lengths()[pairs % width]
    weights = np.concatenate((np.zeros(0), *(_alignment(frame) for frame in tracks.frames)))
    potential = np.bincount(pair, weights, minlength=len(pairs))
    aligned = potential / (lengths_a + lengths_b - potential)
    together = np.zeros((len(ALPHAS), len(pairs)))  # frames in which the two tracks are matched
    tp, located, begin = none.copy(), none.copy(), 0
    for frame in tracks.frames:
        end = begin + len(frame.row)
        if len(frame.true) and len(frame.predicted):
            here = pair[begin:end]
            good, iou, chosen = _match(frame, aligned[here], here)
            tp += good.sum(axis=1)
            located += np.cumsum(np.where(good, iou, 0), axis=1)[:, -1]  # one after the other
            real = chosen >= 0  # a pair without overlap reaches no alpha
            together[:, chosen[real]] += good[:, real]
        begin = end
    matched, cells = np.maximum(1, tp), len(tracks.true_ids) * width

    def mean(frames: NDArray[Any]) -> Floats:
        share = together * (together / np.maximum(1, frames))
        return np.array([sparse_sum(pairs, row, cells) for row in share]) / matched

    return HotaCounts(
        tp=tp,
        fn=tracks.true_objects - tp,
        fp=tracks.predicted_objects - tp,
        ass_a=mean(lengths_a + lengths_b - together),
        ass_re=mean(lengths_a),
        ass_pr=mean(lengths_b),
        loc_a=np.maximum(1e-10, located) / np.maximum(1e-10, tp),
    )


def _alignment(frame: TrackFrame) -> Floats:
    """(S,) similarity of each pair, divided by all that its two objects overlap with in the frame."""
    matrix = frame.matrix()
    by_row, by_column = matrix.sum(1)[frame.row], matrix.sum(0)[frame.column]
    joint = by_column + by_row - frame.similarity
    return np.divide(frame.similarity, joint, out=np.zeros_like(joint), where=joint > EPS)


def _match(frame: TrackFrame, aligned: Floats, pair: Ints) -> tuple[NDArray[np.bool_], Floats, Ints]:
    """Matches the objects of one frame one to one.

    Returns:
        Of M pairs of objects: (19, M) whether it is a match at each alpha, (M,) its IoU, (M,) its pair of
        tracks, -1 where the two do not overlap.
    """
    score = np.zeros((len(frame.true), len(frame.predicted)))
    score[frame.row, frame.column] = aligned * frame.similarity
    rows, columns = linear_sum_assignment(-score)
    iou = frame.matrix()[rows, columns]
    which = np.full(score.shape, -1)
    which[frame.row, frame.column] = pair
    return iou >= ALPHAS[:, None] - EPS, iou, which[rows, columns]

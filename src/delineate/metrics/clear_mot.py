"""CLEAR MOT: MOTA, MOTP, identity switches, fragments, tracks mostly followed; MOTSA and sMOTSA on masks.

Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance: The CLEAR MOT Metrics", EURASIP
2008; Voigtlaender et al., "MOTS: Multi-Object Tracking and Segmentation", CVPR 2019, section 4 (soft MOTSA);
as TrackEval computes them, digit by digit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from .clear_report import ClearCounts, ClearReport
from .track_frames import EPS, TrackFrame, TrackFrames, Tracks
from .track_overlap import Kind

Ints = NDArray[np.int64]
NOBODY = -1


class ClearMOT(TrackFrames):
    """CLEAR MOT scores over the frames of many sequences.

    Args:
        kind: ``"mask"`` or ``"box"`` IoU.
        threshold: IoU from which two objects may match.

    Example:
        >>> from delineate.core.instances import Instances
        >>> def frame(name: int) -> Instances:
        ...     return Instances((9, 9), boxes=[[0, 0, 3, 9]], ids=[name])
        >>> metric = ClearMOT("box")
        >>> for number, found in enumerate([5, 5, 5, 8]):
        ...     metric.update(frame(found), frame(1), number)
        >>> scores = metric.compute().scores
        >>> scores["MOTA"], scores["IDSW"], scores["MT"]
        (0.75, 1, 1)
    """

    def __init__(self, kind: Kind = "mask", threshold: float = 0.5) -> None:
        super().__init__(kind)
        self.threshold = float(threshold)

    def compute(self) -> ClearReport:
        """The scores of all frames so far; may be called again after more updates."""
        names = self.labels.names
        classes: dict[str, ClearCounts] = {}
        sequences: dict[str, dict[str, ClearCounts]] = {name: {} for name in self.sequences}
        for label in self.used_labels():
            for sequence in self.sequences:
                counts = _judge(self.tracks(sequence, label), self.threshold)
                sequences[sequence][names[label]] = counts
                classes[names[label]] = classes.get(names[label], ClearCounts()) + counts
        total = sum(classes.values(), ClearCounts())
        return ClearReport(total, classes, sequences, self.threshold, self.kind)


class _Follower:
    """What is known of each true track while its frames go by; (A,) each."""

    def __init__(self, tracks: int) -> None:
        self.frames = np.zeros(tracks, np.int64)  # present
        self.matched = np.zeros(tracks, np.int64)
        self.times = np.zeros(tracks, np.int64)  # how often it was picked up anew
        self.last = np.full(tracks, NOBODY)  # the track that matched it last, ever
        self.before = np.full(tracks, NOBODY)  # in the frame before


def _judge(tracks: Tracks, threshold: float) -> ClearCounts:
    """The counts of one class of one sequence."""
    if not tracks.true_objects or not tracks.predicted_objects:
        return ClearCounts(
            fn=tracks.true_objects, fp=tracks.predicted_objects, lost=len(tracks.true_ids), frames=0
        )
    state = _Follower(len(tracks.true_ids))
    tp = switches = 0
    overlap = 0.0
    for frame, true, predicted in zip(tracks.frames, tracks.true, tracks.predicted, strict=True):
        state.frames[true] += 1
        if len(true) and len(predicted):  # else the reference leaves the frame out of "the frame before"
            number, switched, similarity = _step(frame, true, predicted, state, threshold)
            tp += number
            switches += switched
            overlap += similarity
    share = state.matched / state.frames
    mostly, partly = int((share > 0.8).sum()), int((share >= 0.2).sum())
    return ClearCounts(
        tp=tp,
        fn=tracks.true_objects - tp,
        fp=tracks.predicted_objects - tp,
        switches=switches,
        fragments=int(np.maximum(state.times - 1, 0).sum()),
        tracked=mostly,
        partly=partly - mostly,
        lost=len(tracks.true_ids) - partly,
        overlap=overlap,
        frames=len(tracks.frames),
    )


def _step(
    frame: TrackFrame, true: Ints, predicted: Ints, state: _Follower, threshold: float
) -> tuple[int, int, float]:
    """One frame: matched pairs, identity switches, sum of the matched IoU."""
    similarity = frame.matrix()
    score = 1000 * (predicted == state.before[true][:, None]) + similarity
    score[similarity < threshold - EPS] = 0
    rows, columns = linear_sum_assignment(-score)
    good = score[rows, columns] > EPS
    rows, columns = rows[good], columns[good]
    objects, names = true[rows], predicted[columns]
    earlier = state.last[objects]
    switches = int(((earlier != NOBODY) & (earlier != names)).sum())
    state.matched[objects] += 1
    fresh = state.before == NOBODY
    state.last[objects] = names
    state.before[:] = NOBODY
    state.before[objects] = names
    state.times += fresh & (state.before != NOBODY)
    total = 0.0
    for value in similarity[rows, columns].tolist():  # one after the other, as the reference adds them
        total += value
    return len(rows), switches, total

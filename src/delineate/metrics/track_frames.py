"""What the tracking scores need of a video: per frame the ids and how far true and predicted objects overlap.

Frames are kept sparse: a few dozen bytes a detection, never a mask. All three scores (HOTA, CLEAR MOT,
identity) are computed from them in frame order, so that it does not matter how frames were shared out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels

from .track_overlap import Kind, inside_ignored, overlap

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class TrackFrame:
    """The objects of one class in one frame, after ignore regions.

    Attributes:
        true: (T,) int64 ids of the true tracks, in the order of the frame.
        predicted: (P,) int64 ids of the predicted tracks.
        row: (S,) int32 index into ``true`` of each pair that overlaps, sorted by (row, column).
        column: (S,) int32 index into ``predicted``.
        similarity: (S,) float64, in 0..1, above 0.
    """

    true: Ints
    predicted: Ints
    row: NDArray[np.int32]
    column: NDArray[np.int32]
    similarity: Floats

    @classmethod
    def of(cls, true: Ints, predicted: Ints, similarity: Floats) -> TrackFrame:
        """From a (T, P) matrix of similarities."""
        row, column = np.nonzero(similarity)
        return cls(
            true.copy(),
            predicted.copy(),
            row.astype(np.int32),
            column.astype(np.int32),
            similarity[row, column],
        )

    def matrix(self) -> Floats:
        """(T, P) similarities."""
        result = np.zeros((len(self.true), len(self.predicted)))
        result[self.row, self.column] = self.similarity
        return result


@dataclass(frozen=True, slots=True)
class Tracks:
    """One class of one sequence, ids renumbered 0.. in ascending order of the ids.

    Attributes:
        frames: in ascending order of the frame numbers, frames without objects included.
        true: per frame (T,) index of the true track.
        predicted: per frame (P,) index of the predicted track.
        true_ids: (A,) the ids.
        predicted_ids: (B,) the ids.
    """

    frames: tuple[TrackFrame, ...]
    true: tuple[Ints, ...]
    predicted: tuple[Ints, ...]
    true_ids: Ints
    predicted_ids: Ints

    @classmethod
    def of(cls, frames: list[TrackFrame]) -> Tracks:
        """Renumbers the ids."""
        true_ids, true = _renumbered([f.true for f in frames])
        predicted_ids, predicted = _renumbered([f.predicted for f in frames])
        return cls(tuple(frames), true, predicted, true_ids, predicted_ids)

    @property
    def true_objects(self) -> int:
        """True objects over all frames."""
        return sum(map(len, self.true))

    @property
    def predicted_objects(self) -> int:
        """Predicted objects over all frames."""
        return sum(map(len, self.predicted))

    def true_lengths(self) -> Ints:
        """(A,) frames of each true track."""
        return np.bincount(_joined(self.true), minlength=len(self.true_ids))

    def predicted_lengths(self) -> Ints:
        """(B,) frames of each predicted track."""
        return np.bincount(_joined(self.predicted), minlength=len(self.predicted_ids))

    def pair_tracks(self) -> tuple[Ints, Ints]:
        """Of every overlapping pair of every frame, in order: true track and predicted track, (S,) each."""
        rows = [t[f.row] for f, t in zip(self.frames, self.true, strict=True)]
        columns = [p[f.column] for f, p in zip(self.frames, self.predicted, strict=True)]
        return _joined(rows), _joined(columns)


def _joined(parts: list[Ints] | tuple[Ints, ...]) -> Ints:
    return np.concatenate((np.zeros(0, np.int64), *parts))


def _renumbered(parts: list[Ints]) -> tuple[Ints, tuple[Ints, ...]]:
    ids = np.unique(_joined(parts))
    return ids, tuple(np.searchsorted(ids, part) for part in parts)


class TrackFrames:
    """The frames of many sequences, by class; what the tracking scores are made of.

    Args:
        kind: what objects are compared by: ``"mask"`` or ``"box"`` IoU.

    Raises:
        InputError: another kind.
    """

    def __init__(self, kind: Kind = "mask") -> None:
        if kind not in ("mask", "box"):
            raise InputError(
                f"{type(self).__name__}: expected kind 'mask' or 'box', got {kind!r}; choose one"
            )
        self.kind: Kind = kind
        self._classes: Labels | None = None
        self._frames: dict[str, dict[int, dict[int, TrackFrame]]] = {}  # sequence, frame, class

    def update(
        self,
        pred: Instances,
        truth: Instances,
        frame: int,
        sequence: str = "",
        similarity: ArrayLike | None = None,
    ) -> None:
        """Add one frame; frames and sequences may come in any order.

        Args:
            pred: the predicted objects, with ``ids`` of their tracks; scores are not looked at.
            truth: the true objects, with ``ids``. Its crowd regions are ignore regions: a prediction of any
                class that matches no true object of its class (IoU 0.5) and of which more than half lies in
                them is not judged.
            frame: its number, >= 0.
            sequence: the name of the video.
            similarity: (P, T) numbers in 0..1 to take instead of the IoU, such as the IoU of boxes in full
                precision; rows as ``pred``, columns as ``truth``.

        Raises:
            InputError: ids missing or twice in a frame, other classes or sizes, a frame given twice.
        """
        where = f"{type(self).__name__}: sequence {sequence!r}, frame {frame}"
        self._check(pred, truth, frame, sequence, where)
        matrix = (
            overlap(pred, truth, self.kind) if similarity is None else _given(similarity, pred, truth, where)
        )
        seen: dict[int, TrackFrame] = {}
        objects = ~truth.crowd
        ignored: NDArray[np.bool_] | None = None
        for label in np.union1d(truth.labels[objects], pred.labels).tolist():
            t = np.flatnonzero(objects & (truth.labels == label))
            p = np.flatnonzero(pred.labels == label)
            part = matrix[np.ix_(p, t)].T  # (T, P)
            if truth.crowd.any() and len(p):
                ignored = inside_ignored(pred, truth[truth.crowd], self.kind) if ignored is None else ignored
                keep = matched(part) | ~ignored[p]
                p, part = p[keep], part[:, keep]
            if len(t) or len(p):
                seen[label] = TrackFrame.of(_ids(truth)[t], _ids(pred)[p], part)
        self._frames.setdefault(sequence, {})[int(frame)] = seen
        self._classes = truth.classes

    def _check(self, pred: Instances, truth: Instances, frame: int, sequence: str, where: str) -> None:
        classes = self._classes or truth.classes
        if not pred.classes == truth.classes == classes:
            raise InputError(
                f"{where}: expected one list of classes in all, got others; map the labels first"
            )
        if self.kind == "mask" and pred.size != truth.size:
            raise InputError(
                f"{where}: expected a prediction of the frame's size {truth.size} (height, width), "
                f"got {pred.size}; predict on the original frames"
            )
        for name, side in (("prediction", pred), ("truth", truth)):
            if self.kind == "mask" and side.masks is None and len(side):
                raise InputError(f"{where}: expected masks in the {name}, got boxes only; use kind='box'")
            if side.ids is None and len(side):
                raise InputError(f"{where}: expected ids of tracks in the {name}, got none; track it first")
            ids, counts = np.unique(_ids(side)[~side.crowd], return_counts=True)
            if (counts > 1).any():
                raise InputError(
                    f"{where}: expected each id once in a frame, got {ids[counts > 1][0]} "
                    f"{counts.max()} times in the {name}; give each object its own track"
                )
        if frame < 0 or frame != int(frame):
            raise InputError(f"{where}: expected a frame number >= 0, got {frame}; count the frames")
        if frame in self._frames.get(sequence, ()):
            raise InputError(f"{where}: expected every frame once, got it twice; name the sequences apart")

    def merge(self, other: TrackFrames) -> None:
        """Take over the frames of another shard; the result does not depend on how they were shared out.

        Raises:
            InputError: another kind or other classes, or a frame seen by both.
        """
        where = f"{type(self).__name__}.merge"
        known = [m._classes for m in (self, other) if m._classes is not None]
        if self.kind != other.kind or any(c != known[0] for c in known):
            raise InputError(f"{where}: expected the same kind and classes, got others; merge like with like")
        for sequence, frames in other._frames.items():
            mine = self._frames.setdefault(sequence, {})
            both = mine.keys() & frames.keys()
            if both:
                raise InputError(
                    f"{where}: expected other frames, got frame {min(both)} of {sequence!r} in both; "
                    "share out the frames"
                )
            mine.update(frames)
        self._classes = known[0] if known else None

    @property
    def sequences(self) -> tuple[str, ...]:
        """Their names, sorted; the order in which they are combined."""
        return tuple(sorted(self._frames))

    @property
    def labels(self) -> Labels:
        """The classes."""
        return self._classes if self._classes is not None else Labels(("class 0",))

    def used_labels(self) -> list[int]:
        """Indices of the classes that have a true or a predicted object."""
        found = {label for frames in self._frames.values() for seen in frames.values() for label in seen}
        return sorted(found)

    def tracks(self, sequence: str, label: int) -> Tracks:
        """One class of one sequence."""
        return Tracks.of(list(self._of(sequence, label)))

    def _of(self, sequence: str, label: int) -> Iterator[TrackFrame]:
        nothing = TrackFrame.of(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 0)))
        frames = self._frames[sequence]
        for number in sorted(frames):
            yield frames[number].get(label, nothing)


def matched(similarity: Floats) -> NDArray[np.bool_]:
    """(P,) which predictions have a partner of IoU 0.5 in the best one-to-one matching of (T, P)."""
    scores = np.where(similarity < 0.5 - EPS, -10000.0, similarity)
    rows, columns = linear_sum_assignment(-scores)
    result = np.zeros(similarity.shape[1], dtype=np.bool_)
    result[columns[scores[rows, columns] > EPS]] = True
    return result


def _ids(objects: Instances) -> Ints:
    return np.zeros(0, np.int64) if objects.ids is None else objects.ids


def _given(similarity: ArrayLike, pred: Instances, truth: Instances, where: str) -> Floats:
    matrix = np.asarray(similarity, dtype=np.float64)
    if matrix.shape != (len(pred), len(truth)) or not ((matrix >= 0) & (matrix <= 1)).all():
        raise InputError(
            f"{where}: expected similarities in 0..1 of shape {(len(pred), len(truth))} "
            f"(predictions, truths), got {matrix.shape}; give one row per prediction"
        )
    return matrix

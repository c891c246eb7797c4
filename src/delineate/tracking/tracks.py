"""The tracks that are alive: one row each, in columns, so that hundreds go on together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core import runs as run
from delineate.core.instances import Instances
from delineate.core.masks import Masks

from .kalman import Floats, Index, Kalman
from .motion import Motion

COLUMNS = (
    "serial",
    "ids",
    "labels",
    "seen",
    "sighted",
    "hits",
    "streak",
    "missing",
    "confirmed",
    "last_index",
)


class Tracks:
    """T tracks.

    Attributes:
        motion: what the filter follows.
        kalman: the T filters, predicted to the present frame.
        serial: (T,) int64, a number for each track from its first detection on, never used again.
        ids: (T,) int64, 0 for a track that is not confirmed.
        labels: (T,) int64 classes.
        seen: (T, 4) boxes as last detected.
        sighted: (T, 5, 4) the filters' states when last detected.
        masks: T masks as last detected, empty where there was only a box.
        hits: (T,) detections so far.
        streak: (T,) detections in the last frames without a gap.
        missing: (T,) frames (of the usual interval) since the last detection; 0 when just seen.
        confirmed: (T,) bool.
        last_index: (T,) int64, the detection that it was in the last frame, -1 for none.
        own: columns of a tracker's own, see :meth:`column`.
    """

    def __init__(self, motion: Motion, size: tuple[int, int]) -> None:
        """No tracks yet, on frames of ``size`` (height, width)."""
        self.motion, self.kalman = motion, Kalman()
        self.masks = Masks.empty(size)
        self.serial, self.ids, self.labels, self.hits, self.streak, self.last_index = (
            np.zeros(0, dtype=np.int64) for _ in range(6)
        )
        self.seen, self.sighted = np.zeros((0, 4)), np.zeros((0, 5, 4))
        self.missing = np.zeros(0)
        self.confirmed = np.zeros(0, dtype=np.bool_)
        self.own: dict[str, NDArray[Any]] = {}
        self._fills: dict[str, float] = {}
        self._born = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def boxes(self) -> Floats:
        """(T, 4) where the tracks are expected, or were corrected to once they were met."""
        return self.motion.boxes(self.kalman.value)

    @property
    def anchor(self) -> Floats:
        """(T, 4) boxes of the filter when last detected; masks move along from here."""
        return self.motion.boxes(self.sighted[:, 0])

    def column(
        self, name: str, shape: tuple[int, ...] = (), fill: float = 0.0, dtype: Any = np.float64
    ) -> NDArray[Any]:
        """A column of rows of ``shape`` of a tracker's own, made when first asked for.

        It lives and dies with the tracks; a new track begins with ``fill``.
        """
        if name not in self.own:
            self.own[name] = np.full((len(self), *shape), fill, dtype=dtype)
            self._fills[name] = fill
        return self.own[name]

    def predict(self, dt: float) -> None:
        """Go on by ``dt`` frames."""
        self.kalman.speed = self.motion.settled(self.kalman.value, self.kalman.speed, self.last_index < 0)
        self.kalman.predict(dt, *self.motion.step(self.kalman.value))
        self.missing = self.missing + dt

    def warp(self, motion: Floats) -> None:
        """Move all with the camera.

        Args:
            motion: (2, 3); a point x lies at ``motion[:, :2] @ x + motion[:, 2]`` now. Boxes stay upright:
                they are moved and scaled, not turned.
        """
        turn, scale = motion[:, :2], float(np.sqrt(max(np.linalg.det(motion[:, :2]), 1e-9)))
        k = self.kalman
        k.value = self.motion.measure(_warped(self.boxes, motion, scale))
        k.speed[:, :2] = k.speed[:, :2] @ turn.T
        for name in ("var", "cov", "speed_var"):
            getattr(k, name)[:, :2] *= scale * scale
        self.seen = _warped(self.seen, motion, scale)

    def add(self, found: Instances, index: Index) -> Index:
        """New tracks of some detections; their rows."""
        value = self.motion.measure(found.boxes[index])
        self.kalman.add(value, *self.motion.begin(value))
        count = len(index)
        none = np.zeros(count, dtype=np.int64)
        fresh = {
            "serial": self._born + np.arange(count),
            "ids": none,
            "labels": found.labels[index],
            "seen": found.boxes[index].astype(np.float64),
            "sighted": self.kalman.state[len(self) :],
            "hits": none + 1,
            "streak": none + 1,
            "missing": np.zeros(count),
            "confirmed": np.zeros(count, dtype=np.bool_),
            "last_index": index,
        }
        for name in COLUMNS:
            setattr(self, name, np.concatenate((getattr(self, name), fresh[name])))
        for name, column in self.own.items():
            more = np.full((count, *column.shape[1:]), self._fills[name], dtype=column.dtype)
            self.own[name] = np.concatenate((column, more))
        self.masks = Masks.concatenate((self.masks, masks_of(found)[index]))
        self._born += count
        return np.arange(len(self) - count, len(self))

    def meet(self, rows: Index, found: Instances, index: Index, doubt: Floats | None = None) -> None:
        """Take in that these tracks (distinct) are these detections.

        Args:
            rows: (K,) tracks.
            found: the detections.
            index: (K,) place of each track's.
            doubt: (N,) factors of the detections' variance; default ones.
        """
        value = self.motion.measure(found.boxes[index])
        noise = self.motion.noise(value)
        self.kalman.update(rows, value, noise if doubt is None else noise * doubt[index, None])
        self.seen[rows] = found.boxes[index]
        self.sighted[rows] = self.kalman.state[rows]
        self.streak[rows] = np.where(self.last_index[rows] >= 0, self.streak[rows] + 1, 1)
        self.hits[rows] += 1
        self.missing[rows] = 0
        order = np.arange(len(self))
        order[rows] = len(self) + np.arange(len(rows))
        self.masks = Masks.concatenate((self.masks, masks_of(found)[index]))[order]

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Forget all but these."""
        if rows.all():
            return
        self.kalman.keep(rows)
        for name in COLUMNS:
            setattr(self, name, getattr(self, name)[rows])
        self.own = {name: column[rows] for name, column in self.own.items()}
        self.masks = self.masks[rows]


def _warped(boxes: Floats, motion: Floats, scale: float) -> Floats:
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 @ motion[:, :2].T + motion[:, 2]
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * scale
    return np.concatenate((centre - half, centre + half), axis=1)


def masks_of(found: Instances) -> Masks:
    """The masks, or empty ones where only boxes are known."""
    if found.masks is not None:
        return found.masks
    none = np.zeros(0, dtype=np.int64)
    return Masks(found.size, run.pack(none, none, none, none, count=len(found)))

"""What a tracker takes and gives: detections of one frame in, the same objects with identities out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances


@dataclass(frozen=True, eq=False)
class Tracked:
    """The tracked objects of one frame.

    Attributes:
        instances: the M confirmed objects, ``ids`` set (1 and above, never used again for another object);
            boxes, masks and scores as detected, or as cut out of a merged mask.
        index: (M,) int64 place of each in the detections that were given. Two objects may share one: its
            mask covered both and was split.
        split: (M,) bool, whether the mask is a part of the detection's.
        ended: ids that will never come again.
        parents: id -> id of the parent, for tracks that begin in this frame by a division.

    Raises:
        InputError: no ids, an id below 1 or twice, or columns of different length.
    """

    instances: Instances
    index: NDArray[np.int64]
    split: NDArray[np.bool_]
    ended: tuple[int, ...] = ()
    parents: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, dtype in (("index", np.int64), ("split", np.bool_)):
            column = np.array(getattr(self, name), dtype=dtype).reshape(-1)
            column.flags.writeable = False
            object.__setattr__(self, name, column)
        ids = self.instances.ids
        count = len(self.instances)
        if len(self.index) != count or len(self.split) != count:
            raise InputError(
                f"Tracked: expected index and split of {count} objects, got {len(self.index)} and "
                f"{len(self.split)}; give one of each per object"
            )
        if ids is None or (ids < 1).any() or len(np.unique(ids)) != count:
            raise InputError("Tracked: expected distinct ids above 0, got others; number every track once")

    def __len__(self) -> int:
        return len(self.instances)


class Tracker(Protocol):
    """Anything that follows objects from frame to frame."""

    def update(
        self,
        found: Instances,
        frame: NDArray[Any] | None = None,
        *,
        time: float | None = None,
        features: NDArray[np.float32] | None = None,
    ) -> Tracked:
        """Take the next frame's detections and say who is who.

        The result depends on the calls so far only: the same calls to a new tracker give the same ids.

        Args:
            found: N detections, weak ones too (score 0.1 and above) for the second stage. Masks or boxes
                only; the image size may not change within a video.
            frame: (H, W) or (H, W, 3) pixels, looked at for the camera's motion only.
            time: of the frame in seconds, where the frame rate varies; default: one interval after the last.
            features: (N, D) float32 of length one that look alike for one object (cosine similarity).

        Returns:
            The confirmed objects of this frame.

        Raises:
            InputError: times that do not rise, or features of another length.
        """
        ...

"""Tracked objects as a file or folder holds them: frame by frame, decoded only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.lineage import Lineage


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """One frame.

    Attributes:
        number: as the files count it.
        objects: with ``ids``; crowd marks ignore regions.
        boxes: (N, 4) float64 xyxy as the file writes them, or None where it has masks.
        considered: (N,) bool, objects to be judged (MOT Challenge's flag), or None: all.
    """

    number: int
    objects: Instances
    boxes: NDArray[np.float64] | None = None
    considered: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class TrackSequence:
    """One video's tracked objects; ``sequence[frame]`` decodes one frame.

    Attributes:
        name: of the video.
        frames: numbers of the frames that are known, ascending.
        classes: of its objects.
        decode: one of ``frames`` to its objects.
        where: the file or folder.
        kind: ``"mask"`` or ``"box"``: what the objects have.
        size: (height, width) of the frames, or None where the files do not say.
        complete: whether ``frames`` are all frames of the video, those without objects too.
        lineage: parents of the tracks, or None where the format has none.
        segmentation: a second reading of the same video for SEG of the Cell Tracking Challenge, or None.
    """

    name: str
    frames: tuple[int, ...]
    classes: Labels
    decode: Callable[[int], TrackedFrame]
    where: Path
    kind: str = "mask"
    size: tuple[int, int] | None = None
    complete: bool = False
    lineage: Lineage | None = None
    segmentation: TrackSequence | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_known", frozenset(self.frames))

    def __len__(self) -> int:
        return len(self.frames)

    def __contains__(self, frame: object) -> bool:
        return frame in self._known  # type: ignore[attr-defined]

    def __getitem__(self, frame: int) -> TrackedFrame:
        """The objects of one frame.

        Raises:
            DatasetError: the frame is not among ``frames``, or is not well formed.
        """
        if frame not in self:
            raise DatasetError(
                f"{self.where}: expected one of {len(self)} frames {self.frames[:1]} to {self.frames[-1:]}, "
                f"got {frame}; choose one that is there"
            )
        return self.decode(frame)

    def get(self, frame: int) -> TrackedFrame | None:
        """Likewise; None where the frame is not among ``frames``."""
        return self.decode(frame) if frame in self else None

    def __iter__(self) -> Iterator[TrackedFrame]:
        return (self.decode(frame) for frame in self.frames)


def empty_frame(number: int, size: tuple[int, int], classes: Labels, kind: str) -> TrackedFrame:
    """A frame without objects."""
    objects = Instances.empty(size, classes).replace(ids=np.zeros(0, np.int64))
    return TrackedFrame(number, objects, None if kind == "mask" else np.zeros((0, 4)))

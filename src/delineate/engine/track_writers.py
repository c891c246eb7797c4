"""Tracked objects as an overlay video, as a result of the Cell Tracking Challenge, as trajectories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from delineate.apply.draw_tracks import TrackDrawing
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.video import VideoWriter
from delineate.tracking.ground import Ground
from delineate.tracking.tracked import Tracked

from .track import FoundTracks


class Overlay:
    """The frames with their objects drawn on them, as an MP4; each is shown at its own time.

    Args:
        path: the file.
        rate: frames per second, on average.
        trail: points of the trail behind each object.
    """

    def __init__(self, path: Path, rate: float, trail: int) -> None:
        self._video = VideoWriter(path, rate)
        self._drawing = TrackDrawing(trail)
        self._first: float | None = None

    def __enter__(self) -> Overlay:
        return self

    def __exit__(self, *_: object) -> None:
        self._video.close()

    def add(self, found: FoundTracks) -> None:
        """Draw and encode one frame."""
        self._first = found.time if self._first is None else self._first
        drawn = self._drawing.draw(found.instances, found.frame, found.tracked.ended)
        self._video.add(drawn, found.time - self._first)


class CtcOutput:
    """A result folder of the Cell Tracking Challenge; frames count from the first one on.

    A frame that could not be read has no objects there, so that the others keep their numbers.

    Args:
        path: the folder.
        every: of the source's frames each so-many-th is one.
    """

    def __init__(self, path: Path, every: int = 1) -> None:
        from .ctc_result import CtcFolder

        self._folder = CtcFolder(path)
        self._every = every
        self._last: int | None = None

    def __enter__(self) -> CtcOutput:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.close()

    def add(self, found: FoundTracks) -> None:
        """The next frame."""
        missing = 0 if self._last is None else (found.number - self._last) // self._every - 1
        for _ in range(missing):
            self._folder.add(_nobody(found.instances))
        self._folder.add(found.tracked)
        self._last = found.number


def _nobody(like: Instances) -> Tracked:
    empty = Instances(like.size, masks=Masks.empty(like.size), classes=like.classes)
    return Tracked(empty.replace(ids=np.zeros(0, np.int64)), np.zeros(0, np.int64), np.zeros(0, np.bool_))


class TrajectoryTables:
    """Where the objects go, as the tables of :mod:`delineate.engine.trajectories`.

    Where each object stands in each frame is kept until the end: 100 objects in 1,000 frames take some 10 MB.

    Args:
        path: the folder.
        rate: frames per second, for the report.
        ground: from the frames' size (height, width) to the ground; None: all is told in pixels.
    """

    def __init__(
        self, path: Path, rate: float, ground: Callable[[tuple[int, int]], Ground] | None = None
    ) -> None:
        self.path, self._rate, self._ground = path, rate, ground
        self._size = (0, 0)
        self._seen: Any = None

    def __enter__(self) -> TrajectoryTables:
        return self

    def add(self, found: FoundTracks) -> None:
        """The next frame."""
        from delineate.tracking.sightings import Seen

        if self._seen is None:
            self._seen = Seen(found.instances.classes)
            self._size = found.instances.size
        self._seen.add(found.number, found.time, found.instances)

    def __exit__(self, *_: object) -> None:
        if self._seen is None:
            return
        from delineate.tracking.plane import Plane

        from .trajectories import save, trajectories

        try:
            import pyarrow  # noqa: F401

            saves = ("parquet", "picture")
        except ImportError:
            saves = ("csv", "picture")
        plane = None if self._ground is None else Plane(self._ground(self._size))
        record = {"rate": self._rate, "frames": len(self._seen)}
        save(trajectories(self._seen, plane), self.path, saves, plane, record)

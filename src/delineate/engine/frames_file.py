"""The objects of a video's frames as one COCO file, written as the frames come."""

from __future__ import annotations

import json
from array import array
from pathlib import Path
from typing import IO, Any, Protocol

from delineate import __version__
from delineate.core.instances import Instances


class FrameObjects(Protocol):
    """The objects of one frame."""

    @property
    def number(self) -> int:
        """The frame's, from 0."""
        ...

    @property
    def time(self) -> float:
        """Seconds from the start."""
        ...

    @property
    def instances(self) -> Instances:
        """The objects; ``ids`` become ``track_id``."""
        ...


class FramesFile:
    """A COCO file whose annotations are written as the frames come, so that none is held.

    Its images are the frames: ``id``, ``file_name``, ``video_id``, ``frame_id``, ``frame``, ``time``,
    ``width`` and ``height`` each, so that those who read videos in COCO's manner find one.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self._file: IO[str]
        self._number = 0
        self._frames, self._times = array("q"), array("d")
        self._last: Instances | None = None

    def __enter__(self) -> FramesFile:
        self._file = self.path.open("w", encoding="ascii")
        info = _text({"description": f"predictions in {self.name}", "version": f"delineate {__version__}"})
        self._file.write(f'{{"info":{info},"annotations":[')
        return self

    def add(self, found: FrameObjects) -> None:
        """The objects of the next frame."""
        self._frames.append(found.number)
        self._times.append(found.time)
        self._last = found.instances[:0]
        for line in found.instances.to_coco(image_id=len(self._frames), first_id=self._number + 1):
            self._file.write((",\n" if self._number else "\n") + _text(line))
            self._number += 1

    def __exit__(self, *_: object) -> None:
        self._file.write('\n],"images":[')
        height, width = self._last.size if self._last is not None else (0, 0)
        for i, (frame, seconds) in enumerate(zip(self._frames, self._times, strict=True), 1):
            record = {"id": i, "file_name": f"{self.name}#{frame}", "video_id": 1, "frame_id": frame}
            record |= {"frame": frame, "time": round(seconds, 6)}
            self._file.write((",\n" if i > 1 else "\n") + _text(record | {"width": width, "height": height}))
        classes = self._last.classes if self._last is not None else None
        pairs = zip(classes.ids, classes.names, strict=True) if classes is not None else ()
        videos, names = [{"id": 1, "name": self.name}], [{"id": i, "name": n} for i, n in pairs]
        self._file.write(f'\n],"videos":{_text(videos)},"categories":{_text(names)}}}\n')
        self._file.close()


def _text(record: Any) -> str:
    return json.dumps(record, separators=(",", ":"), allow_nan=False)

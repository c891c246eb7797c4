"""The files that tracked objects go to, frame by frame: overlay video, COCO, MOTS, MOT, a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from delineate.apply.draw_tracks import TrackDrawing
from delineate.core.errors import InputError
from delineate.data.video import VideoWriter

from .frames_file import FramesFile
from .sink import Sink
from .track import FoundTracks
from .track_text import MotFile, MotsFile, TableFile

ENDINGS = {
    "overlay": ".tracks.mp4",
    "coco": ".tracks.json",
    "mots": ".mots.txt",
    "mot": ".mot.txt",
    "table": ".tracks.csv",
}
KINDS = tuple(ENDINGS)


class Writer(Protocol):
    """One file while it is written."""

    def add(self, found: FoundTracks, /) -> object: ...  # noqa: D102
    def __enter__(self) -> Any: ...
    def __exit__(self, *_: object) -> None: ...


class Overlay:
    """The frames with their objects drawn on them, as an MP4."""

    def __init__(self, path: Path, rate: float, trail: int) -> None:
        self._video = VideoWriter(path, rate)
        self._drawing = TrackDrawing(trail)

    def __enter__(self) -> Overlay:
        return self

    def __exit__(self, *_: object) -> None:
        self._video.close()

    def add(self, found: FoundTracks) -> None:
        """Draw and encode one frame."""
        drawn = self._drawing.draw(found.instances, found.frame, found.tracked.ended)
        self._video.add(drawn, found.time)


class TrackOutputs:
    """The files of one source, drawn, encoded and written in a thread of their own; a context manager.

    Each file has a hidden name beside its own until the end, also where an error or Ctrl-C ends the run;
    what was done so far is in it then.

    Args:
        folder: where they go; made where it is missing.
        stem: what their names begin with.
        kinds: which of :data:`KINDS`.
        source: what the files call it.
        rate: frames per second, on average.
        number_of: the number that MOTS and MOT text have for a frame's number; default one more, for they
            count from 1.
        trail: points of the trail that is drawn behind each object.
        ahead: frames that wait for drawing at most; 0 draws at once.

    Attributes:
        files: path by kind.
        done: frames written.
    """

    def __init__(
        self,
        folder: str | Path,
        stem: str,
        kinds: Sequence[str],
        *,
        source: str,
        rate: float,
        number_of: Callable[[int], int] | None = None,
        trail: int = 40,
        ahead: int = 2,
    ) -> None:
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            raise InputError(
                f"save: expected some of {', '.join(KINDS)}, got {unknown[0]!r}; choose of these"
            )
        self.files = {kind: Path(folder) / (stem + ENDINGS[kind]) for kind in kinds}
        if kinds:
            Path(folder).mkdir(parents=True, exist_ok=True)
        self.done = 0
        number = number_of or (lambda k: k + 1)
        makers: dict[str, Callable[[Path], Writer]] = {
            "overlay": lambda path: Overlay(path, rate, trail),
            "coco": lambda path: FramesFile(path, source),
            "mots": lambda path: MotsFile(path, number),
            "mot": lambda path: MotFile(path, number),
            "table": TableFile,
        }
        self._writers: dict[str, Writer] = {}
        try:
            for kind, path in self.files.items():
                self._writers[kind] = makers[kind](_part(path)).__enter__()
        except BaseException:
            self._finish()
            raise
        self._sink: Sink[FoundTracks] = Sink(self._write, ahead)

    def __enter__(self) -> TrackOutputs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._sink.close()
        finally:
            self._finish()

    def add(self, found: FoundTracks) -> None:
        """The next frame.

        Raises:
            InputError: a frame before it could not be written.
        """
        self._sink.put(found)

    def _write(self, found: FoundTracks) -> None:
        for writer in self._writers.values():
            writer.add(found)
        self.done += 1

    def _finish(self) -> None:
        """Close all files; they take their names where there is a frame in them."""
        for kind, writer in self._writers.items():
            path = self.files[kind]
            try:
                writer.__exit__(None, None, None)
            finally:
                if self.done:
                    _part(path).replace(path)
                else:
                    _part(path).unlink(missing_ok=True)


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")

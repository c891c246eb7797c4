"""What tracked objects are written to, frame by frame: pictures, COCO, MOTS, MOT, CTC, tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from delineate.core.errors import InputError
from delineate.tracking.ground import Ground

from .frames_file import FramesFile
from .sink import Sink
from .track import FoundTracks
from .track_text import MotFile, MotsFile, TableFile
from .track_writers import CtcOutput, Overlay, TrajectoryTables

ENDINGS = {
    "overlay": ".tracks.mp4",
    "coco": ".tracks.json",
    "mots": ".mots.txt",
    "mot": ".mot.txt",
    "ctc": "_RES",
    "table": ".tracks.csv",
    "trajectories": ".trajectories",
}
KINDS = tuple(ENDINGS)


class Writer(Protocol):
    """One file or folder while it is written."""

    def add(self, found: FoundTracks, /) -> object: ...  # noqa: D102
    def __enter__(self) -> Any: ...
    def __exit__(self, *_: object) -> None: ...


@dataclass(frozen=True)
class Film:
    """What a writer must know of what is followed.

    Attributes:
        name: what files call it.
        rate: frames per second that are looked at, on average.
        number_of: the number that MOTS and MOT text have for a frame's number; None: one more, for they
            count from 1.
        every: of its frames, each so-many-th is looked at.
        trail: points of the trail that is drawn behind each object.
        ground: from the frames' size (height, width) to where their pixels lie on the ground; None:
            trajectories are in pixels.
    """

    name: str
    rate: float = 25.0
    number_of: Callable[[int], int] | None = None
    every: int = 1
    trail: int = 40
    ground: Callable[[tuple[int, int]], Ground] | None = None


def _next(number: int) -> int:
    return number + 1


MAKERS: dict[str, Callable[[Path, Film], Writer]] = {
    "overlay": lambda path, film: Overlay(path, film.rate, film.trail),
    "coco": lambda path, film: FramesFile(path, film.name),
    "mots": lambda path, film: MotsFile(path, film.number_of or _next),
    "mot": lambda path, film: MotFile(path, film.number_of or _next),
    "ctc": lambda path, film: CtcOutput(path, film.every),
    "table": lambda path, film: TableFile(path),
    "trajectories": lambda path, film: TrajectoryTables(path, film.rate, film.ground),
}


class TrackOutputs:
    """The files of one source, drawn, encoded and written in a thread of their own; a context manager.

    Each has a hidden name beside its own until the end, also where an error or Ctrl-C ends the run; what was
    done so far is in it then.

    Args:
        folder: where they go; made where it is missing.
        stem: what their names begin with.
        kinds: which of :data:`KINDS`.
        film: what is followed.
        ahead: frames that wait for drawing at most; 0 draws at once, in the caller's thread.

    Attributes:
        files: path by kind.
        done: frames written.

    Raises:
        InputError: an unknown kind, or no place to write.
    """

    def __init__(
        self, folder: str | Path, stem: str, kinds: Sequence[str], film: Film, ahead: int = 2
    ) -> None:
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            raise InputError(
                f"save: expected some of {', '.join(KINDS)}, got {unknown[0]!r}; choose of these"
            )
        self.files = {kind: Path(folder) / (stem + ENDINGS[kind]) for kind in kinds}
        self.done = 0
        self._writers: dict[str, Writer] = {}
        try:
            if kinds:
                Path(folder).mkdir(parents=True, exist_ok=True)
            for kind, path in self.files.items():
                _check_replaceable(path)
                _remove(_part(path))  # of a run that was killed
                self._writers[kind] = MAKERS[kind](_part(path), film).__enter__()
        except OSError as error:
            self._finish()
            raise InputError(
                f"{folder}: expected to write here, got {error.strerror or error}; choose another place"
            ) from None
        except BaseException:
            self._finish()
            raise
        self._sink: Sink[FoundTracks] = Sink(self._write, ahead)

    def __enter__(self) -> TrackOutputs:
        return self

    def __exit__(self, *_: object) -> None:
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

    def told(self) -> list[str]:
        """What the formats could not hold, a sentence each."""
        losses = [getattr(writer, "losses", None) for writer in self._writers.values()]
        return [line for lost in losses if lost is not None for line in lost.told()]

    def _write(self, found: FoundTracks) -> None:
        for writer in self._writers.values():
            writer.add(found)
        self.done += 1

    def _finish(self) -> None:
        """Close all files; they take their names where there is a frame in them."""
        errors: list[BaseException] = []
        for kind, writer in self._writers.items():
            path = self.files[kind]
            try:
                writer.__exit__(None, None, None)
                if self.done:
                    _remove(path)
                    _part(path).replace(path)
            except BaseException as error:  # the other files are finished all the same
                errors.append(error)
            _remove(_part(path))
        if errors:
            raise errors[0]


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


OURS = ("mask*.tif", "res_track.txt", "*.parquet", "*.csv", "report.json", "birds-eye.png", "lineage.png")
"""Files in the folders that are written here."""


def _check_replaceable(path: Path) -> None:
    """Refuse to write over a folder that holds anything but an earlier result."""
    if path.is_dir():
        own = {file for pattern in OURS for file in path.glob(pattern)}
        if others := [file.name for file in path.iterdir() if file not in own]:
            raise InputError(
                f"{path}: expected an earlier result or nothing here, got {others[0]}; choose another place"
            )


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

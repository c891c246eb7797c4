"""What was found in each image of a long run, on disk image by image, so that a run that was killed goes on.

The file is a row of gzip members, each one line of JSON (``zcat`` shows it): the run's settings, then one
for each image, at the end perhaps that all were tried and some failed. A member has its own check sum: one
that was half written when the power went is known as such and cut off. Memory keeps the place of each image
in the file, not what was found in it, so that it hardly grows with the run.
"""

from __future__ import annotations

import json
import os
import threading
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from delineate.core.errors import InputError

FORM = "delineate predict 1"
GZIP = 31  # zlib's window bits for a gzip member
PIECE = 1 << 16  # bytes read at a time
_END = "finished"


class BatchJournal:
    """Notes on the images of one run; a context manager. The file is made with the first note.

    Notes may be taken in one thread and looked up in another.

    Args:
        path: the file.
        what: the settings, as plain values: notes of other settings are refused.
        resume: go on with the file, where it is there.

    Raises:
        InputError: an unfinished run without ``resume``, or one of other settings.
    """

    def __init__(self, path: Path, what: Mapping[str, Any], resume: bool = False) -> None:
        self.path = path
        self._head = json.loads(json.dumps({"form": FORM, **what}))
        self._places: dict[tuple[str, int], tuple[str, int, int]] = {}
        self._units: dict[str, int] = {}
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()
        self.finished = False
        if not (path.is_file() and path.stat().st_size):
            return
        self._open("r+b")
        try:
            self._read(resume)
        except BaseException:
            self.close()
            raise
        if not resume:
            self.close()
            if self._places and not self.finished:
                raise InputError(
                    f"{path}: expected no unfinished run here, got one; go on with it by --resume, or delete "
                    "this file to begin anew"
                )
            self._places.clear()
            self._units.clear()
            path.unlink()
        self.finished = False

    def __enter__(self) -> BatchJournal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._places)

    def units(self, source: str, stamp: str) -> int | None:
        """How many images a source has, where that is known and the source is as it was."""
        place = self._places.get((source, 0))
        return self._units.get(source) if place is not None and place[0] == stamp else None

    def get(self, source: str, unit: int, stamp: str) -> dict[str, Any] | None:
        """What was noted of an image whose file has this stamp; None where it has to be done."""
        place = self._places.get((source, unit))
        return self._at(*place[1:])["entry"] if place is not None and place[0] == stamp else None

    def add(self, source: str, unit: int, units: int, stamp: str, entry: Mapping[str, Any]) -> None:
        """Notes an image, to disk.

        Args:
            source: the file.
            unit: which of its images, from 0.
            units: how many it has.
            stamp: size and time of the file.
            entry: plain values.
        """
        line = {"source": source, "unit": unit, "units": units, "stamp": stamp, "entry": entry}
        with self._lock:
            self._places[source, unit] = (stamp, *self._add(line))
            self._units[source] = units

    def entries(self, sources: Mapping[str, str]) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """All that was noted of some sources, in their order, one at a time: source, unit, entry.

        Args:
            sources: stamp by source.
        """
        for source, stamp in sources.items():
            for unit in range(self._units.get(source, 0)):
                entry = self.get(source, unit, stamp)
                if entry is not None:
                    yield source, unit, entry

    def end(self, whole: bool) -> None:
        """Ends a run: its files are written.

        Args:
            whole: every file was done. The notes go; else they stay, for ``resume`` to try the failed ones.
        """
        if whole:
            self.close()
            self.path.unlink(missing_ok=True)
        elif self._places:
            if self._file is None:
                self._open("r+b")
            self._add({_END: True})
            self.close()

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, mode: str) -> IO[bytes]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open(mode)
        except OSError as error:
            raise InputError(
                f"{self.path}: expected to write here, got {error.strerror or error}; choose another place"
            ) from None
        return self._file

    def _add(self, line: Mapping[str, Any]) -> tuple[int, int]:
        if self._file is None:
            self._open("w+b")
            self._add(self._head)
        assert self._file is not None
        packer = zlib.compressobj(1, zlib.DEFLATED, GZIP)
        data = packer.compress(json.dumps(line, separators=(",", ":")).encode() + b"\n") + packer.flush()
        start = self._file.seek(0, os.SEEK_END)
        self._file.write(data)
        self._file.flush()
        os.fsync(self._file.fileno())
        return start, len(data)

    def _at(self, start: int, length: int) -> dict[str, Any]:
        assert self._file is not None
        with self._lock:
            self._file.seek(start)
            data = self._file.read(length)
        found: dict[str, Any] = json.loads(zlib.decompress(data, GZIP))
        return found

    def _read(self, resume: bool) -> None:
        """Finds the place of every note; cuts off what was half written."""
        assert self._file is not None
        whole = 0
        for number, (start, length, line) in enumerate(_members(self._file)):
            if not number:
                if line != self._head and resume:
                    raise InputError(
                        f"{self.path}: expected an unfinished run with these settings, got one with "
                        f"others ({_differences(line, self._head)}); give the same settings, or delete this "
                        "file to begin anew"
                    )
            elif line.get(_END):
                self.finished = True
            else:
                self.finished = False
                self._places[line["source"], line["unit"]] = (line["stamp"], start, length)
                self._units[line["source"]] = line["units"]
            whole = start + length
        if resume:
            self._file.truncate(whole)
            if not whole:  # not even its settings were written
                self._add(self._head)


def _members(file: IO[bytes]) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Place, length and content of each whole member, from the beginning, one at a time."""
    file.seek(0)
    start, buffer = 0, b""
    while True:
        unpacker = zlib.decompressobj(GZIP)
        text, used = b"", 0
        try:
            while not unpacker.eof:
                buffer = buffer or file.read(PIECE)
                if not buffer:
                    return
                text += unpacker.decompress(buffer)
                used += len(buffer) - len(unpacker.unused_data)
                buffer = unpacker.unused_data
            line = json.loads(text)
        except (zlib.error, ValueError):
            return
        if not isinstance(line, dict):
            return
        yield start, used, line
        start += used


def _differences(line: Mapping[str, Any], head: Mapping[str, Any]) -> str:
    names = sorted(key for key in {*line, *head} if line.get(key) != head.get(key))
    return ", ".join(names)

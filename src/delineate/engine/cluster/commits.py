"""The commit log: which files count. Whatever else lies in the folder, of workers that died, does not."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from delineate.core.errors import InputError

from .places import Place

FORM = "delineate cluster 1"
FOLDER = "_cluster"
"""Where a run's own files lie; readers of Parquet folders pass over names that begin so."""
LOG = f"{FOLDER}/log"
EVERY = 2.0
"""Seconds between two commits: so much work, at most, is done anew when the driver dies."""


class CommitLog:
    """Chunks that are done, in numbered files that are made whole or not at all.

    The first file has the settings, each other one the chunks that came in since the one before. A chunk
    counts once: a second answer for it is turned away. Two drivers cannot write one log: a file that another
    has made ends the run.

    Args:
        place: the run's folder.
        what: the settings, as plain values.
        resume: go on with an unfinished run.

    Raises:
        InputError: an unfinished run without ``resume``, or one of other settings.
    """

    def __init__(self, place: Place, what: Mapping[str, Any], resume: bool = False) -> None:
        self.place = place
        self.done: dict[int, dict[str, Any]] = {}
        self.finished = False
        self._waiting: list[dict[str, Any]] = []
        self._last = time.monotonic()
        self._next = 0
        head = json.loads(json.dumps({"form": FORM, **what}))
        if names := place.names(LOG):
            self._read(names, head, resume)
        if not self._next:
            self._write([head])

    def add(self, chunk: int, told: Mapping[str, Any]) -> bool:
        """Takes a chunk's answer; False where it has one already. It counts from the next commit on."""
        if chunk in self.done:
            return False
        self.done[chunk] = dict(told)
        self._waiting.append({"chunk": chunk, **told})
        if time.monotonic() - self._last >= EVERY:
            self.commit()
        return True

    def commit(self) -> None:
        """What came in counts from now on."""
        if self._waiting:
            self._write(self._waiting)
            self._waiting = []
        self._last = time.monotonic()

    def finish(self) -> None:
        """The results are written; nothing is left to be done."""
        self.commit()
        if not self.finished:
            self._write([{"finished": True}])
            self.finished = True

    def _write(self, lines: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        name = f"{LOG}/{self._next:08d}.jsonl"
        try:
            self.place.create(name, text.encode())
        except FileExistsError:
            raise InputError(
                f"{self.place.uri(name)}: expected to be the only run into this folder, got another one; let "
                "it end"
            ) from None
        self._next += 1

    def _read(self, names: list[str], head: Mapping[str, Any], resume: bool) -> None:
        lines = list(_lines(self.place, names))
        if not lines:
            return
        self.finished = any("finished" in line for line in lines)
        if not resume:
            if not self.finished:
                raise InputError(
                    f"{self.place.uri(FOLDER)}: expected no unfinished run here, got one; go on with it by "
                    "--resume, or delete this folder to begin anew"
                )
            self.place.remove(FOLDER)
            self.finished = False
            return
        if lines[0] != head:
            strange = sorted(k for k in {*lines[0], *head} if lines[0].get(k) != head.get(k))
            raise InputError(
                f"{self.place.uri(FOLDER)}: expected an unfinished run with these settings, got one with "
                f"others ({', '.join(strange)}); give the same, or delete this folder to begin anew"
            )
        for line in lines[1:]:
            if "chunk" in line:
                self.done.setdefault(line.pop("chunk"), line)
        self._next = int(names[-1].partition(".")[0]) + 1


def _lines(place: Place, names: list[str]) -> Iterator[dict[str, Any]]:
    for name in names:
        for text in place.read(f"{LOG}/{name}").splitlines():
            yield json.loads(text)


def content_name(folder: str, number: int, data: bytes, ending: str) -> str:
    """A file's name by its chunk and content: the same twice over is one file, another never hides it.

    Example:
        >>> content_name("images.parquet", 3, b"abc", ".parquet")
        'images.parquet/000003-ba7816bf8f01cfea.parquet'
    """
    return f"{folder}/{number:06d}-{hashlib.sha256(data).hexdigest()[:16]}{ending}"

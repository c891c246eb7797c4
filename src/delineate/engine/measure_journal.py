"""What was measured so far, on disk line by line, so that a run that was cut off can go on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from delineate.core.errors import InputError

from .journal_file import open_journal

FORM = "delineate measure 1"


class MeasureJournal:
    """One line of JSON for the run, then one for each image; a context manager.

    A line that was half written when the run was killed is cut off. The line of an image counts as long as
    its files are as they were.

    Args:
        path: the file; its folder must exist.
        what: the settings, as plain values: a journal of other settings is refused.
        resume: go on with the file, where it is there.

    Raises:
        InputError: an unfinished run without ``resume``, or one of other settings.
    """

    def __init__(self, path: Path, what: Mapping[str, Any], resume: bool = False) -> None:
        self.path = path
        self.done: dict[str, dict[str, Any]] = {}
        head = json.loads(json.dumps({"form": FORM, **what}))
        self._file, there = open_journal(path, resume)
        try:
            if there:
                self._read(head)
            if not self._file.tell():
                self._add(head)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> MeasureJournal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def get(self, name: str, stamp: str) -> dict[str, Any] | None:
        """What was measured of an image whose files have this stamp; None where it has to be measured."""
        line = self.done.get(name)
        return line["record"] if line is not None and line["stamp"] == stamp else None

    def add(self, name: str, stamp: str, record: Mapping[str, Any]) -> None:
        """Notes an image, to disk."""
        self._add({"name": name, "stamp": stamp, "record": record})

    def note(self, name: str, stamp: str, record: Mapping[str, Any]) -> None:
        """Notes an image that was measured elsewhere; :meth:`get` has it at once."""
        if self.get(name, stamp) is None:
            self.add(name, stamp, record)
            self.done[name] = {"name": name, "stamp": stamp, "record": dict(record)}

    def remove(self) -> None:
        """Ends a run that is complete: its tables are written."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _add(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self, head: Mapping[str, Any]) -> None:
        whole = 0
        for number, text in enumerate(self._file):
            line = _line(text)
            if line is None:
                break
            if not number and line != head:
                raise InputError(
                    f"{self.path}: expected an unfinished run with these settings, got one with others; give "
                    "the same settings, or delete this file to begin anew"
                )
            if number:
                self.done[line["name"]] = line
            whole += len(text)
        self._file.seek(whole)
        self._file.truncate()


def _line(text: bytes) -> dict[str, Any] | None:
    """A whole line; None for one that was cut off."""
    if not text.endswith(b"\n"):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None

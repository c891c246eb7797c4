"""What was found in each tile so far, on disk tile by tile, so that a run that was killed can go on."""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.runs import Runs

from .atomic import write_atomically
from .journal_file import open_journal

FORM = "delineate predict_large 1"
HEAD = struct.Struct("<II")  # length and CRC-32 of what follows


class TileJournal:
    """One record for the run, then one for each tile in the order in which they are done; a context manager.

    Every record has its length and check sum. One that was half written when the run was killed is cut off.

    Args:
        path: the file; its folder must exist.
        what: the settings that the tiles' results depend on, as plain values: notes of others are refused.
        resume: go on with the file, where it is there.

    Raises:
        InputError: an unfinished run without ``resume``, or one of other settings.
    """

    def __init__(self, path: Path, what: Mapping[str, Any], resume: bool = False) -> None:
        self.path = path
        self._places: list[int] = []
        head = json.dumps({"form": FORM, **what}, sort_keys=True).encode()
        self._file, there = open_journal(path, resume)
        if there:
            self._read(head)
        if not self._file.tell():
            self._add(head)

    def __enter__(self) -> TileJournal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def get(self, index: int) -> tuple[dict[str, Any], Instances | None]:
        """The notes on tile ``index``, and what was found; None where it was not looked at."""
        end = self._file.tell()
        self._file.seek(self._places[index])
        payload = _record(self._file)
        self._file.seek(end)
        assert payload is not None
        with np.load(io.BytesIO(zlib.decompress(payload)), allow_pickle=False) as arrays:
            note = json.loads(arrays["note"].tobytes())
            return note, _instances(arrays, note) if "boxes" in arrays else None

    def add(self, note: Mapping[str, Any], found: Instances | None) -> None:
        """Notes the next tile."""
        self.add_packed(packed_tile(note, found))

    def add_packed(self, payload: bytes, to_disk: bool = True) -> None:
        """Notes the next tile, as :func:`packed_tile` gives it; at once to the disk, or when that likes."""
        self._places.append(self._file.tell())
        self._add(payload, to_disk)

    def finish(self) -> None:
        """Ends a run that is complete: its files are written."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _add(self, payload: bytes, to_disk: bool = True) -> None:
        self._file.write(HEAD.pack(len(payload), zlib.crc32(payload)) + payload)
        self._file.flush()
        if to_disk:
            os.fsync(self._file.fileno())

    def _read(self, head: bytes) -> None:
        first, whole = True, 0
        while (payload := _record(self._file)) is not None:
            if first and payload != head:
                self._file.close()
                raise InputError(
                    f"{self.path}: expected an unfinished run with these settings, got one with others; give "
                    "the same image, model and settings, or delete this file to begin anew"
                )
            if not first:
                self._places.append(whole)
            first, whole = False, self._file.tell()
        self._file.seek(whole)
        self._file.truncate()


def packed_tile(note: Mapping[str, Any], found: Instances | None) -> bytes:
    """What was found in a tile, and the notes on it, in bytes."""
    own: dict[str, Any] = {}
    if found is not None:
        own = {"size": list(found.size), "classes": found.classes.to_dict()}
    text = json.dumps({**note, **own}).encode()
    arrays: dict[str, Any] = {"note": np.frombuffer(text, np.uint8)}
    if found is not None:
        arrays |= {"boxes": found.boxes, "labels": found.labels, "scores": found.scores}
        if found.masks is not None:
            arrays |= dict(zip(Runs._fields, found.masks.runs, strict=True))
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return zlib.compress(buffer.getvalue(), 1)


def note_done(path: Path, what: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    """Keeps beside the results that an image is done, for whoever resumes a run over several.

    Args:
        path: the file to write.
        what: what the results depend on, as plain values.
        told: what is to be told of them, as plain values.
    """
    text = json.dumps({"form": FORM, "what": what, "told": told}, sort_keys=True).encode()
    write_atomically(path, lambda file: file.write(text))


def known_done(path: Path, what: Mapping[str, Any]) -> dict[str, Any] | None:
    """What :func:`note_done` was told of the same image and settings; None where there is no such note."""
    try:
        noted = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    same = isinstance(noted, dict) and noted.get("what") == json.loads(json.dumps(what))
    return noted["told"] if same and noted.get("form") == FORM else None


def _record(file: IO[bytes]) -> bytes | None:
    """The next whole record; None at the end, or where it was cut off."""
    head = file.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    length, check = HEAD.unpack(head)
    payload = file.read(length)
    return payload if len(payload) == length and zlib.crc32(payload) == check else None


def _instances(arrays: Any, note: Mapping[str, Any]) -> Instances:
    size = (note["size"][0], note["size"][1])
    masks = None
    if "offsets" in arrays:
        masks = Masks(size, Runs(*(arrays[name] for name in Runs._fields)))
    classes = Labels.from_dict(note["classes"])
    return Instances(size, arrays["boxes"], arrays["labels"], arrays["scores"], masks=masks, classes=classes)

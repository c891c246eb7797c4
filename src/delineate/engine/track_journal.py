"""What was detected in each frame, kept on disk as it is found, so that a run that was cut off can go on.

The file is a row of gzip members, each a line of JSON: what was run on what, then one line a frame (``zcat``
shows it). A member has its own check sum, so a line that was half written when the power went is known as
such and dropped. Trackers are deterministic: the same detections give the same identities.
"""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.video import Frame

if TYPE_CHECKING:
    from .track import Detections

FORM = "delineate detections 1"
GZIP = 31  # zlib's window bits for a gzip member
PIECE = 1 << 16  # bytes read at a time


class Journal:
    """Detections of the frames of one source, in their order; a context manager.

    Args:
        path: the file; its folder must exist.
        what: what was run on what, as plain values: a journal of something else is refused.
        resume: go on with the file, where it is there. Else it must not be there, or be finished.

    Attributes:
        replayed: frames whose detections came from the file.
        added: frames whose detections were added to it.

    Raises:
        InputError: a file of something else, or an unfinished one without ``resume``.
    """

    def __init__(self, path: str | Path, what: Mapping[str, Any], resume: bool = False) -> None:
        self.path, self.what = Path(path), json.loads(json.dumps(what))
        self.replayed = self.added = 0
        self._classes: Labels | None = None
        there = self.path.is_file() and self.path.stat().st_size > 0
        if there and not resume and not is_finished(self.path):
            raise InputError(
                f"{self.path}: expected no unfinished run here, got one; go on with it by --resume, or "
                "delete this file to begin anew"
            )
        try:
            self._file: IO[bytes] = self.path.open("r+b" if there and resume else "w+b")
        except OSError as error:
            raise InputError(
                f"{self.path}: expected to write here, got {error.strerror or error}; choose another place"
            ) from None
        self._buffer = b""
        self._place = 0  # where the next whole member begins
        self._reading = there and resume
        if self._reading:
            try:
                self._check_head()
            except BaseException:
                self._file.close()
                raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close(finished=kind is None)

    def close(self, finished: bool = False) -> None:
        """End the file. ``finished``: all frames are in it; it may be written over by another run."""
        if self._file.closed:
            return
        if self._reading and finished and self._next() is not None:
            self._reading = finished = False  # the source ended before it: what is left is kept
        if finished and self._classes is not None:
            self._append({"end": True})
        self._file.flush()
        os.fsync(self._file.fileno())
        empty = self._file.seek(0, os.SEEK_END) == 0
        self._file.close()
        if empty:  # nothing to go on with
            self.path.unlink(missing_ok=True)

    def detections(self, detect: Callable[[Frame], Detections], frame: Frame) -> Detections:
        """Those of the file where it has this frame, else what ``detect`` finds, which is added.

        Raises:
            InputError: the file goes on with another frame: the source has changed.
        """
        from .track import Detections

        record = self._next() if self._reading else None
        if record is None:
            found = detect(frame)
            features = found.features
            if features is not None:  # as they will be read back
                features = features.astype(np.float16).astype(np.float32)
            self._add(frame, found.instances, features)
            return Detections(found.instances, features)
        if record.get("frame") != frame.number or record.get("size") != list(frame.pixels.shape[:2]):
            raise InputError(
                f"{self.path}: expected frame {frame.number} next, as the source has, got "
                f"{record.get('frame')}; the source has changed: delete this file to begin anew"
            )
        self.replayed += 1
        try:
            assert self._classes is not None  # the head was read
            return Detections(*_objects(record, self._classes))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(
                f"{self.path}: frame {frame.number}: expected its objects, got {error}; delete this file to "
                "begin anew"
            ) from None

    # -- the file ------------------------------------------------------------------------------------

    def _check_head(self) -> None:
        head = self._next()
        if head is None:  # not even the first line was whole
            return
        if head.get("form") != FORM or not isinstance(head.get("what"), dict):
            raise InputError(
                f"{self.path}: expected detections that `delineate track` keeps, got another file; "
                "choose another folder"
            )
        for key in [*self.what, *head["what"]]:
            if self.what.get(key) != head["what"].get(key):
                raise InputError(
                    f"{self.path}: expected a run with {key} {_shown(head['what'].get(key))}, got "
                    f"{_shown(self.what.get(key))}; give the same, or delete this file to begin anew"
                )
        try:
            self._classes = Labels.from_dict(head["classes"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{self.path}: expected classes, got {error}; delete this file") from None

    def _next(self) -> dict[str, Any] | None:
        """The next line; None, and ready to append, where there is no whole one."""
        read = zlib.decompressobj(GZIP)
        text, used = b"", 0
        try:
            while not read.eof:
                piece = self._buffer or self._file.read(PIECE)
                self._buffer = b""
                if not piece:
                    self._stop()
                    return None
                text += read.decompress(piece)
                used += len(piece) - len(read.unused_data)
            self._buffer = read.unused_data
            record = json.loads(text)
        except (zlib.error, ValueError):
            record = {"end": True}
        if record.get("end"):
            self._stop()
            return None
        self._place += used
        return dict(record)

    def _stop(self) -> None:
        self._reading = False
        self._file.seek(self._place)
        self._file.truncate()

    def _add(self, frame: Frame, found: Instances, features: NDArray[np.float32] | None) -> None:
        if self._classes is None:
            self._classes = found.classes
            self._append({"form": FORM, "what": self.what, "classes": found.classes.to_dict()})
        record: dict[str, Any] = {
            "frame": frame.number,
            "time": frame.time,
            "size": list(found.size),
            "boxes": found.boxes.tolist(),
            "labels": found.labels.tolist(),
            "scores": found.scores.tolist(),
        }
        if found.masks is not None:
            record["masks"] = [rle["counts"] for rle in found.masks.to_rle()]
        if features is not None:
            halves = features.astype("<f2")
            record["features"] = [halves.shape[1], base64.b64encode(halves.tobytes()).decode("ascii")]
        self._append(record)
        self.added += 1

    def _append(self, record: dict[str, Any]) -> None:
        pack = zlib.compressobj(1, zlib.DEFLATED, GZIP)
        line = json.dumps(record, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
        self._file.write(pack.compress(line) + pack.flush())
        self._file.flush()  # to the system: a killed process loses nothing


def _objects(record: Mapping[str, Any], classes: Labels) -> tuple[Instances, NDArray[np.float32] | None]:
    size = (int(record["size"][0]), int(record["size"][1]))
    masks = None
    if "masks" in record:
        masks = Masks.from_rle([{"size": list(size), "counts": c} for c in record["masks"]], size)
    found = Instances(
        size,
        boxes=np.array(record["boxes"], np.float32).reshape(-1, 4),
        labels=record["labels"],
        scores=record["scores"],
        masks=masks,
        classes=classes,
    )
    features = None
    if "features" in record:
        width, text = record["features"]
        halves = np.frombuffer(base64.b64decode(text), "<f2")
        features = halves.reshape(-1, int(width)).astype(np.float32)
    return found, features


_END = b'{"end":true}\n'


def is_finished(path: Path) -> bool:
    """Whether a journal's last line says that all frames are in it."""
    pack = zlib.compressobj(1, zlib.DEFLATED, GZIP)
    last = pack.compress(_END) + pack.flush()
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(last)))
        return file.read() == last


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:59] + "…"

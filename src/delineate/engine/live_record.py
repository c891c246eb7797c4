"""What is shown live, recorded: a film that grows beside the showing and never holds it up."""

from __future__ import annotations

import threading
from pathlib import Path
from queue import Empty, Full, Queue

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DelineateError, InputError
from delineate.data.video_write import FILMS, FilmWriter, check_film

WAITING = 8  # pictures that wait for the encoder at most

Pixels = NDArray[np.uint8]


class Recording:
    """A film of the pictures that are shown, each at its own time; a context manager.

    A thread encodes. Where it is too slow, or the disk is, pictures are left out and counted. The size is
    the first picture's; others are scaled to it. The file has another name until it is whole: ``.NAME.part``.

    Attributes:
        written: pictures that were encoded.
        dropped: pictures that were left out.

    Args:
        path: a file ending in .mp4, .mov or .webm.
        rate: pictures per second, about.

    Raises:
        InputError: another ending, or no such folder.
    """

    def __init__(self, path: str | Path, rate: float = 25.0) -> None:
        self.path = Path(path)
        if check_film(self.path) != "film":
            raise InputError(f"{path}: expected a file ending in {', '.join(FILMS)}, got none; name one")
        if not self.path.parent.is_dir():
            raise InputError(f"{path}: expected a folder to write in, got none; make it, or choose another")
        self._part = self.path.with_name(f".{self.path.name}.part")
        self._rate = rate
        self.written = self.dropped = 0
        self._error: BaseException | None = None
        self._waiting: Queue[tuple[Pixels, float]] = Queue(WAITING)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._work, name="recording", daemon=True)
        self._thread.start()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, pixels: Pixels, time: float) -> None:
        """The next picture, (H, W, 3) uint8 RGB, ``time`` seconds on any clock that goes forward.

        Raises:
            InputError: the file cannot be written.
        """
        self._check()
        try:
            self._waiting.put_nowait((pixels, time))
        except Full:
            self.dropped += 1

    def close(self) -> None:
        """Encodes what waits and gives the file its name. Harmless a second time.

        Raises:
            InputError: the file cannot be written.
        """
        self._left.set()
        if self._thread.is_alive():
            self._thread.join()
        self._check()

    def _check(self) -> None:
        error, self._error = self._error, None
        if isinstance(error, OSError):
            raise InputError(
                f"{self.path}: expected to write here, got {error.strerror or error}; choose another place"
            )
        if error is not None:
            raise error

    def _work(self) -> None:
        try:
            self._write()
            if self.written:
                self._part.replace(self.path)
        except (DelineateError, OSError) as error:
            self._error = error
        finally:
            self._part.unlink(missing_ok=True)

    def _write(self) -> None:
        begin, size = 0.0, (0, 0)
        with FilmWriter(self._part, self._rate, ending=self.path.suffix) as film:
            while not (self._left.is_set() and self._waiting.empty()):
                try:
                    pixels, time = self._waiting.get(timeout=0.1)
                except Empty:
                    continue
                if not self.written:
                    begin, size = time, pixels.shape[:2]
                if pixels.shape[:2] != size:
                    pixels = np.asarray(
                        cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA), np.uint8
                    )
                film.add(pixels, time - begin)
                self.written += 1

"""Composed pictures of a source written as a film with the source's sound, or as a folder of PNG."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from delineate.data.sound import Sound
from delineate.data.video import Frames
from delineate.data.video_write import FilmWriter, FolderWriter, check_film


class PicturesOut:
    """A film or folder that takes its name when it is done, or broken off with something in it.

    Args:
        target: an MP4, MOV or WebM file, or a folder.
        film: the source, whose clock the pictures' times are on.
        alpha: whether pictures are RGBA.
        begin: seconds on that clock from which the film starts.
        sound: whether the source's sound is kept, where there is any.
        folder: whether the target is a folder of PNG, whatever its name; else its ending tells.

    Attributes:
        notes: what became of the sound, where it is not as it was.
    """

    def __init__(
        self,
        target: Path,
        film: Frames,
        alpha: bool,
        begin: float = 0.0,
        *,
        sound: bool = True,
        folder: bool = False,
    ) -> None:
        self.target, self.notes = target, list[str]()
        self._folder = folder or check_film(target, alpha) == "folder"
        self._part = target if self._folder else target.with_name(f".{target.name}.part")
        self._film, self._alpha, self._begin, self._with_sound = film, alpha, begin, sound
        self._writer: FilmWriter | FolderWriter | None = None
        self._sound: Sound | None = None

    def __enter__(self) -> PicturesOut:
        return self

    def add(self, picture: NDArray[np.uint8], time: float) -> None:
        """The next picture and its time on the source's clock."""
        if self._writer is None:
            self._open()
        assert self._writer is not None
        self._writer.add(picture, max(0.0, time - self._begin))

    def _open(self) -> None:
        """Opens the writer with the first picture."""
        if self._folder:
            self._writer = FolderWriter(self._part)
            return
        path = self._film.source
        if self._with_sound and not path.is_dir():
            self._sound = Sound(path, self._begin)
        self._writer = FilmWriter(
            self._part, self._film.rate, alpha=self._alpha, sound=self._sound, ending=self.target.suffix
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is None:
            return
        self._writer.close()
        if self._sound is not None and self._sound.note:
            self.notes.append(self._sound.note)
        if not self._folder:
            self._part.replace(self.target)

"""What is put behind kept objects, as it is typed: blur, transparent, a colour, a picture, a video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from delineate.apply.composite import Behind, Blur, Plain, Scenery
from delineate.apply.draw import display
from delineate.apply.effects import colour
from delineate.core.errors import InputError
from delineate.data.images import read
from delineate.data.limits import MAX_PIXELS
from delineate.data.video import Frame, frames, is_video

STRONGEST = 0.2  # sigma of a blur, of the longer side


class Background(NamedTuple):
    """A background as :class:`delineate.apply.composite.Look` takes it.

    Attributes:
        behind: what is put there; None keeps the frame's own, or leaves it transparent.
        transparent: whether it becomes transparent.
    """

    behind: Behind | None = None
    transparent: bool = False


def background(text: str, *, max_pixels: int = MAX_PIXELS) -> Background:
    """A background.

    Args:
        text: ``none``, ``blur``, ``blur=0.02`` (sigma as a share of the longer side), ``transparent``, a
            colour (``teal``, ``#00ff00``), or a file: an image, or a video, which is played in a loop without
            sound. What is there as a file is a file.
        max_pixels: refuse larger pictures.

    Raises:
        InputError: none of these.

    Example:
        >>> background("teal").behind, background("transparent").transparent
        (Plain(tint=(0, 128, 128)), True)
    """
    word, equals, value = text.strip().partition("=")
    path = Path(text)
    if path.is_dir():
        raise InputError(f"--background: expected a file, got the folder {text}; name an image or a video")
    if path.is_file():
        if is_video(path):
            return Background(Scenery(Loop(path, max_pixels)))
        picture = display(read(path, max_pixels=max_pixels).pixels)
        return Background(Scenery(lambda time: picture))
    if word.lower() == "blur":
        return Background(Blur(_strength(value)) if equals else Blur())
    if text.strip().lower() in ("none", "transparent"):
        return Background(None, text.strip().lower() == "transparent")
    if path.suffix and not text.startswith("#"):
        raise InputError(f"--background: expected a file, got {text}, which is not there; check the path")
    try:
        return Background(Plain(colour(text)))
    except InputError:
        raise InputError(
            f"--background: expected blur, transparent, none, a colour such as teal or #00ff00, an image "
            f"or a video, got {text!r}; choose one"
        ) from None


def _strength(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 < number <= STRONGEST:
        raise InputError(
            f"--background: expected blur=SHARE of the longer side, above 0 and at most {STRONGEST}, "
            f"got {value!r}; blur=0.012 is the default"
        )
    return number


class Loop:
    """The frames of a video by the time that has passed, begun anew at its end; holds two of them.

    Args:
        source: a video file.
        max_pixels: refuse larger frames.

    Raises:
        InputError: not a video.
    """

    def __init__(self, source: str | Path, max_pixels: int = MAX_PIXELS) -> None:
        self._film = frames(source, max_pixels=max_pixels)
        self._frames: Iterator[Frame] = iter(())
        self._start, self._shift = 0.0, 0.0
        self._now: Frame | None = None
        self._next: Frame | None = None

    def __call__(self, time: float) -> NDArray[np.uint8]:
        """The frame that shows after so many seconds; times must not go back."""
        if self._now is None:
            self._begin(0.0)
        while True:
            assert self._now is not None
            if self._next is None:  # the last one shows for as long as frames do on average
                end = self._now.time - self._start + self._shift + 1 / self._film.rate
                if time < end:
                    break
                self._begin(end)
                continue
            if self._next.time - self._start + self._shift > time:
                break
            self._now, self._next = self._next, next(self._frames, None)
        return display(self._now.pixels)

    def _begin(self, shift: float) -> None:
        self._frames = iter(self._film)
        self._now, self._next = next(self._frames), next(self._frames, None)
        self._start, self._shift = self._now.time, shift

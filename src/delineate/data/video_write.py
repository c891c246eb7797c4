"""Pictures as a film: MP4 with its sound, ProRes 4444 or WebM with alpha, or a folder of PNG.

What is written is tagged as what it is, BT.709 of limited range, so that players show the colours that went
in; each picture is shown at its own time, and sound is copied as it is where the container allows it.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .sound import Sound
from .video import TICKS
from .video_file import pyav
from .write import write_png

Pixels = NDArray[np.uint8]
BT709 = 1  # FFmpeg's number of the matrix, of the primaries and of the transfer curve
LIMITED = 1  # of the range 16..235


@dataclass(frozen=True)
class Film:
    """How pictures are stored under an ending.

    Attributes:
        container: FFmpeg's name.
        codecs: FFmpeg's encoders, the first that there is.
        pixels: the codec's pixel format for RGB.
        alpha: the pixel format for RGBA; empty where there is none.
        even: what width and height must be multiples of.
        options: of the encoder.
    """

    container: str
    codecs: tuple[str, ...]
    pixels: str
    alpha: str
    even: tuple[int, int]
    options: dict[str, str]


VP9 = {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1", "auto-alt-ref": "0"}
FILMS: dict[str, Film] = {
    ".mp4": Film("mp4", ("libx264", "mpeg4"), "yuv420p", "", (2, 2), {"preset": "veryfast", "crf": "18"}),
    ".mov": Film("mov", ("prores_ks",), "yuv422p10le", "yuva444p10le", (2, 1), {"profile": "3"}),
    ".webm": Film("webm", ("libvpx-vp9",), "yuv420p", "yuva420p", (2, 2), VP9),
}
FILMS[".m4v"] = FILMS[".mp4"]
WITH_ALPHA = tuple(ending for ending, film in FILMS.items() if film.alpha)
Kind = Literal["film", "folder"]


def check_film(path: str | Path, alpha: bool = False) -> Kind:
    """What a path is to be written as, by its ending; without one, a folder of PNG.

    Raises:
        InputError: an ending that is not written, or one that cannot hold alpha.

    Example:
        >>> check_film("out.webm", alpha=True), check_film("frames")
        ('film', 'folder')
    """
    path = Path(path)
    ending = path.suffix.lower()
    if path.is_dir() or not ending:
        return "folder"
    if ending not in FILMS:
        raise InputError(
            f"{path}: expected a video ending in {', '.join(FILMS)}, or a folder for PNG, got {ending}; "
            "choose one"
        )
    if alpha and not FILMS[ending].alpha:
        raise InputError(
            f"{path}: expected {', '.join(WITH_ALPHA)} or a folder for transparency, got {ending}, which has "
            "none; choose one of them"
        )
    return "film"


class FilmWriter:
    """Pictures as a film, encoded as they come; a context manager.

    Odd sides, which most codecs cannot hold, get one more row or column, a copy of the last.

    Args:
        path: the file to write.
        rate: pictures per second, on average; each is shown at its own time.
        alpha: whether pictures are RGBA, with straight alpha.
        sound: what is heard, or None.
        ending: as what it is written; default: the path's own ending.

    Raises:
        InputError: an ending that is not written, or pictures of another size than the first.
        MissingDependencyError: PyAV is not installed, or its FFmpeg lacks the encoder.
    """

    def __init__(
        self,
        path: str | Path,
        rate: float,
        *,
        alpha: bool = False,
        sound: Sound | None = None,
        ending: str = "",
    ) -> None:
        self.path, self.alpha = Path(path), alpha
        ending = (ending or self.path.suffix).lower()
        check_film(self.path.with_suffix(ending), alpha)
        self._film = FILMS[ending]
        self._av = pyav(self.path)
        self._rate = Fraction(rate).limit_denominator(1001)
        self._file = self._av.open(str(path), "w", format=self._film.container)
        self._stream: Any = None
        self._sound = sound
        self._size = (0, 0)
        self._last = -1

    def __enter__(self) -> FilmWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, pixels: Pixels, time: float) -> None:
        """The next picture, (H, W, 3) or, with alpha, (H, W, 4) uint8, ``time`` seconds after the start."""
        height, width, depth = pixels.shape
        if self._stream is None:
            self._begin(height, width)
        if (height, width) != self._size or depth != 3 + self.alpha:
            raise InputError(
                f"{self.path}: expected pictures of {self._size} with {3 + self.alpha} channels, got "
                f"{(height, width)} with {depth}; make a film of each size"
            )
        across, down = self._film.even if not (self.alpha and self._film.container == "mov") else (1, 1)
        if height % down or width % across:
            pixels = np.pad(pixels, ((0, -height % down), (0, -width % across), (0, 0)), mode="edge")
        kind = "rgba" if self.alpha else "rgb24"
        picture = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=kind)
        picture = picture.reformat(
            format=self._stream.codec_context.pix_fmt, dst_colorspace=BT709, dst_color_range=LIMITED
        )
        self._last = max(self._last + 1, round(time * TICKS))
        picture.pts, picture.time_base = self._last, Fraction(1, TICKS)
        self._file.mux(self._stream.encode(picture))
        if self._sound is not None:
            self._sound.write(self._file, time)

    def close(self) -> None:
        """Finish the file with its sound up to the end of the last picture."""
        if self._stream is not None:
            self._file.mux(self._stream.encode())
            self._stream = None
            if self._sound is not None:
                self._sound.finish(self._file, self._last / TICKS + float(1 / self._rate))
        self._file.close()
        if self._sound is not None:
            self._sound.close()

    def _begin(self, height: int, width: int) -> None:
        film, known = self._film, self._av.codecs_available
        name = next((codec for codec in film.codecs if codec in known), None)
        if name is None:
            raise InputError(
                f"{self.path}: expected an FFmpeg with {film.codecs[0]}, got one without; choose another "
                f"ending of {', '.join(FILMS)}"
            )
        options = dict(film.options) if name != "mpeg4" else {}
        if self.alpha and film.container == "mov":
            options["profile"] = "4"  # ProRes 4444
        self._stream = self._file.add_stream(name, rate=self._rate, options=options)
        across, down = film.even
        if self.alpha and film.container == "mov":
            across, down = 1, 1
        self._stream.width, self._stream.height = width + -width % across, height + -height % down
        self._stream.pix_fmt = film.alpha if self.alpha else film.pixels
        context = self._stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED
        if name != "mpeg4":  # whose clock is at most 65,535 ticks a second: there the rate stays the clock
            context.time_base = Fraction(1, TICKS)
        if self.alpha and film.container == "webm":
            self._stream.metadata["alpha_mode"] = "1"
        self._size = (height, width)
        if self._sound is not None:
            self._sound.begin(self._file, film.container)


class FolderWriter:
    """Pictures as PNG files, ``000000.png`` on, with their times in ``times.csv``; a context manager.

    Args:
        path: the folder; made where it is not there.

    Raises:
        InputError: it cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._times: list[float] = []

    def __enter__(self) -> FolderWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, pixels: Pixels, time: float) -> None:
        """The next picture, (H, W, 3) or (H, W, 4) uint8, and its time in seconds."""
        if not self._times:
            self._make()
        write_png(self.path / f"{len(self._times):06d}.png", pixels)
        self._times.append(time)

    def close(self) -> None:
        """Writes the times."""
        if self._times:
            with (self.path / "times.csv").open("w", encoding="ascii", newline="") as file:
                lines = csv.writer(file)
                lines.writerow(["file", "seconds"])
                lines.writerows((f"{i:06d}.png", f"{time:.6f}") for i, time in enumerate(self._times))

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.path}: expected a folder to write, got {error.strerror or error}; choose another"
            ) from None

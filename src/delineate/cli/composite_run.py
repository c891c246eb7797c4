"""One run of `delineate composite` over videos and photographs: where results go, what is said of them."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import typer

from .messages import once_each, say, tell

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from delineate.apply.composite import Look
    from delineate.data.video import Frames
    from delineate.engine.composite import Objects

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")


class Writer(Protocol):
    """What pictures are written to."""

    def add(self, pixels: NDArray[np.uint8], time: float) -> None: ...  # noqa: D102


@dataclass(frozen=True)
class Place:
    """Where results go.

    Attributes:
        out: a file for one input, or a folder.
        kind: "auto", "mp4", "mov", "webm" or "png".
        transparent: whether they have alpha.
    """

    out: Path
    kind: str
    transparent: bool

    def film(self, source: Path) -> tuple[Path, bool]:
        """The file of a video, or its folder of PNG; and whether it is a folder.

        Raises:
            InputError: an ending that is not written, or the source itself.
        """
        from delineate.data.video_write import check_film

        kind = ("mov" if self.transparent else "mp4") if self.kind == "auto" else self.kind
        path = self.out
        if not path.suffix or path.is_dir():
            path = path / f"{source.stem}.composite{'' if kind == 'png' else '.' + kind}"
            if kind == "png":
                return path, True
        check_film(path, self.transparent)
        return self._other(path, source), False

    def picture(self, source: Path) -> Path:
        """The file of a photograph.

        Raises:
            InputError: an ending that is not written, or the source itself.
        """
        from delineate.core.errors import InputError

        path = self.out
        if not path.suffix or path.is_dir():
            return self._other(path / f"{source.stem}.composite.png", source)
        if path.suffix.lower() != ".png":
            raise InputError(f"--out {path}: expected .png for a photograph, or a folder; choose one")
        return self._other(path, source)

    def _other(self, path: Path, source: Path) -> Path:
        from delineate.core.errors import InputError

        if path.resolve() == source.resolve():
            raise InputError(f"--out {path}: expected another file than the input, got the same; choose one")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class CompositeRun:
    """One run.

    Args:
        look: what the results shall look like.
        place: where they go.
        part: begin and end in seconds of what is taken of a video; None: to its end.
        sound: whether a video's sound is kept.
        film: whether a folder of images is one film.
        quiet: say nothing but errors.
        as_json: print one JSON document in place of lines.
    """

    def __init__(
        self,
        look: Look,
        place: Place,
        part: tuple[float, float | None],
        *,
        sound: bool,
        film: bool,
        quiet: bool,
        as_json: bool,
    ) -> None:
        self.look, self.place, self.part = look, place, part
        self.sound, self.film, self.quiet, self.as_json = sound, film, quiet, as_json
        self.objects: Objects | None = None
        self.max_pixels, self.tracker = 0, "masks"
        self.done: list[dict[str, Any]] = []
        self.failed: list[dict[str, str]] = []

    def find(self, inputs: list[str]) -> list[Path]:
        """The inputs: folders stay whole, patterns become files; those that are nothing have failed."""
        from delineate.core.errors import InputError
        from delineate.data.find import find

        found: dict[Path, None] = {}
        for given in inputs:
            try:
                files = [Path(given)] if Path(given).is_dir() else find([given])
            except InputError as error:
                self.fail(given, error)
                continue
            found.update(dict.fromkeys(files))
        several = len(found) > 1 or any(path.is_dir() and not self.film for path in found)
        if several and self.place.out.suffix and not self.place.out.is_dir():
            raise InputError(
                f"--out {self.place.out}: expected a folder for several inputs, got a file's name"
            )
        return list(found)

    def all(self, sources: list[Path], results: Path | None) -> None:
        """Every source; what goes wrong with one is told, and the next one's turn comes."""
        from delineate.core.errors import DelineateError
        from delineate.data.video import is_video

        for source in sources:
            try:
                objects = self._objects(source, results)
                with once_each():
                    if is_video(source) or (source.is_dir() and self.film):
                        self._video(source, objects)
                    else:
                        self._photographs(source, objects)
            except DelineateError as error:
                self.fail(str(source), error)
            except OSError as error:
                self.fail(str(source), f"{error.strerror or error}; choose another place")
            except MemoryError:
                self.fail(str(source), "not enough memory; try a smaller picture")

    def _objects(self, source: Path, results: Path | None) -> Objects:
        from delineate.engine.composite import Objects

        if results is None:
            assert self.objects is not None
            return self.objects
        beside = source if source.is_dir() or not self._photo(source) else source.parent
        return Objects.of_file(results, beside)

    def _photo(self, source: Path) -> bool:
        from delineate.data.video import is_video

        return not source.is_dir() and not is_video(source)

    # -- photographs -------------------------------------------------------------------------------------

    def _photographs(self, source: Path, objects: Objects) -> None:
        from delineate.core.errors import InputError
        from delineate.data.write import write_png
        from delineate.engine.composite import composite_image, photographs

        objects.check(self.look)
        for path, frame in photographs(source, self.max_pixels):
            begin = time.monotonic()
            try:
                if isinstance(frame, InputError):
                    raise frame
                found = objects.find(frame)
                picture = composite_image(frame.pixels, found, self.look)
                target = write_png(self.place.picture(path), picture)
            except InputError as error:
                self.fail(str(path), error)
                continue
            self._tell(path, target, found.size, 1, self._chosen(found), time.monotonic() - begin, [])

    # -- videos ------------------------------------------------------------------------------------------

    def _video(self, source: Path, objects: Objects) -> None:
        from delineate.data.video import frames

        film = frames(source, max_pixels=self.max_pixels)
        target, folder = self.place.film(source)
        begin = time.monotonic()
        count, chosen, size, notes = self._frames(film, objects, target, folder)
        if lost := film.notes():
            self.fail(str(source), lost)
        if count:
            self._tell(source, target, size, count, chosen, time.monotonic() - begin, notes)
        else:
            self.fail(
                str(source), "expected frames in the part that was asked for, got none; check --from, --to"
            )

    def _frames(
        self, film: Frames, objects: Objects, target: Path, folder: bool
    ) -> tuple[int, int, tuple[int, int], list[str]]:
        """Composes and writes; the count of frames and of objects kept, their size, and remarks."""
        from delineate.data.video import TICKS
        from delineate.data.video_part import Part
        from delineate.engine.composite import composite_video
        from delineate.engine.pictures_out import PicturesOut
        from delineate.tracking.choose import tracker

        asks = any(chosen.ids for chosen in self.look.selections)
        follow = tracker(self.tracker) if asks and not objects.tracked else None
        part = Part(film, self.part[0], self.part[1])
        count, chosen, size = 0, 0, (0, 0)
        with ExitStack() as stack:
            tick = stack.enter_context(_ticker(film, self.part, self.quiet))
            made = composite_video(part, objects, self.look, tracker=follow)
            stack.callback(getattr(made, "close", lambda: None))
            writer = stack.enter_context(
                PicturesOut(
                    target, film, self.look.transparent, self.part[0], sound=self.sound, folder=folder
                )
            )
            for item in made:
                writer.add(item.picture, round(item.time * TICKS) / TICKS)
                count, size = count + 1, item.objects.size
                chosen += self._chosen(item.objects)
                tick()
        return count, chosen, size, writer.notes

    def _chosen(self, found: Any) -> int:
        """How many objects any selection takes."""
        taken = [s.of(found) for s in self.look.selections]
        return sum(any(of) for of in zip(*taken, strict=True))

    # -- what is said ------------------------------------------------------------------------------------

    def _tell(
        self,
        source: Path,
        target: Path,
        size: tuple[int, int],
        frames: int,
        objects: int,
        seconds: float,
        notes: list[str],
    ) -> None:
        self.done.append(
            {
                "file": str(source),
                "result": str(target),
                "width": size[1],
                "height": size[0],
                "frames": frames,
                "objects": objects,
                "seconds": round(seconds, 3),
                "notes": notes,
            }
        )
        for note in notes:
            if not self.quiet:
                say(f"{source}: {note}")
        if not (self.quiet or self.as_json):
            many = f"{frames} frames, " if frames > 1 else ""
            speed = f", {frames / seconds:.1f} frames/s" if frames > 1 and seconds > 0 else ""
            tell(f"{source}: {many}{objects} objects chosen -> {target} ({seconds:.1f} s{speed})")

    def fail(self, name: str, reason: object) -> None:
        """Note what failed and say so on stderr."""
        text = " ".join(str(reason).split()).removeprefix(f"{name}: ")
        self.failed.append({"file": name, "reason": text})
        say(f"error: {name}: {text}")

    def finish(self) -> None:
        """The last word, and the exit code."""
        from delineate import __version__

        if self.as_json:
            document = {"delineate": __version__, "results": self.done, "failed": self.failed}
            typer.echo(json.dumps(document, indent=2, allow_nan=False))
        raise typer.Exit((1 if self.done else 2) if self.failed else 0)


def _ticker(film: Frames, part: tuple[float, float | None], quiet: bool) -> Any:
    """A progress bar over the frames that are expected."""
    from .bars import bar

    total = film.count or 0
    if total:
        first = round(part[0] * film.rate)
        last = total if part[1] is None else min(total, round(part[1] * film.rate))
        total = max(1, last - first)
    return bar("frames", total or 1, quiet)

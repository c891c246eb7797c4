"""Large images of `delineate predict`: by windows, whatever their size."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .messages import say, tell

if TYPE_CHECKING:
    from delineate.engine.batch_sources import Reading
    from delineate.engine.large_settings import LargeResult

    from .predict_run import PredictRun

LARGE = 50_000_000
"""Images of more pixels than this are looked at by windows."""


@dataclass(frozen=True)
class LargeOptions:
    """What the command line says of large images.

    Attributes:
        overlap: pixels that windows share; None: as the model needs.
        workers: threads that read ahead; None: two.
        region: x, y, width, height; None: everything.
        tissue: skip glass; None: where there is some.
    """

    overlap: int | None = None
    workers: int | None = None
    region: tuple[int, int, int, int] | None = None
    tissue: bool | None = None

    @property
    def given(self) -> bool:
        """Whether one is given: then every image is looked at by windows."""
        return self != LargeOptions()

    def among(self, paths: Sequence[str], reading: Reading) -> list[str]:
        """Which of the files are large; one whose size cannot be told is not."""
        from delineate.engine.large_places import pixels_in

        return [p for p in paths if p != "-" and (self.given or pixels_in(p, reading) > LARGE) and _image(p)]


def parse_region(text: str) -> tuple[int, int, int, int] | None:
    """``x,y,width,height`` in pixels.

    Raises:
        InputError: anything else.
    """
    from delineate.core.errors import InputError

    if not text:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) == 4 and all(re.fullmatch(r"\d{1,9}", part) for part in parts):
        x, y, width, height = map(int, parts)
        if width and height:
            return x, y, width, height
    raise InputError(
        f"--region: expected x,y,width,height in pixels, got {text!r}; give for example 0,0,5000,4000"
    )


def _image(path: str) -> bool:
    from delineate.data.video import is_video

    return Path(path).is_dir() or not is_video(path)


class LargeRun:
    """The large images of a run of `delineate predict`.

    Args:
        run: counts what is done and what failed.
        options: what the command line says of them.
        reading: channels, page and z.
        out: folder for the results.
        save: the kinds of files that are asked for; None: those that large images have by default.
        resume: go on with what was cut off.
        plate: whether a plate is asked for.
        pixel_size: µm, as given.
        name: makes a name of its own for an image's files.
    """

    def __init__(
        self,
        run: PredictRun,
        options: LargeOptions,
        reading: Reading,
        out: Path,
        *,
        save: Sequence[str] | None,
        resume: bool,
        plate: bool,
        pixel_size: float | None,
        name: Callable[[str], str],
    ) -> None:
        from delineate.engine.large_outputs import KINDS, SAVED

        self.run, self.options, self.reading, self.out = run, options, reading, out
        save = SAVED if save is None else save
        self.save = tuple(k for k in save if k in KINDS)
        self.left_out = [k for k in save if k not in KINDS]
        self.resume, self.pixel_size, self.plate = resume, pixel_size, plate
        self.name = name

    def all(self, paths: Sequence[str]) -> None:
        """Every image; what goes wrong with one is told, and the next one's turn comes."""
        if paths and self.left_out and not self.run.quiet:
            say(f"warning: large images have no {', '.join(self.left_out)}; left out for them")
        if paths and self.plate and not self.run.quiet:
            say("warning: large images are not among the wells of --plate; left out of the plate")
        from delineate.engine.large_places import bare_name, places_of

        for path in paths:
            try:
                for part, place in places_of(path, self.reading, self.name(bare_name(path))):
                    self._one(path, part, place)
            except Exception as error:
                self.run.fail(path, error)

    def _one(self, path: str, part: str, place: dict[str, Any]) -> None:
        from delineate.data.channel_names import chosen_channels
        from delineate.engine.large import predict_large

        run, finding = self.run, self.run.finding
        channels = self.reading.channels
        settings: dict[str, Any] = {
            "overlap": self.options.overlap,
            "region": self.options.region,
            "tissue": self.options.tissue,
            "workers": 2 if self.options.workers is None else self.options.workers,
            "tile": finding["tile"] if isinstance(finding["tile"], int) else None,
            "confidence": finding["confidence"],
            "iou": finding["iou"],
            "max_det": finding["max_det"],
            "save": self.save,
            "pixel_size": self.pixel_size,
            "stain": run.stain,
            "max_pixels": self.reading.max_pixels,
            "channels": chosen_channels(channels, Path(path)) if channels is not None else None,
        }
        assert run.model is not None
        with _bar(run.quiet) as tick:
            done = predict_large(
                run.model, path, self.out, resume=self.resume, progress=tick, **settings, **place
            )
        self._tell(path, part, done)

    def _tell(self, path: str, part: str, done: LargeResult) -> None:
        run = self.run
        run.done += 1
        run.objects += done.count
        run.places |= {str(p.parent) for p in done.files.values()}
        if run.as_json:
            run.images.append(_record(path + part, done))
        elif not run.quiet:
            tell(_line(path + part, done))
        if done.damaged:
            blocks = sum(max(1, one[2]) for one in done.damaged)
            x, y, _, reason = done.damaged[0]
            said = f"{len(done.damaged)} of {done.tiles} windows are damaged ({blocks} blocks)"
            run.fail(
                path,
                f"{said}, the first at x {x}, y {y}: {reason.removeprefix(f'{path}: ')}; the rest is done",
            )


def _record(path: str, done: LargeResult) -> dict[str, Any]:
    """What is told of an image as JSON."""
    return {
        "file": path,
        "page": None,
        "height": done.size[0],
        "width": done.size[1],
        "count": done.count,
        "classes": done.classes,
        "files": {kind: str(p) for kind, p in done.files.items()},
        "windows": {"all": done.tiles, "glass": done.glass, "blank": done.blank, "resumed": done.resumed},
        "damaged": [dict(zip(("x", "y", "blocks", "reason"), one, strict=True)) for one in done.damaged],
        "notes": list(done.notes),
        "seconds": round(done.seconds, 3),
    }


def _line(path: str, done: LargeResult) -> str:
    counts = ", ".join(f"{n} × {name}" for name, n in done.classes.items()) or "0 objects"
    windows = [f"{done.tiles} windows"]
    windows += [f"{done.glass} of glass skipped"] if done.glass else []
    windows += [f"{done.blank} blank"] if done.blank else []
    windows += [f"{done.resumed} known"] if done.resumed else []
    notes = f"  [{'; '.join(done.notes)}]" if done.notes else ""
    size = f"{done.size[1]} x {done.size[0]}"
    return f"{path}: {counts} on {size} in {', '.join(windows)} ({done.seconds:.1f} s){notes}"


def _bar(quiet: bool) -> Any:
    """Windows done, and the time left, on a terminal's stderr."""
    import contextlib
    import sys
    from collections.abc import Iterator

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    @contextlib.contextmanager
    def shown() -> Iterator[Callable[[int, int], object]]:
        console = Console(stderr=True, quiet=quiet or not sys.stderr.isatty())
        columns = (TextColumn("windows"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
            task = bar.add_task("windows", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)

    return shown()

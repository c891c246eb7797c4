"""One run of `delineate track`: its source, its detector, its tracker, its files, and what is said of it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .messages import say, tell

if TYPE_CHECKING:
    from delineate.data.video_part import Part
    from delineate.engine.track_journal import Journal
    from delineate.tracking.ground import Ground


class TrackRun:
    """One source, followed.

    Attributes:
        damaged: whether frames of the source could not be read.

    Args:
        source: a video, a folder, a camera or an address.
        out: folder of the results.
        save: kinds of files, as ``--save`` takes them.
        quiet: say nothing but errors.
    """

    def __init__(self, source: str, out: Path, save: str, *, quiet: bool) -> None:
        self.source, self.out, self.quiet = source, out, quiet
        self.kinds = _kinds(save)
        self.damaged = False
        self.pictures: Any = None
        self.part: Part
        self.tracker: Any = None
        self.detector: dict[str, Any] = {}
        self.what: dict[str, Any] = {}
        self.live = False
        self.ground: Callable[[tuple[int, int]], Ground] | None = None

    def choose_part(self, begin: str, end: str, every: int, rate: float | None) -> None:
        """Open the source and choose which frames of it are looked at."""
        from delineate.core.errors import InputError
        from delineate.data.capture import is_live, open_capture
        from delineate.data.video import FOLDER_RATE, frames
        from delineate.data.video_part import Part, seconds

        self.live = is_live(self.source)
        folder = not self.live and Path(self.source).is_dir()
        if rate is not None and not folder:
            raise InputError("--rate: expected a folder of images with it, got a video, which knows its own")
        if self.live:
            self.pictures = open_capture(self.source)
        else:
            self.pictures = frames(self.source, rate=FOLDER_RATE if rate is None else rate)
        start = seconds(begin, "--from") if begin else 0.0
        self.part = Part(self.pictures, start, seconds(end, "--to") if end else None, every)
        self.what |= {"source": _identity(self.source), "from": start, "to": self.part.end, "every": every}
        self.what["rate"] = rate

    def choose_ground(self, homography: Path | None, camera: Path | None) -> None:
        """Where pixels lie on the ground, for trajectories; a file that cannot be read is told at once."""
        from delineate.core.errors import InputError
        from delineate.engine.calibration_files import read_camera, read_homography

        if homography is None and camera is None:
            return
        if homography is not None and camera is not None:
            raise InputError("track: expected --homography or --camera, got both; give one")
        if "trajectories" not in self.kinds:
            raise InputError(
                "track: expected --save trajectories with a ground, got "
                f"--save {','.join(self.kinds) or 'none'}; add it"
            )
        if camera is not None:
            ground = read_camera(camera)
            self.ground = lambda _: ground
        else:
            points = homography or Path()
            _, fit = read_homography(points)
            if fit is not None and not self.quiet:
                say(f"calibration by {fit}")
            self.ground = lambda size: read_homography(points, size)[0]

    def choose_tracker(self, name: str, pairs: list[str], confidence: float | None) -> None:
        """Make the tracker with its settings."""
        from dataclasses import fields

        from delineate.core.errors import InputError
        from delineate.tracking.choose import settings_of, tracker

        known = {f.name for f in fields(settings_of(name))}  # type: ignore[arg-type]
        chosen: dict[str, Any] = {}
        if confidence is not None:
            if not 0 <= confidence <= 1:
                raise InputError(f"--confidence: expected a number in 0..1, got {confidence}; give 0.5")
            chosen = {key: confidence for key in ("high", "begin") if key in known}
        for pair in pairs:
            key, equals, value = pair.partition("=")
            if not equals:
                raise InputError(f"--set {pair}: expected name=value, such as patience=60")
            chosen[key.strip()] = _value(value.strip())
        self.tracker = tracker(name, **chosen)

    def choose_detector(
        self, model: str, detections: Path | None, classes: str, device: str, appearance: bool
    ) -> None:
        """Load the model, or open the stored detections."""
        from delineate.core.errors import InputError

        self.detector["appearance"] = appearance
        self.detector["classes"] = [name.strip() for name in classes.split(",") if name.strip()]
        if detections is not None:
            if model:
                raise InputError("--detections: expected no --model with it, got both; leave one")
            self.detector["detections"] = detections
            return
        from delineate.engine.load import load

        self.detector["model"] = load(model or None, device=device or None)
        self.what |= {"model": _identity(model) if Path(model).is_file() else model or "nuclei"}
        self.what |= {"classes": self.detector["classes"], "appearance": self.detector["appearance"]}

    def go(self, resume: bool) -> None:
        """Follow the objects to the end of the source; files hold what was done, however it ends."""
        from delineate.core.errors import InputError
        from delineate.engine.track import track
        from delineate.engine.track_outputs import Film, TrackOutputs

        begin, ids, objects = time.monotonic(), set[int](), 0
        stem = _stem(self.source)
        if self.kinds:
            self.out.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            journal = self._journal(stack, stem, resume)
            rate = (self.pictures.rate or 25.0) / self.part.every
            numbering = _numbering(self.source, self.live)
            film = Film(Path(self.source).name, rate, numbering, self.part.every, ground=self.ground)
            outputs = stack.enter_context(TrackOutputs(self.out, stem, self.kinds, film))
            followed = stack.enter_context(
                _closed(track(self.part, tracker=self.tracker, journal=journal, **self.detector))
            )
            tick = stack.enter_context(_progress(self.pictures, self.quiet))
            try:
                for found in followed:
                    outputs.add(found)
                    ids.update(found.instances.ids.tolist())
                    objects += len(found.instances)
                    tick(found.number + 1, len(ids))
            finally:
                self._tell_lost()
        if not outputs.done:
            raise InputError(
                f"{self.source}: expected frames in the part that was chosen, got none; widen it"
            )
        if not self.quiet:
            took = time.monotonic() - begin
            replayed = (
                f", {journal.replayed} taken from the run before" if journal and journal.replayed else ""
            )
            frames = f"{outputs.done} frame{'s'[: outputs.done != 1]}"
            tell(
                f"{self.source}: {frames}{replayed}, {len(ids)} tracks, "
                f"{objects} objects ({took:.1f} s, {outputs.done / max(took, 1e-9):.1f} frames/s)"
            )
            for line in outputs.told():
                say(f"warning: {line}")
            if outputs.files:
                tell("results: " + ", ".join(str(path) for path in outputs.files.values()))

    def _journal(self, stack: ExitStack, stem: str, resume: bool) -> Journal | None:
        """Where a model's detections are kept; a camera cannot be resumed, and stored ones need not be."""
        from delineate.core.errors import InputError
        from delineate.engine.track_journal import Journal

        possible = not self.live and "model" in self.detector and self.kinds
        if resume and not possible:
            raise InputError(
                "--resume: expected a model that looks at a file or folder and saves something, got "
                f"{'a camera or stream' if self.live else 'other settings'}; leave --resume out"
            )
        if not possible:
            return None
        return stack.enter_context(Journal(self.out / f"{stem}.journal.gz", self.what, resume))

    def _tell_lost(self) -> None:
        if self.live:
            if self.pictures.dropped:
                say(f"{self.source}: {self.pictures.dropped} frames came too fast and were passed over")
            return
        if lost := self.pictures.notes():
            self.damaged = True
            say(f"warning: {self.source}: {lost}")


def _kinds(text: str) -> tuple[str, ...]:
    from delineate.core.errors import InputError
    from delineate.engine.track_outputs import KINDS

    words = [w.strip().lower() for w in text.split(",") if w.strip()]
    if words == ["none"]:
        return ()
    if not words or not set(words) <= set(KINDS):
        raise InputError(
            f"--save: expected some of {','.join(KINDS)}, or none, got {text!r}; choose of these"
        )
    return tuple(k for k in KINDS if k in words)


def _stem(source: str) -> str:
    """What the files' names begin with: the source's name without what no file name should have."""
    name = Path(source).resolve().stem if Path(source).exists() else source.split("@")[-1]
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "track"


def _identity(source: str) -> Any:
    """What tells a file or folder from another: its name and size, and when it was last written."""
    path = Path(source)
    if path.is_file():
        state = path.stat()
        return [path.name, state.st_size, state.st_mtime_ns]
    if path.is_dir():
        from delineate.data.find import find

        files = find([path])
        return [path.resolve().name, len(files), files[0].name, files[-1].name]
    return source


def _numbering(source: str, live: bool) -> Any:
    """The number of a frame in MOTS and MOT text: of images the one that ends the name, else from 1."""
    if live or not Path(source).is_dir():
        return None
    from delineate.engine.track_detections import frame_numbers

    numbers = frame_numbers(source)
    return None if numbers is None else numbers.__getitem__


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


@contextmanager
def _closed(items: Any) -> Iterator[Any]:
    try:
        yield items
    finally:
        items.close()


@contextmanager
def _progress(pictures: Any, quiet: bool) -> Iterator[Any]:
    """A line on a terminal's stderr: frames done, tracks so far."""
    import sys

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, quiet=quiet or not sys.stderr.isatty())
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("frames", total=getattr(pictures, "count", None))
        yield lambda done, tracks: bar.update(task, completed=done, description=f"frames, {tracks} tracks")

"""One run of `delineate predict` over many images: what was done, what failed, and what is said of it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .messages import once_each, say, tell

if TYPE_CHECKING:
    from delineate.data.stain import Normaliser
    from delineate.engine.batch import Source
    from delineate.engine.batch_journal import BatchJournal
    from delineate.engine.batch_sources import Reading
    from delineate.engine.load import Model

    from .outputs import Outputs


class PredictRun:
    """One run over many images and videos.

    Args:
        reading: how files are read.
        finding: settings of prediction: confidence, iou, max_det, tile.
        quiet: say nothing but errors.
        as_json: print one JSON document in place of lines.
        task: "instance", "semantic" or "panoptic".
        stain: how stained images are made alike; None leaves them.
    """

    def __init__(
        self,
        reading: Reading,
        finding: dict[str, Any],
        *,
        quiet: bool,
        as_json: bool,
        task: str = "instance",
        stain: Normaliser | None = None,
    ) -> None:
        self.reading, self.finding, self.task, self.stain = reading, finding, task, stain
        self.quiet, self.as_json = quiet, as_json
        self.model: Model | None = None
        self.images: list[dict[str, Any]] = []  # with as_json
        self.done = self.known = self.objects = self.videos = 0
        self.places: set[str] = set()
        self.failed: list[dict[str, Any]] = []
        self.started = time.monotonic()

    def find(self, inputs: list[str], out: Path) -> list[str]:
        """The files that the arguments stand for; those that stand for none have failed."""
        from delineate.core.errors import InputError
        from delineate.data.find import find

        from .outputs import ENDINGS
        from .segments import CLASSES_ENDING

        found: dict[str, None] = {}
        for given in inputs:
            if given == "-":
                found["-"] = None
                continue
            try:
                files = find([given])
            except InputError as error:
                self.fail(given, error)
                continue
            if Path(given).is_dir() and Path(given).resolve() == out.resolve():
                ours = (*ENDINGS.values(), CLASSES_ENDING)
                files = [f for f in files if not f.name.endswith(ours)]  # results of an earlier run
            found.update(dict.fromkeys(map(str, files)))
        return list(found)

    def all(self, sources: list[Source], outputs: Outputs, journal: BatchJournal | None) -> None:
        """Every image of every source, with a progress bar on a terminal's stderr."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from delineate.engine.batch import Batch

        console = Console(stderr=True, quiet=self.quiet or not sys.stderr.isatty())
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        both = sys.stdout.isatty()
        with Progress(*columns, console=console, transient=True, redirect_stdout=both) as bar:
            images = bar.add_task("images", total=len(sources))

            def ticker(name: str) -> Any:
                task = bar.add_task(name, total=None, visible=False)

                def tick(done: int, total: int | None) -> None:
                    bar.update(task, completed=done, total=total, visible=done != total)

                return tick

            tiles, frames = ticker("tiles"), ticker("frames")
            batch = Batch(lambda pixels: self.look(pixels, tiles), outputs, self.reading, journal, self.stain)
            for step in batch.run(sources):
                if step.error is not None:
                    self.fail("stdin" if step.source.path == "-" else step.source.path, step.error, step.page)
                elif step.record is None:
                    self.try_video(step.source, outputs, tiles, frames)
                else:
                    self.note(step.record, step.known)
                if step.last:
                    bar.advance(images)

    def look(self, pixels: Any, tick: Any) -> Any:
        """The image's objects, segments or classes."""
        assert self.model is not None
        if self.task == "instance":
            return self.model.predict(pixels, progress=tick, **self.finding)
        if self.task == "panoptic":
            return self.model.panoptic(pixels, confidence=self.finding["confidence"])
        return self.model.semantic(pixels)

    def note(self, record: dict[str, Any], known: bool = False) -> None:
        """Counts an image that is done, and says so."""
        from .segments import told

        self.done += 1
        self.known += known
        self.objects += record["count"]
        self.places |= {str(Path(p).parent) for p in record["files"].values()}
        if self.as_json:
            self.images.append(record)
        elif not (self.quiet or known):
            tell(_line(record, told(record, self.task)))

    def try_video(self, source: Source, outputs: Outputs, tick: Any, frames: Any) -> None:
        """A video; what goes wrong is told and the next one's turn comes."""
        try:
            self.video(source, outputs, tick, frames)
        except Exception as error:
            self.fail(source.path, error)

    def video(self, source: Source, outputs: Outputs, tick: Any, frames: Any) -> None:
        """Predict and write every frame; what could not be read of it counts as failed."""
        from delineate.core.errors import InputError

        from .video import Clip

        if self.task != "instance":
            raise InputError(
                f"{source.path}: expected images with --task {self.task}, got a video; cut out frames"
            )
        clip = Clip(source.path, source.name, source.stem, outputs, self.reading)
        try:
            with once_each():
                clip.predict(self.model, frames, progress=tick, **self.finding)
        finally:  # an interrupt keeps what is done
            if clip.done:
                record = clip.record()
                self.videos += 1
                self.done += 1
                self.objects += record["count"]
                self.places |= {str(Path(p).parent) for p in record["files"].values()}
                self.images += [record] if self.as_json else []
        if not (self.quiet or self.as_json):
            tell(clip.line())
        if lost := clip.lost():
            self.fail(source.path, lost)

    def fail(self, name: str, reason: object, page: int | None = None) -> None:
        """Note what failed and say so on stderr."""
        from delineate.engine.batch import reason_of

        error = reason if isinstance(reason, Exception) else None
        text = " ".join(str(reason).split()) if error is None else reason_of(error, name)
        self.failed.append({"file": name, "page": page, "reason": text})
        say(f"error: {name}{'' if page is None else f' page {page}'}: {text}")

    def finish(self, written: Mapping[str, str], code: int) -> None:
        """The last word, and the exit code."""
        from delineate import __version__

        if self.as_json:
            document = {
                "delineate": __version__,
                "model": self.model.name if self.model is not None else None,
                "settings": {k: v for k, v in self.finding.items() if v is not None},
                "images": self.images,
                "failed": self.failed,
                "files": dict(written),
            }
            typer.echo(json.dumps(document, indent=2, allow_nan=False))
        elif not self.quiet and self.done:
            kind = "input" if 0 < self.videos < self.done else "video" if self.videos else "image"
            parts = [f"{self.done} {kind}{'s'[: self.done > 1]}"]
            parts += [f"{self.known} of them done before"] if self.known else []
            if self.task != "semantic":
                what = "object" if self.task == "instance" else "segment"
                parts += [f"{self.objects} {what}{'s'[: self.objects != 1]}"]
            parts += [f"{len(self.failed)} failed"] if self.failed else []
            places = sorted({str(Path(p).parent) for p in written.values()}) or sorted(self.places)
            tell(", ".join(parts) + (f"; results in {', '.join(places)}" if places else ""))
        raise typer.Exit(code)


def _line(record: Mapping[str, Any], counts: str) -> str:
    """``name: 12 × nucleus on 640 x 480 (0.31 s)``."""
    page = "" if record["page"] is None else f" page {record['page']}"
    notes = f"  [{'; '.join(record['notes'])}]" if record["notes"] else ""
    size = f"{record['width']} x {record['height']}"
    return f"{record['file']}{page}: {counts} on {size} ({record['seconds']:.2f} s){notes}"

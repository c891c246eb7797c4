"""One run of `delineate predict` over many images: what was done, what failed, and what is said of it."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .messages import once_each, say, tell

if TYPE_CHECKING:
    from delineate.data.images import ImageFile
    from delineate.engine.load import Model

    from .outputs import Outputs


class PredictRun:
    """One run over many images and videos.

    Args:
        reading: settings of reading images: channels, page, max_pixels.
        finding: settings of prediction: confidence, iou, max_det, tile.
        quiet: say nothing but errors.
        as_json: print one JSON document in place of lines.
        task: "instance", "semantic" or "panoptic".
    """

    def __init__(
        self,
        reading: dict[str, Any],
        finding: dict[str, Any],
        *,
        quiet: bool,
        as_json: bool,
        task: str = "instance",
    ) -> None:
        self.reading, self.finding, self.task = reading, finding, task
        self.quiet, self.as_json = quiet, as_json
        self.model: Model | None = None
        self.images: list[dict[str, Any]] = []
        self.failed: list[dict[str, Any]] = []
        self.started = time.monotonic()
        self.names: dict[str, str] = {}

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
        self.names = _names(list(found))
        return list(found)

    def all(self, sources: list[str], outputs: Outputs) -> None:
        """Every page of every source, with a progress bar on a terminal's stderr."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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
            for source in sources:
                self.one(source, outputs, tiles, frames)
                bar.advance(images)

    def one(self, source: str, outputs: Outputs, tick: Any, frames: Any) -> None:
        """One source with all its pages or frames; what goes wrong is told and the next one's turn comes."""
        from delineate.core.errors import DelineateError
        from delineate.data.video import is_video

        name = "stdin" if source == "-" else source
        page: int | None = None
        try:
            if source != "-" and is_video(source):
                self.video(source, outputs, tick, frames)
                return
            for image in self.pages(source):
                page = image.page if image.pages > 1 else None
                self.image(image, source, outputs, tick)
        except DelineateError as error:
            self.fail(name, error, page)
        except OSError as error:
            self.fail(name, f"{error.strerror or error}; choose another place", page)
        except MemoryError:
            self.fail(name, "not enough memory; try --tile 512, or a smaller image", page)
        except Exception as error:
            self.fail(name, f"a fault of delineate, please report it: {type(error).__name__}: {error}", page)

    def pages(self, source: str) -> Iterator[ImageFile]:
        """The pages of a file or of standard input, decoded one at a time."""
        from delineate.data.images import pages, read

        given: str | bytes = sys.stdin.buffer.read() if source == "-" else source
        if self.reading["page"] is not None:
            yield read(given, **self.reading)
            return
        reading = {k: v for k, v in self.reading.items() if k != "page"}
        yield from pages(given, **reading)

    def image(self, image: ImageFile, source: str, outputs: Outputs, tick: Any) -> None:
        """Predict, write, count."""
        from .segments import tally

        assert self.model is not None
        begin = time.monotonic()
        found = self.look(image.pixels, tick)
        classes = tally(found)
        record: dict[str, Any] = {
            "file": "stdin" if source == "-" else source,
            "page": image.page if image.pages > 1 else None,
            "width": found.size[1],
            "height": found.size[0],
            "count": len(classes) if self.task == "semantic" else sum(classes.values()),
            "classes": classes,
        }
        record |= outputs.add(image, self.names[source], found)
        record["seconds"] = round(time.monotonic() - begin, 3)
        record["notes"] = list(image.notes)
        self.images.append(record)
        if not (self.quiet or self.as_json):
            tell(_line(record, found, image))

    def look(self, pixels: Any, tick: Any) -> Any:
        """The image's objects, segments or classes."""
        assert self.model is not None
        if self.task == "instance":
            return self.model.predict(pixels, progress=tick, **self.finding)
        if self.task == "panoptic":
            return self.model.panoptic(pixels, confidence=self.finding["confidence"])
        return self.model.semantic(pixels)

    def video(self, source: str, outputs: Outputs, tick: Any, frames: Any) -> None:
        """Predict and write every frame; what could not be read of it counts as failed."""
        from delineate.core.errors import InputError

        from .video import Clip

        if self.task != "instance":
            raise InputError(
                f"{source}: expected images with --task {self.task}, got a video; cut out frames"
            )
        clip = Clip(source, self.names[source], outputs, self.reading)
        try:
            with once_each():
                clip.predict(self.model, frames, progress=tick, **self.finding)
        finally:  # an interrupt keeps what is done
            if clip.done:
                self.images.append(clip.record())
        if not (self.quiet or self.as_json):
            tell(clip.line())
        if lost := clip.lost():
            self.fail(source, lost)

    def fail(self, name: str, reason: object, page: int | None = None) -> None:
        """Note what failed and say so on stderr."""
        text = " ".join(str(reason).split())
        text = text.removeprefix(f"{name}: ")
        self.failed.append({"file": name, "page": page, "reason": text})
        say(f"error: {name}{'' if page is None else f' page {page}'}: {text}")

    def finish(self, written: dict[str, str] | None, code: int) -> None:
        """The last word, and the exit code."""
        from delineate import __version__

        if self.as_json:
            document = {
                "delineate": __version__,
                "model": self.model.name if self.model is not None else None,
                "settings": {k: v for k, v in self.finding.items() if v is not None},
                "images": self.images,
                "failed": self.failed,
                "files": written or {},
            }
            typer.echo(json.dumps(document, indent=2, allow_nan=False))
        elif not self.quiet and self.images:
            total = sum(r["count"] for r in self.images)
            number = len(self.images)
            videos = sum("frames" in r for r in self.images)
            kind = "input" if 0 < videos < number else "video" if videos else "image"
            parts = [f"{number} {kind}{'s'[: number > 1]}"]
            if self.task != "semantic":
                what = "object" if self.task == "instance" else "segment"
                parts += [f"{total} {what}{'s'[: total != 1]}"]
            parts += [f"{len(self.failed)} failed"] if self.failed else []
            places = sorted({str(Path(p).parent) for p in (written or {}).values()})
            places = places or sorted({str(Path(p).parent) for r in self.images for p in r["files"].values()})
            tell(", ".join(parts) + (f"; results in {', '.join(places)}" if places else ""))
        raise typer.Exit(code)


def _line(record: dict[str, Any], found: Any, image: ImageFile) -> str:
    """``name: 12 × nucleus on 640 x 480 (0.31 s)``."""
    from .segments import told

    page = "" if record["page"] is None else f" page {record['page']}"
    counts = told(found)
    notes = f"  [{'; '.join(image.notes)}]" if image.notes else ""
    size = f"{found.size[1]} x {found.size[0]}"
    return f"{record['file']}{page}: {counts} on {size} ({record['seconds']:.2f} s){notes}"


def _names(sources: list[str]) -> dict[str, str]:
    """What each source is called in COCO file and table: its name alone where that tells it from the rest."""
    names = {s: "stdin" if s == "-" else Path(s).name for s in sources}
    often = Counter(names.values())
    return {s: name if often[name] == 1 else s for s, name in names.items()}

"""What `delineate fruit` and `delineate leaves` share: the images, the run, the tables, what is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from delineate.engine.measure_sources import Item


def crops_items(
    images: Sequence[str],
    model: str,
    labels: str,
    confidence: float,
    split: str,
    device: str,
    skip_invalid: bool = False,
) -> list[Item]:
    """The images to look at and what finds their objects: a model, labels of them, or their own labels."""
    from delineate.core.errors import InputError
    from delineate.engine.measure_sources import Choice, dataset_items, items_of, model_items, own_names

    if model and labels:
        raise InputError("expected --model or --labels, got both; leave one out")
    if model:
        from delineate.engine.load import load

        net = load(model, device=device or None)
        return model_items(
            images, lambda pixels: net.predict(pixels, confidence=confidence), Choice(split=split or None)
        )
    choice = Choice(split=split or None)
    if skip_invalid:
        from .written import open_labels

        sources = [labels] if labels else images
        folder = Path(images[0]) if labels else None
        found = [open_labels(path, split, folder, skip_invalid=True) for path in sources]
        return own_names([item for data in found for item in dataset_items(data, choice)])
    if not labels:
        return items_of(images, choice)
    if len(images) != 1 or not Path(images[0]).is_dir():
        raise InputError(
            f"--labels: expected one folder of the photographs, got {' '.join(images)}; give the folder"
        )
    return items_of([labels], Choice(images=Path(images[0]), split=split or None))


def one_video(images: Sequence[str]) -> bool:
    """Whether the images are one video file."""
    from delineate.data.video import is_video

    return len(images) == 1 and Path(images[0]).is_file() and is_video(images[0])


def fruit_video(
    images: Sequence[str], model: str, labels: str, settings: Any, confidence: float, run: CropsRun
) -> None:
    """Counts the fruit of one video; raises typer.Exit with the command's code."""
    from delineate.core.errors import InputError
    from delineate.engine.crops_video import fruit_of_video

    from .bars import bar
    from .messages import say, tell
    from .written import journal_place

    if not model or labels or len(images) != 1:
        raise InputError("fruit of a video: expected one video and --model, got others; name a model")
    if settings.plots is not None or settings.overlapping:
        raise InputError("fruit of a video: expected no --plots or --overlapping; these are for photographs")
    run.items = [Path(images[0])]
    journal_place(run.out, run.command)
    with bar("frames", 0, run.quiet) as tick:
        done = fruit_of_video(images[0], model, settings, confidence, tick)
    row = done.images.iloc[0].to_dict()
    if row["warning"]:
        say(f"warning: {row['image']}: {row['warning']}")
    if not (run.quiet or run.as_json):
        tell(f"{row['image']}: {row['frames']} frames, {row['count']} fruit, each counted once")
    run.end(done)


class CropsRun:
    """One run of a command: goes through the images, writes the tables, tells.

    Args:
        command: ``fruit`` or ``leaves``.
        items: what to look at.
        out: a folder or a file.
        quiet: tell errors alone.
        as_json: print one JSON document.
    """

    def __init__(self, command: str, items: list[Any], out: Path, quiet: bool, as_json: bool) -> None:
        self.command, self.items, self.out = command, items, out
        self.quiet, self.as_json = quiet, as_json

    def go(
        self,
        work: Callable[..., Any],
        line: Callable[[Mapping[str, Any]], str],
        what: Mapping[str, Any],
        resume: bool,
    ) -> None:
        """Look, write, tell; raises typer.Exit with the command's code.

        Args:
            work: given a journal and what to call after each image; returns a ``CropsResult``.
            line: an image's row in words.
            what: the settings, for the journal.
            resume: go on with a run that was cut off.
        """
        from delineate.engine.measure_journal import MeasureJournal

        from .bars import bar
        from .messages import say, tell
        from .written import journal_place

        place = journal_place(self.out, self.command)
        with (
            MeasureJournal(place, what, resume) as journal,
            bar("images", len(self.items), self.quiet) as tick,
        ):

            def told(name: str, row: Mapping[str, Any]) -> None:
                tick()
                if row["status"] == "failed":
                    say(f"error: {name}: {row['reason']}")
                    return
                if row.get("warning"):
                    say(f"warning: {name}: {row['warning']}")
                if not (self.quiet or self.as_json):
                    tell(f"{name}: {line(row)}")

            done = work(journal, told)
            if len(done.failed) == len(self.items):
                journal.remove()
                raise typer.Exit(2)
            self.end(done, journal.remove if not done.failed else None)

    def _write(self, done: Any) -> list[Path]:
        from delineate.engine.crops_columns import described
        from delineate.engine.measure_tables import write_tables
        from delineate.engine.objects_page import write_index

        written = write_tables(self.out, {**done.tables, "columns": described(done.tables)})
        if done.pages:
            title = f"{self.command.capitalize()} in {len(done.pages)} pictures"
            written.append(write_index(self.out / "index.html", done.pages, title))
        return written

    def end(self, done: Any, written_all: Callable[[], object] | None = None) -> None:
        """Write the tables and tell; raises typer.Exit with the command's code."""
        from .messages import tell

        written = self._write(done)
        if written_all is not None:
            written_all()

        if self.as_json:
            typer.echo(json.dumps(_document(done, written), indent=1, allow_nan=False))
        elif not self.quiet:
            bad = f", {len(done.failed)} failed (mend them and give --resume)" if done.failed else ""
            images, objects = len(self.items), len(done.tables["objects"])
            once = ""
            if "counted" in done.tables["objects"]:
                once = f", {int(done.tables['objects']['counted'].sum())} fruit counted once"
            tell(f"{images} image{'s'[: images != 1]}, {objects} object{'s'[: objects != 1]}{once}{bad}")
            tell("wrote " + ", ".join(map(str, written)))
        raise typer.Exit(1 if done.failed else 0)


def fruit_line(row: Mapping[str, Any]) -> str:
    """``42 fruit, median diameter 31.2 mm (scale ± 0.8 %: ArUco …); red 30, pink 12``."""
    parts = [f"{row['count']} fruit"]
    physical = row.get("median_diameter_mm")
    if physical is not None:
        error = row.get("scale_error") or 0.0
        parts.append(
            f"median diameter {physical:.4g} mm (scale ± {100 * error:.2g} %: {row['scale_source']})"
        )
    elif row.get("median_diameter") is not None:
        parts.append(f"median diameter {row['median_diameter']:.4g} px")
    grades = [f"{k.removeprefix('grade_')} {v}" for k, v in row.items() if k.startswith("grade_") and v]
    return ", ".join(parts) + (f"; {', '.join(grades)}" if grades else "")


def leaf_line(row: Mapping[str, Any]) -> str:
    """``2 leaves, 14 lesions, 3.2 % diseased``."""
    leaves, lesions = row["leaves"], row["lesions"]
    text = f"{leaves} lea{'f' if leaves == 1 else 'ves'}, {lesions} lesion{'s'[: lesions != 1]}"
    part = row.get("diseased_fraction")
    text += "" if part is None else f", {100 * part:.3g} % diseased"
    loose = row["loose_lesions"]
    return text + (f"; {loose} on no leaf" if loose else "")


def _document(done: Any, written: list[Path]) -> dict[str, Any]:
    from delineate import __version__
    from delineate.engine.crops_run import plain

    tables = {
        name: [{str(k): plain(v) for k, v in row.items()} for row in frame.to_dict("records")]
        for name, frame in done.tables.items()
        if name != "objects"
    }
    objects = len(done.tables["objects"])
    return {"delineate": __version__, **tables, "objects": objects, "files": [*map(str, written)]}


__all__ = ["CropsRun", "crops_items", "fruit_line", "leaf_line"]

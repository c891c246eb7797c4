"""The report of an evaluation of tracks: frozen, prints itself, saves itself as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from delineate import __version__
from delineate.core.errors import InputError
from delineate.metrics.metric import Cell, MetricReport, ScoreTable, protocol_of, tables_of

from .atomic import write_atomically
from .track_pictures import WorstFrame
from .track_timeline import Timeline
from .tracks_page import to_html

PREFIX = {"seg": "ctc", "tra": "ctc"}
"""What stands before the scores of a part where it is not the part's name."""
_MAIN = ("hota/HOTA", "clear/MOTA", "identity/IDF1", "ctc/SEG", "ctc/TRA")


@dataclass(frozen=True, eq=False)
class TracksReport:
    """What an evaluation of tracks found; ``print(report)`` shows it.

    Attributes:
        results: what was scored.
        truth: against what.
        sequences: names of the sequences scored.
        frames: how many in all.
        parts: the reports ``hota``, ``clear``, ``identity``, ``seg``, ``tra``, those asked for.
        failed: (sequence, reason) of those that could not be scored.
        notes: what a reader of the numbers must know, one sentence each.
        seconds: wall-clock time.
        timelines: of each sequence that a score of boxes or masks was made of, who was followed when.
        worst: frames with most errors, where images were given.
    """

    results: str
    truth: str
    sequences: tuple[str, ...]
    frames: int
    parts: Mapping[str, MetricReport]
    failed: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    seconds: float
    timelines: tuple[Timeline, ...] = ()
    worst: tuple[WorstFrame, ...] = ()

    @property
    def scores(self) -> dict[str, float]:
        """Every number of all sequences by a short name: ``hota/HOTA``, ``clear/MOTA``, ``identity/IDF1``,
        ``ctc/SEG``, ``ctc/TRA``, ..; ratios 0..1, NaN where undefined.

        ``ctc/OP_CSB`` is the mean of SEG and DET, ``ctc/OP_CTB`` that of SEG and TRA.
        """
        found = {
            f"{PREFIX.get(part, part)}/{name}": value
            for part, report in self.parts.items()
            for name, value in report.scores.items()
        }
        if "ctc/SEG" in found:
            found["ctc/OP_CSB"] = 0.5 * (found["ctc/SEG"] + found["ctc/DET"])
            found["ctc/OP_CTB"] = 0.5 * (found["ctc/SEG"] + found["ctc/TRA"])
        return found

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind the numbers, by part."""
        return {part: protocol_of(report) for part, report in self.parts.items()}

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, ready for JSON; undefined numbers are None."""
        return {
            "delineate": __version__,
            "results": self.results,
            "truth": self.truth,
            "sequences": list(self.sequences),
            "frames": self.frames,
            "scores": {name: None if value != value else value for name, value in self.scores.items()},
            "details": {part: report.to_dict() for part, report in self.parts.items()},
            "protocol": self.protocol,
            "notes": list(self.notes),
            "failed": [{"sequence": name, "reason": reason} for name, reason in self.failed],
            "seconds": round(self.seconds, 3),
        }

    def to_json(self) -> str:
        """:meth:`to_dict` as text."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)

    def to_csv(self) -> str:
        """One row per number: sequence (empty for all), class (empty for all), name, value."""
        file = io.StringIO(newline="")
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["sequence", "class", "score", "value"])
        rows.writerows(["", "", name, _number(value)] for name, value in self.scores.items())
        for part, report in self.parts.items():
            details, prefix = report.to_dict(), PREFIX.get(part, part)
            for sequence, row in details["sequences"].items():
                by_class = row if any(isinstance(v, Mapping) for v in row.values()) else {"": row}
                for label, scores in by_class.items():
                    rows.writerows(
                        [_text(sequence), _text(label), f"{prefix}/{name}", _number(value)]
                        for name, value in scores.items()
                    )
        return file.getvalue()

    def to_html(self) -> str:
        """One page with everything on it; see :mod:`delineate.engine.tracks_page`."""
        return to_html(self)

    def save(self, path: str | Path) -> list[Path]:
        """Write the report.

        Args:
            path: a ``.html``, ``.json``, ``.csv`` or ``.txt`` file, or a folder that gets ``report.json``,
                ``report.csv`` and ``report.txt``.

        Returns:
            The files written.
        """
        path = Path(path)
        content = {".json": self.to_json, ".csv": self.to_csv, ".txt": self.__str__}
        if path.suffix.lower() == ".html":
            files = {path: self.to_html}
        elif path.suffix.lower() in content:
            files = {path: content[path.suffix.lower()]}
        elif path.suffix and not path.is_dir():
            raise InputError(
                f"{path}: expected a .html, .json, .csv or .txt file or a folder, got {path.suffix!r}; "
                "choose one"
            )
        else:
            files = {path / f"report{suffix}": text for suffix, text in content.items()}
        for file, text in files.items():
            write_atomically(file, partial(_write, (text().rstrip("\n") + "\n").encode()))
        return list(files)

    def render(self, console: Console) -> None:
        """Print tables first, then the protocol, notes and failures."""
        console.print(f"[bold]{escape(self.results)}[/] against {escape(self.truth)}", soft_wrap=True)
        for report in self.parts.values():
            for table in tables_of(report):
                console.print(_table(table))
        for part, said in self.protocol.items():
            words = "; ".join(text if key == "definition" else f"{key}: {text}" for key, text in said.items())
            console.print(escape(f"{part.upper()} protocol: {words}"), style="dim")
        for note in self.notes:
            console.print(f"[yellow]note:[/] {escape(note)}", soft_wrap=True)
        for name, reason in self.failed:
            console.print(f"[red]not scored:[/] {escape(name)}: {escape(reason)}", soft_wrap=True)
        told = f"{len(self.sequences)} sequences, {self.frames} frames scored in {self.seconds:.1f} s"
        console.print(told.replace("1 sequences", "1 sequence") if len(self.sequences) == 1 else told)

    def __str__(self) -> str:
        console = Console(file=io.StringIO(), width=110, record=False, highlight=False)
        self.render(console)
        return str(console.file.getvalue()).rstrip()  # type: ignore[attr-defined]

    def __rich_console__(self, console: Console, options: object) -> Iterator[str]:
        self.render(console)
        yield ""

    def __repr__(self) -> str:
        main = ", ".join(f"{k} {v:.3f}" for k, v in self.scores.items() if k in _MAIN)
        return f"TracksReport({len(self.sequences)} sequences: {main or 'no scores'})"


def _table(given: ScoreTable) -> Table:
    table = Table(
        title=escape(given.title),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE,
        pad_edge=False,
        collapse_padding=True,
        padding=(0, 1),
        caption=escape(given.caption) or None,
        caption_justify="left",
    )
    for k, column in enumerate(given.columns):
        table.add_column(escape(column), justify="right" if k else "left", no_wrap=True)
    for row in given.rows:
        table.add_row(*(_cell(cell) for cell in row))
    return table


def _cell(value: Cell) -> str:
    if isinstance(value, str):
        return escape(value)
    if value is None or value != value:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.{1 if value >= 100 else 3}f}"


def _number(value: float | None) -> str:
    return "" if value is None or value != value else repr(value)


def _text(value: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _write(data: bytes, file: IO[bytes]) -> None:
    file.write(data)

"""The end of a run: tables of all chunks together, of one form, and nothing left that does not count."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from delineate.core.errors import InputError

from ..batch_files import ENDINGS
from ..batch_journal import BatchJournal
from ..batch_outputs import Outputs
from ..batch_tables import Schema, packed, write_csv
from .chunks import Row
from .commits import FOLDER, CommitLog, content_name
from .parquet import common_kinds, with_kinds
from .places import Place

if TYPE_CHECKING:
    from .predict_work import PredictWork

SKIPPED = "skipped.csv"
RESULT = f"{FOLDER}/result.json"
TABLES = ("measurements", "images")


def finish(place: Place, log: CommitLog, rows: Sequence[Row], work: PredictWork) -> dict[str, str]:
    """Checks that every row counts once, and writes what is of the whole run.

    Returns:
        where the tables lie, by kind.
    """
    files: dict[str, str] = {}
    if "parquet" in work.kinds:
        files |= one_form(place, log)
    failed = [{**one, "page": None} for n in sorted(log.done) for one in log.done[n]["failed"]]
    files |= _tables(place, log, rows, work, failed)
    files |= write_skipped(place, failed)
    _sweep(place, log, rows, work)
    log.finish()
    return files


def check_once(log: CommitLog, rows: Sequence[Row], chunks: Iterable[int]) -> None:
    """Every row stands in one of these chunks of the log.

    Raises:
        InputError: one does not: the log was tampered with.
    """
    often = Counter(row for chunk in chunks for row in log.done[chunk]["rows"])
    if often.keys() != {row["row"] for row in rows} or any(n != 1 for n in often.values()):
        twice = sum(n > 1 for n in often.values())
        raise InputError(
            f"{log.place.uri(FOLDER)}: expected every image once, got {len(rows) - len(often)} of "
            f"{len(rows)} not at all and {twice} more than once; delete this folder and begin anew"
        )


def one_form(place: Place, log: CommitLog) -> dict[str, str]:
    """Gives the partitions of a table the same columns, and takes away what no commit names."""
    from .predict_work import explain

    before: dict[str, dict[str, str]] = json.loads(place.read(RESULT)) if place.exists(RESULT) else {}
    parts: dict[str, dict[str, str]] = {}  # what counts in the end by what the log names
    for table in TABLES:
        of = [told for _, told in sorted(log.done.items()) if table in told["parts"]]
        kinds = common_kinds(told["columns"][table] for told in of)
        known = before.get(table, {})  # of a run that ended here: what the log names may be swept away
        parts[table] = {}
        for told in of:
            name = told["parts"][table]
            final = known.get(name, name)
            if name not in known and list(told["columns"][table].items()) != list(kinds.items()):
                number = int(Path(name).name.partition("-")[0])
                data = with_kinds(place.read(name), kinds, explain)
                final = content_name(f"{table}.parquet", number, data, ".parquet")
                place.write(final, data)
            parts[table][name] = final
    place.write(RESULT, json.dumps(parts).encode())
    return {table: place.uri(f"{table}.parquet") for table in TABLES if parts[table]}


def _tables(
    place: Place,
    log: CommitLog,
    rows: Sequence[Row],
    work: PredictWork,
    failed: Sequence[Mapping[str, Any]],
) -> dict[str, str]:
    """The files that `delineate predict` writes of a whole run, by the same code."""
    kinds = [kind for kind in work.kinds if kind in ("csv", "coco")]
    if not (kinds or work.plate) or not any(
        told["parts"].get("notes") and told["images"] for told in log.done.values()
    ):
        return {}
    notes = cast("BatchJournal", Notes(place, log, rows))
    stamps = {row["file"]: row["stamp"] for row in rows}
    if place.local is not None:
        outputs = Outputs(place.local, kinds, frozenset(), work.pixel_size, work.plate)
        return outputs.close(notes, stamps, failed)
    with tempfile.TemporaryDirectory(prefix="delineate-") as folder:
        outputs = Outputs(Path(folder), kinds, frozenset(), work.pixel_size, work.plate)
        written = outputs.close(notes, stamps, failed)
        return {kind: place.put(Path(file), Path(file).name) for kind, file in written.items()}


class Notes:
    """What was noted of each image, read from the parts that count, chunk by chunk."""

    def __init__(self, place: Place, log: CommitLog, rows: Sequence[Row]) -> None:
        self.place, self.rows = place, rows
        noted = [told for _, told in sorted(log.done.items()) if "notes" in told["parts"]]
        self.parts = [told["parts"]["notes"] for told in noted]
        self.chunk_of = {rows[row]["file"]: k for k, told in enumerate(noted) for row in told["rows"]}
        self._held: tuple[int, list[tuple[str, int, dict[str, Any]]]] = (-1, [])

    def entries(self, sources: Mapping[str, str]) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """All entries, in the order of the manifest."""
        for chunk in range(len(self.parts)):
            yield from (one for one in self._read(chunk) if one[0] in sources)

    def get(self, source: str, unit: int, stamp: str) -> dict[str, Any] | None:
        """The entry of one image."""
        for file, number, entry in self._read(self.chunk_of[source]):
            if (file, number) == (source, unit):
                return entry
        return None

    def _read(self, chunk: int) -> list[tuple[str, int, dict[str, Any]]]:
        if self._held[0] != chunk:
            lines = map(json.loads, gzip.decompress(self.place.read(self.parts[chunk])).splitlines())
            found = [(self.rows[one["row"]]["file"], one["unit"], one["entry"]) for one in lines]
            self._held = (chunk, found)
        return self._held[1]


def write_skipped(place: Place, failed: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The list of what is not done, and why."""
    if not failed:
        place.remove(SKIPPED)
        return {}
    told = [(one["file"], "lost" if one["lost"] else "failed", one["reason"]) for one in failed]
    table = packed(pd.DataFrame(told, columns=["file", "status", "reason"]))
    with tempfile.TemporaryDirectory(prefix="delineate-") as folder:
        path = Path(folder) / SKIPPED
        write_csv(path, [table], Schema([table], lambda _: ("", "")))
        place.write(SKIPPED, path.read_bytes())
    return {"skipped": place.uri(SKIPPED)}


def _sweep(place: Place, log: CommitLog, rows: Sequence[Row], work: PredictWork) -> None:
    """What workers left that died: parts that no commit names, files of images that were given up."""
    if "parquet" in work.kinds:
        for table, names in json.loads(place.read(RESULT)).items():
            kept = {name.rpartition("/")[2] for name in names.values()}
            for name in place.names(f"{table}.parquet"):
                if name not in kept:
                    place.remove(f"{table}.parquet/{name}")
    counted = {name for told in log.done.values() for name in told["parts"].values()}
    for folder in (f"{FOLDER}/notes", f"{FOLDER}/tiles"):
        for name in place.names(folder):
            if f"{folder}/{name}" not in counted:
                place.remove(f"{folder}/{name}")
    lost = {one["file"] for told in log.done.values() for one in told["failed"] if one["lost"]}
    for row in rows if lost else ():
        if row["file"] in lost:
            for kind in work.kinds:
                if kind in ENDINGS:
                    place.remove(row["stem"] + ENDINGS[kind])

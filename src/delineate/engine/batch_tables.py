"""The tables and the COCO file of a long run, written image by image from its notes, in flat memory."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from delineate import __version__

from .atomic import write_atomically
from .measure_tables import plain_text

Entries = Callable[[], Iterator[Mapping[str, Any]]]
"""Gives what was noted of each image, in order, from the beginning whenever it is called."""
Kinds = dict[str, str]
ROW_GROUP = 50_000
"""Rows of a Parquet file that are written at once."""
_WIDER = {("i", "f"): "f", ("f", "i"): "f"}
_WITH_GAPS = {"i": "f", "f": "f", "b": "B", "B": "B", "O": "O"}


def packed(frame: pd.DataFrame) -> dict[str, Any]:
    """A table as plain values, for the notes: columns, the kind of each (b, i, f, O), units, sources."""
    kinds = {str(n): k if (k := frame[n].dtype.kind) in "bif" else "O" for n in frame.columns}
    return {
        "columns": {str(name): frame[name].tolist() for name in frame.columns},
        "kinds": kinds,
        "units": frame.attrs.get("units", {}),
        "sources": frame.attrs.get("sources", {}),
    }


def unpacked(table: Mapping[str, Any]) -> pd.DataFrame:
    """The inverse of :func:`packed`; ``attrs`` has units and sources."""
    kinds = table["kinds"]
    columns = {name: _array(values, kinds[name]) for name, values in table["columns"].items()}
    frame = pd.DataFrame(columns)
    frame.attrs = {"units": table["units"], "sources": table["sources"]}
    return frame


def _array(values: list[Any], kind: str) -> Any:
    if kind in "OB":
        return pd.Series(values, dtype=object)
    return np.array(values, dtype={"b": np.bool_, "i": np.int64, "f": np.float64}[kind])


class Schema:
    """The columns of all images' tables together, in the order in which they appear first.

    Attributes:
        kinds: per column b, i, f or O, wide enough for every image; a column that some images do not have is
            f (with NaN), O or B (texts or truth values, with None).
        units: per column.
        sources: per column.
    """

    def __init__(self, tables: Iterable[Mapping[str, Any]]) -> None:
        self.kinds: Kinds = {}
        self.units: dict[str, str] = {}
        self.sources: dict[str, str] = {}
        seen: dict[str, int] = {}
        count = 0
        for table in tables:
            count += 1
            for name, kind in table["kinds"].items():
                if not table["columns"][name] and name in self.kinds:
                    seen[name] += 1  # an empty column may have any kind
                    continue
                before = self.kinds.get(name, kind)
                self.kinds[name] = before if before == kind else _WIDER.get((before, kind), "O")
                seen[name] = seen.get(name, 0) + 1
            self.units |= table["units"]
            self.sources |= table["sources"]
        for name, times in seen.items():
            if times < count:
                self.kinds[name] = _WITH_GAPS[self.kinds[name]]

    def fitted(self, table: Mapping[str, Any]) -> pd.DataFrame:
        """One image's rows with all the columns."""
        rows = len(next(iter(table["columns"].values()), ()))
        columns = {}
        for name, kind in self.kinds.items():
            values = table["columns"].get(name)
            if values is None:
                values = [np.nan if kind == "f" else None] * rows
            elif kind == "f" and table["kinds"][name] != "f":
                values = [np.nan if v is None else float(v) for v in values]
            columns[name] = _array(values, kind)
        return pd.DataFrame(columns)

    def described(self) -> pd.DataFrame:
        """One row per column: its name, unit and source."""
        rows = [(name, self.units.get(name, ""), self.sources.get(name, "")) for name in self.kinds]
        return pd.DataFrame(rows, columns=["column", "unit", "source"])


def write_csv(path: Path, tables: Iterable[Mapping[str, Any]], schema: Schema) -> None:
    """All rows as one CSV file, image by image, atomically; no text can become a formula."""

    def save(file: IO[bytes]) -> None:
        text = pd.DataFrame(columns=list(schema.kinds)).to_csv(index=False, lineterminator="\n")
        file.write(text.encode("utf-8", "backslashreplace"))
        for table in tables:
            file.write(_lines(schema.fitted(table)))

    write_atomically(path, save)


def _lines(frame: pd.DataFrame) -> bytes:
    if not len(frame):
        return b""
    texts = {n: frame[n].map(plain_text) for n in frame.columns if frame[n].dtype.kind not in "biuf"}
    text = frame.assign(**texts).to_csv(index=False, header=False, lineterminator="\n")
    return text.encode("utf-8", "backslashreplace")


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """A small table as CSV, atomically; no text can become a formula."""
    head = pd.DataFrame(columns=[plain_text(n) for n in frame.columns])
    text = head.to_csv(index=False, lineterminator="\n").encode("utf-8", "backslashreplace")
    write_atomically(path, lambda file: file.write(text + _lines(frame)))


def write_parquet(path: Path, tables: Iterable[Mapping[str, Any]], schema: Schema) -> None:
    """All rows as one Parquet file; each field has its unit and source in its metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"b": pa.bool_(), "B": pa.bool_(), "i": pa.int64(), "f": pa.float64(), "O": pa.string()}
    fields = []
    for name, kind in schema.kinds.items():
        told = {"unit": schema.units.get(name, ""), "source": schema.sources.get(name, "")}
        told = {key: value for key, value in told.items() if value}
        fields.append(pa.field(name, types[kind], metadata=told))
    record = {"delineate": __version__, "units": schema.units, "sources": schema.sources}
    form = pa.schema(fields, metadata={b"delineate": json.dumps(record).encode()})

    def save(file: IO[bytes]) -> None:
        with pq.ParquetWriter(file, form) as writer:
            held: list[pd.DataFrame] = []
            rows = 0
            for table in tables:
                frame = schema.fitted(table)
                held.append(frame)
                rows += len(frame)
                if rows >= ROW_GROUP:
                    writer.write_table(_arrow(held, form))
                    held, rows = [], 0
            if rows:
                writer.write_table(_arrow(held, form))

    write_atomically(path, save)


def _arrow(frames: list[pd.DataFrame], form: Any) -> Any:
    import pyarrow as pa

    columns = []
    for field in form:
        values: list[Any] = []
        for frame in frames:
            values += frame[field.name].tolist()
        if field.type == pa.string():
            values = [value if value is None else str(value) for value in values]
        columns.append(pa.array(values, type=field.type, from_pandas=True))
    return pa.Table.from_arrays(columns, schema=form)


def write_coco(path: Path, entries: Entries) -> None:
    """Every object of the run as one COCO document, atomically; numbers count up in the run's order."""

    def save(file: IO[bytes]) -> None:
        out = io.TextIOWrapper(file, "ascii", write_through=True)
        info = {"description": "predictions", "version": f"delineate {__version__}"}
        out.write(f'{{"info":{_json(info)},"images":[')
        categories: list[Any] = []
        number = 0
        for number, entry in enumerate(entries(), 1):
            out.write(("," if number > 1 else "") + _json({"id": number, **entry["coco_image"]}))
            categories = categories or entry["categories"]
        out.write(f'],"categories":{_json(categories)},"annotations":[')
        first = 1
        for number, entry in enumerate(entries(), 1):
            for one in entry.get("annotations", ()):
                out.write(("," if first > 1 else "") + _json({**one, "id": first, "image_id": number}))
                first += 1
        out.write("]}")
        out.flush()
        out.detach()

    write_atomically(path, save)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)

"""The tables and the COCO file of a long run, written image by image from its notes, in flat memory."""

from __future__ import annotations

import csv
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
Explain = Callable[[str], tuple[str, str]]
"""From a column's name to its unit and its source."""
Kinds = dict[str, str]
ROW_GROUP = 20_000
"""Rows of a Parquet file that are written at once."""
_WIDER = {("i", "f"): "f", ("f", "i"): "f"}
_WITH_GAPS = {"i": "f", "f": "f", "b": "B", "B": "B", "O": "O"}


def packed(frame: pd.DataFrame) -> dict[str, Any]:
    """A table as plain values, for the notes: columns, and the kind of each (b, i, f, O)."""
    plain = frame.copy(deep=False)
    plain.attrs = {}  # pandas copies them for every column that it hands out
    kinds, columns = {}, {}
    for name, column in plain.items():
        kind = column.dtype.kind
        kinds[str(name)] = kind if kind in "bif" else "O"
        columns[str(name)] = column.tolist()
    return {"columns": columns, "kinds": kinds}


def packed_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """The same of one row of plain values."""
    kinds = {bool: "b", int: "i", float: "f"}
    return {
        "columns": {n: [v] for n, v in row.items()},
        "kinds": {n: kinds.get(type(v), "O") for n, v in row.items()},
    }


def with_columns(table: Mapping[str, Any], first: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """A packed table after columns that have one value, a text or a whole number, in all its rows."""
    kinds = {name: "i" if isinstance(value, int) else "O" for name, value in first.items()}
    columns = {name: [value] * rows for name, value in first.items()}
    return {"columns": columns | table["columns"], "kinds": kinds | table["kinds"]}


def unpacked(table: Mapping[str, Any]) -> pd.DataFrame:
    """The inverse of :func:`packed`."""
    kinds = table["kinds"]
    return pd.DataFrame({name: _array(values, kinds[name]) for name, values in table["columns"].items()})


def _array(values: list[Any], kind: str) -> Any:
    if kind == "O":
        return pd.Series(values, dtype=object)
    return np.array(values, dtype={"b": np.bool_, "i": np.int64, "f": np.float64}[kind])


class Schema:
    """The columns of all images' tables together, in the order in which they appear first.

    Attributes:
        kinds: per column b, i, f or O, wide enough for every image; a column that some images do not have is
            f (with NaN), O or B (texts or truth values, with None).
        units: per column that has one.
        sources: per column.

    Args:
        tables: as :func:`packed` gives them, read once.
        explain: gives a column's unit and source.
    """

    def __init__(self, tables: Iterable[Mapping[str, Any]], explain: Explain) -> None:
        self.kinds: Kinds = {}
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
        for name, times in seen.items():
            if times < count:
                self.kinds[name] = _WITH_GAPS[self.kinds[name]]
        told = {name: explain(name) for name in self.kinds}
        self.units = {name: unit for name, (unit, _) in told.items() if unit}
        self.sources = {name: source for name, (_, source) in told.items() if source}

    def columns(self, table: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
        """Kind and values of each column of one image's rows, those that it lacks filled up."""
        rows = len(next(iter(table["columns"].values()), ()))
        for name, kind in self.kinds.items():
            values = table["columns"].get(name)
            if values is None:
                values = [None] * rows
            elif kind == "f" and table["kinds"][name] != "f":
                values = [None if v is None else float(v) for v in values]
            yield kind, values

    def described(self) -> pd.DataFrame:
        """One row per column: its name, unit and source."""
        rows = [(name, self.units.get(name, ""), self.sources.get(name, "")) for name in self.kinds]
        return pd.DataFrame(rows, columns=["column", "unit", "source"])


def write_csv(path: Path, tables: Iterable[Mapping[str, Any]], schema: Schema) -> None:
    """All rows as one CSV file, image by image, atomically; no text can become a formula."""

    def save(file: IO[bytes]) -> None:
        out = io.TextIOWrapper(file, "utf-8", "backslashreplace", newline="", write_through=True)
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([plain_text(name) for name in schema.kinds])
        for table in tables:
            columns = [_texts(kind, values) for kind, values in schema.columns(table)]
            writer.writerows(zip(*columns, strict=True))
        out.flush()
        out.detach()

    write_atomically(path, save)


def _texts(kind: str, values: list[Any]) -> list[str]:
    """As pandas writes them: floats with the fewest digits that give them back, nothing for NaN and None."""
    if kind == "f":
        return ["" if v is None or v != v else repr(v) for v in values]
    if kind == "O":
        return ["" if v is None or v != v else str(plain_text(v)) for v in values]
    return ["" if v is None else str(v) for v in values]


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """A small table as CSV, atomically; no text can become a formula."""
    table = packed(frame)
    write_csv(path, [table], Schema([table], lambda _: ("", "")))


def write_parquet(path: Path, tables: Iterable[Mapping[str, Any]], schema: Schema) -> None:
    """All rows as one Parquet file; each field has its unit and source in its metadata."""
    write_atomically(path, lambda file: save_parquet(file, tables, schema))


def save_parquet(file: IO[bytes], tables: Iterable[Mapping[str, Any]], schema: Schema) -> None:
    """The same into an open file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    form = arrow_form(schema)
    with pq.ParquetWriter(file, form) as writer:
        held: list[Any] = []
        for table in tables:
            held.append(_arrow(table, schema, form))
            if sum(len(part) for part in held) >= ROW_GROUP:
                writer.write_table(pa.concat_tables(held), row_group_size=ROW_GROUP)
                held = []
        if held:
            writer.write_table(pa.concat_tables(held), row_group_size=ROW_GROUP)


def arrow_form(schema: Schema) -> Any:
    """The schema as Arrow has it, with units and sources in the metadata."""
    import pyarrow as pa

    types: dict[str, Any] = {
        "b": pa.bool_(),
        "B": pa.bool_(),
        "i": pa.int64(),
        "f": pa.float64(),
        "O": pa.string(),
    }
    fields = []
    for name, kind in schema.kinds.items():
        told = {"unit": schema.units.get(name, ""), "source": schema.sources.get(name, "")}
        told = {key: value for key, value in told.items() if value}
        fields.append(pa.field(name, types[kind], metadata=told))
    record = {"delineate": __version__, "units": schema.units, "sources": schema.sources}
    return pa.schema(fields, metadata={b"delineate": json.dumps(record).encode()})


def _arrow(table: Mapping[str, Any], schema: Schema, form: Any) -> Any:
    import pyarrow as pa

    columns = []
    for (kind, values), field in zip(schema.columns(table), form, strict=True):
        if kind == "O":
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

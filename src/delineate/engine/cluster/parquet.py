"""Partitions of a table: a Parquet file for each chunk, all of one form in the end."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..batch_tables import Explain, Schema, arrow_form, save_parquet

_WIDER = {("i", "f"): "f", ("f", "i"): "f", ("b", "B"): "B", ("B", "b"): "B"}
_GAPS = {"i": "f", "b": "B"}


def parquet_bytes(tables: Sequence[Mapping[str, Any]], explain: Explain) -> tuple[bytes, dict[str, str]]:
    """Packed tables as one Parquet file, and the kind of each column; None stands for an empty table's.

    Example:
        >>> data, kinds = parquet_bytes([{"columns": {"n": [1]}, "kinds": {"n": "i"}}], lambda _: ("", ""))
        >>> data[:4], kinds
        (b'PAR1', {'n': 'i'})
    """
    schema = Schema(tables, explain)
    file = io.BytesIO()
    save_parquet(file, tables, schema)
    return file.getvalue(), schema.kinds


def common_kinds(of_parts: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The columns of all parts together, wide enough for each.

    Example:
        >>> common_kinds([{"a": "i", "b": "O"}, {"a": "f", "c": "i"}])
        {'a': 'f', 'b': 'O', 'c': 'f'}
    """
    found: dict[str, str] = {}
    seen: dict[str, int] = {}
    count = 0
    for kinds in of_parts:
        count += 1
        for name, kind in kinds.items():
            before = found.get(name, kind)
            found[name] = before if before == kind else _WIDER.get((before, kind), "O")
            seen[name] = seen.get(name, 0) + 1
    return {name: kind if seen[name] == count else _GAPS.get(kind, kind) for name, kind in found.items()}


def with_kinds(data: bytes, kinds: Mapping[str, str], explain: Explain) -> bytes:
    """A part with other columns: those that it lacks are empty, those that it has are made wider."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = Schema((), explain)
    schema.kinds = dict(kinds)
    told = {name: explain(name) for name in kinds}
    schema.units = {name: unit for name, (unit, _) in told.items() if unit}
    schema.sources = {name: source for name, (_, source) in told.items() if source}
    form = arrow_form(schema)
    table = pq.read_table(io.BytesIO(data))
    columns = [
        table[field.name].cast(field.type)
        if field.name in table.column_names
        else pa.nulls(len(table), field.type)
        for field in form
    ]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(columns, schema=form), file)
    return file.getvalue()

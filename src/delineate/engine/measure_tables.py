"""Tables as CSV, Parquet, Excel or AnnData, with the unit and the source of each column."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from delineate import __version__
from delineate.core.errors import InputError, MissingDependencyError

from .atomic import write_atomically
from .measure_h5ad import write_h5ad

ENDINGS = (".csv", ".parquet", ".xlsx", ".h5ad")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a text that begins so for a formula."""
SHEET_ROWS = 1_048_575
ROWS_AT_ONCE = 20_000
Tables = Mapping[str, pd.DataFrame]


def write_tables(out: Path, tables: Tables) -> list[Path]:
    """Writes tables into a folder as CSV, or into the file that ``out`` names.

    Args:
        out: a folder; or a file ending in .csv or .parquet (the further tables lie beside it, as
            ``name.images.csv``), .xlsx (a sheet each) or .h5ad (one document).
        tables: by name; ``objects`` first, whose ``attrs`` have units and sources.

    Returns:
        What was written.

    Raises:
        InputError: another ending, or it cannot be written.
        MissingDependencyError: Parquet, Excel or AnnData without their packages.
    """
    ending = out.suffix.lower()
    check_ending(out)
    try:
        if ending == ".xlsx":
            return [_write_excel(out, tables)]
        if ending == ".h5ad":
            return [write_h5ad(out, tables)]
        folder = out if not ending else out.parent
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for name, table in tables.items():
            if not ending:
                path = out / f"{name}.csv"
            else:
                path = out if name == "objects" else out.with_name(f"{out.stem}.{name}{ending}")
            (_write_parquet if ending == ".parquet" else _write_csv)(
                path, table, {**tables["objects"].attrs, **table.attrs}
            )
            written.append(path)
        return written
    except OSError as error:
        raise InputError(
            f"--out {out}: expected a place to write, got {error.strerror or error}; choose another"
        ) from None


def check_ending(out: Path) -> None:
    """Refuse, before a long run, what cannot be written after it.

    Raises:
        InputError: an unknown ending.
        MissingDependencyError: its package is not installed.
    """
    ending = out.suffix.lower()
    if ending and ending not in ENDINGS:
        raise InputError(
            f"--out {out}: expected a folder, or a file ending in {', '.join(ENDINGS)}, got {ending!r}; "
            "choose one of these"
        )
    needed = {".parquet": "pyarrow", ".xlsx": "xlsxwriter", ".h5ad": "h5py"}.get(ending)
    if needed is None:
        return
    try:
        __import__(needed)
    except ImportError:
        raise MissingDependencyError(
            f"{out.name}: expected the package {needed}, got none; install it with "
            "`pip install delineate[tables]`, or write a .csv"
        ) from None


def plain_text(value: Any) -> Any:
    """A text that no spreadsheet takes for a formula; anything else as it is.

    Example:
        >>> plain_text("=1+1"), plain_text("cell"), plain_text(-1)
        ("'=1+1", 'cell', -1)
    """
    return f"'{value}" if isinstance(value, str) and value[:1] in FORMULA else value


def plain_table(table: pd.DataFrame) -> pd.DataFrame:
    """The table without texts that a spreadsheet takes for formulas, names of columns included."""
    texts = {n: table[n].map(plain_text) for n in table.columns if table[n].dtype.kind not in "biuf"}
    return table.assign(**texts).rename(columns=plain_text)


def _write_csv(path: Path, table: pd.DataFrame, _: Mapping[Any, Any]) -> None:
    def save(file: Any) -> None:
        for first in range(0, max(len(table), 1), ROWS_AT_ONCE):
            part = plain_table(table.iloc[first : first + ROWS_AT_ONCE])
            text = part.to_csv(index=False, header=not first, lineterminator="\n")
            file.write(text.encode("utf-8", "backslashreplace"))

    write_atomically(path, save)


def _write_parquet(path: Path, table: pd.DataFrame, attrs: Mapping[Any, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain = table.copy(deep=False)
    plain.attrs = {}
    arrow = pa.Table.from_pandas(plain, preserve_index=False)
    units, sources = attrs.get("units", {}), attrs.get("sources", {})
    fields = []
    for one in arrow.schema:
        told = {"unit": units.get(one.name, ""), "source": sources.get(one.name, "")}
        fields.append(one.with_metadata({k: v for k, v in told.items() if v}))
    record = {"delineate": __version__, "units": units, "sources": sources}
    record["settings"] = attrs.get("settings", {})
    metadata = {**(arrow.schema.metadata or {}), b"delineate": json.dumps(record).encode()}
    arrow = arrow.cast(pa.schema(fields, metadata=metadata))
    write_atomically(path, lambda file: pq.write_table(arrow, file))


def _write_excel(path: Path, tables: Tables) -> Path:
    for name, table in tables.items():
        if len(table) > SHEET_ROWS:
            raise InputError(
                f"{path}: expected at most {SHEET_ROWS} rows in a sheet, got {len(table)} {name}; write a "
                ".parquet or .csv"
            )
    # A text stays a text: no formulas, links or numbers are made of it.
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}

    def save(file: Any) -> None:
        engine_options = {"options": {**options, "nan_inf_to_errors": True}}
        with pd.ExcelWriter(file, engine="xlsxwriter", engine_kwargs=engine_options) as book:
            for name, table in tables.items():
                plain_table(table).to_excel(book, sheet_name=name[:31], index=False, freeze_panes=(1, 0))

    write_atomically(path, save)
    return path

"""dBASE III tables, the ``.dbf`` of a Shapefile: columns of texts, numbers and yes or no, in UTF-8."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import pandas as pd

from delineate.core.errors import DatasetError

NAME = 10
TEXT = 254


def write(table: pd.DataFrame) -> tuple[bytes, dict[str, str]]:
    """The file, and the short name of each column whose name is longer than ten bytes.

    Example:
        >>> data, short = write(pd.DataFrame({"perimeter_metres": [1.5], "class": ["roof"]}))
        >>> short, data[0]
        ({'perimeter_metres': 'perimeter_'}, 3)
    """
    names = _short(list(map(str, table.columns)))
    columns = [_column(table[name]) for name in table.columns]
    if not columns:  # a table has at least one column
        names, columns = ["row"], [("N", 10, 0, [str(k + 1) for k in range(len(table))])]
    fields = b"".join(
        struct.pack("<11sc4xBB14x", name.encode(), kind.encode(), width, digits)
        for name, (kind, width, digits, _) in zip(names, columns, strict=True)
    )
    width = 1 + sum(w for _, w, _, _ in columns)
    head = struct.pack("<4BIHH20x", 3, 126, 1, 1, len(table), 33 + len(fields), width)
    rows = []
    for row in range(len(table)):
        cells = [_padded(values[row], kind, w) for kind, w, _, values in columns]
        rows.append(b" " + b"".join(cells))
    different = {str(f): s for f, s in zip(table.columns, names, strict=False) if str(f) != s}
    return head + fields + b"\r" + b"".join(rows) + b"\x1a", different


def _short(names: list[str]) -> list[str]:
    """Names of at most ten bytes, each its own."""
    taken: set[str] = set()
    found = []
    for name in names:
        plain = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)[:NAME] or "_"
        short, number = plain, 0
        while short.lower() in taken:
            number += 1
            short = f"{plain[: NAME - len(str(number))]}{number}"
        taken.add(short.lower())
        found.append(short)
    return found


def _column(values: pd.Series[Any]) -> tuple[str, int, int, list[str]]:
    """Type, width, decimals, and the cells as text."""
    kind = values.dtype.kind
    missing = values.isna()
    if kind == "b":
        return "L", 1, 0, ["?" if m else "T" if v else "F" for v, m in zip(values, missing, strict=True)]
    if kind in "iu":
        cells = ["" if m else str(int(v)) for v, m in zip(values, missing, strict=True)]
        return "N", max([9, *map(len, cells)]), 0, cells
    if kind == "f":
        finite = [not m and math.isfinite(v) for v, m in zip(values, missing, strict=True)]
        cells = [f"{v:.6f}"[:24] if ok else "" for v, ok in zip(values, finite, strict=True)]
        return "N", 24, 6, cells
    cells = ["" if m else str(v) for v, m in zip(values, missing, strict=True)]
    return "C", min(TEXT, max([1, *(len(c.encode()) for c in cells)])), 0, cells


def _padded(text: str, kind: str, width: int) -> bytes:
    data = text.encode()[:width]
    data = data.decode("utf-8", "ignore").encode()  # no character cut in two
    return data.rjust(width) if kind == "N" else data.ljust(width)


def read(path: Path, rows: int) -> pd.DataFrame:
    """The table of ``rows`` rows; without columns where there is no file.

    Raises:
        DatasetError: damaged, or another number of rows.
    """
    if not path.is_file():
        return pd.DataFrame(index=range(rows))
    data = path.read_bytes()
    try:
        count, head, width = struct.unpack_from("<IHH", data, 4)
        fields = [struct.unpack_from("<11sc4xBB", data, 32 + 32 * k) for k in range((head - 33) // 32)]
        if count != rows or head + count * width > len(data) + 1:
            raise ValueError(f"{count} rows for {rows} shapes")
    except (struct.error, ValueError) as error:
        raise DatasetError(f"{path}: expected a whole dBASE table, got {error}; export it again") from None
    found: dict[str, list[Any]] = {}
    at = 1
    for raw, kind, size, digits in fields:
        name = raw.split(b"\0")[0].decode("utf-8", "replace")
        begin = [head + row * width + at for row in range(count)]
        found[name] = [_value(data[b : b + size], kind.decode("ascii", "replace"), digits) for b in begin]
        at += size
    return pd.DataFrame(found, index=range(rows))


def _value(cell: bytes, kind: str, digits: int) -> Any:
    text = cell.decode("utf-8", "replace").strip().strip("\0")
    if kind == "L":
        return {"T": True, "Y": True, "F": False, "N": False}.get(text.upper())
    if kind in "NF":
        try:
            return (int(text) if digits == 0 and "." not in text else float(text)) if text else None
        except ValueError:
            return None
    return text

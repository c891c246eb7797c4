"""Reading a Parquet file that somebody else wrote, some rows at a time, and no more than its size can hold.

A column of one value repeated takes a few bytes in the file, however many rows or megabytes it stands for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from delineate.core.errors import MissingDependencyError

SMALL_ROWS, SMALL_BYTES = 100_000, 256 << 20
"""What any file may hold."""
SWELLS = 1000
"""Bytes for each byte of the file, which it may hold beyond that; there is a row for each byte at most."""


def needed() -> tuple[Any, Any]:
    """``pyarrow`` and ``pyarrow.parquet``.

    Raises:
        MissingDependencyError: not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingDependencyError(
            "Parquet: expected pyarrow, got none; pip install 'delineate[tables]'"
        ) from None
    return pyarrow, pyarrow.parquet


def batches(path: Path, rows: int) -> Iterator[Any]:
    """Record batches of at most ``rows`` rows.

    Raises:
        ValueError: more rows or bytes than it can hold, by what it says of itself or when read.
        pyarrow.ArrowException, OSError: damaged.
    """
    _, parquet = needed()
    size = path.stat().st_size
    most = max(SMALL_BYTES, SWELLS * size)
    with parquet.ParquetFile(path) as file:
        told = file.metadata
        unpacked = sum(told.row_group(k).total_byte_size for k in range(told.num_row_groups))
        if told.num_rows > max(SMALL_ROWS, size) or unpacked > most:
            raise ValueError(f"{told.num_rows} rows of {unpacked} bytes in a file of {size}")
        for batch in file.iter_batches(batch_size=rows):
            most -= batch.nbytes
            if most < 0:
                raise ValueError(f"more than {SWELLS} times its own {size} bytes")
            yield batch

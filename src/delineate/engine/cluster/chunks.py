"""Chunks of work: what a worker does with the rows that it is given, whoever hands them out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..batch import reason_of
from ..batch_ahead import ahead

Row = Mapping[str, Any]
"""What a worker needs to know of one thing to do, plain values: ``row`` (its number), ``name``, .."""


class Work(Protocol):
    """What is done with the rows of a chunk. It is sent to the workers, so it must pickle."""

    def begin(self) -> None:
        """Once in each worker: loads what is needed."""

    def read(self, row: Row) -> Iterator[Any]:
        """The things of a row, decoded one at a time; may run in a thread ahead of :meth:`look`."""

    def look(self, row: Row, thing: Any) -> dict[str, Any]:
        """What is noted of one of them, plain values."""

    def end(self, number: int, results: Sequence[RowResult]) -> dict[str, Any]:
        """Writes the results of chunk ``number``; what the driver is told of them, plain values."""


@dataclass
class RowResult:
    """What became of a row.

    Attributes:
        row: as it was given.
        notes: one for each of its things that was done.
        error: why it, or the thing after these, failed; empty where all is well.
        lost: its worker died of it: it was not tried again.
    """

    row: Row
    notes: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    lost: bool = False


@dataclass(frozen=True)
class Chunk:
    """Rows that one worker does in one go.

    Attributes:
        number: which chunk of the run, from 0.
        rows: what to do.
    """

    number: int
    rows: tuple[Row, ...]


PARTS = 32
"""A run has so many chunks at least, where it has as many rows."""


def size_for(rows: int, most: int) -> int:
    """How many rows to a chunk, so that many workers have some to do and a death costs little.

    Args:
        rows: of the run.
        most: at most so many in a chunk.

    Example:
        >>> size_for(10_000, 32), size_for(100, 32), size_for(5, 32)
        (32, 3, 1)
    """
    return max(1, min(most, rows // PARTS))


def chunks_of(rows: Sequence[Row], size: int, apart: str = "", first: int = 0) -> list[Chunk]:
    """Rows in their order, ``size`` to a chunk.

    Args:
        rows: what to do.
        size: at most so many in a chunk.
        apart: rows that differ in this entry never share a chunk; empty: any may.
        first: number of the first chunk.

    Example:
        >>> [[r["row"] for r in c.rows] for c in chunks_of([{"row": n} for n in range(5)], 2)]
        [[0, 1], [2, 3], [4]]
    """
    chunks: list[Chunk] = []
    held: list[Row] = []
    for row in rows:
        if held and (len(held) == size or (apart and row[apart] != held[0][apart])):
            chunks.append(Chunk(first + len(chunks), tuple(held)))
            held = []
        held.append(row)
    if held:
        chunks.append(Chunk(first + len(chunks), tuple(held)))
    return chunks


def run_chunk(
    work: Work,
    chunk: Chunk,
    lost: Mapping[int, str] | None = None,
    careful: Callable[[int], object] | None = None,
    tick: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Does a chunk; a row that fails is noted with its reason and the rest goes on.

    Args:
        work: what is done.
        chunk: with what.
        lost: reason by number of the rows that are not tried, because workers died of them.
        careful: called with a row's number before anything of it is touched; nothing is read ahead then.
        tick: called with a row's number before it is looked at, whether something was read ahead or not.

    Returns:
        what :meth:`Work.end` says.
    """
    lost = lost or {}
    results = {row["row"]: RowResult(row) for row in chunk.rows}
    for number, reason in lost.items():
        if number in results:
            results[number].error, results[number].lost = reason, True
    things = _things(work, [row for row in chunk.rows if row["row"] not in lost], careful)
    if careful is None:
        things = ahead(things)
    with closing(things):  # type: ignore[type-var]
        for row, thing, error in things:
            result = results[row["row"]]
            if tick is not None:
                tick(row["row"])
            if error is None and not result.error:
                try:
                    result.notes.append(work.look(row, thing))
                except Exception as problem:
                    error = problem
            if error is not None and not result.error:
                result.error = reason_of(error, str(row["name"]))
    return work.end(chunk.number, list(results.values()))


def _things(
    work: Work, rows: Collection[Row], careful: Callable[[int], object] | None
) -> Iterator[tuple[Row, Any, Exception | None]]:
    for row in rows:
        if careful is not None:
            careful(row["row"])
        try:
            for thing in work.read(row):
                yield row, thing, None
        except Exception as error:
            yield row, None, error


def run_here(work: Work, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, dict[str, Any]]]:
    """Every chunk in this process, one after another: what a cluster's run is compared with."""
    if chunks:
        work.begin()
    for chunk in chunks:
        yield chunk, run_chunk(work, chunk)

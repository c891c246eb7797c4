"""What every metric and every metric's report have in common.

A metric is fed image by image, may be fed in shards that are merged, and gives a frozen report. It keeps what
it needs of each image in a few numbers, never masks or pixels, so its memory is bounded by the objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

Cell = str | int | float | None
"""A cell of a table: a name, a count, a ratio (NaN or None where undefined)."""


@dataclass(frozen=True)
class ScoreTable:
    """Numbers that belong together, in plain values, so that each output draws them in its own way.

    Attributes:
        title: what it shows.
        columns: headings; the first column holds the rows' names.
        rows: as many cells each as there are columns.
        caption: what a reader must know; empty for nothing.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""


@runtime_checkable
class MetricReport(Protocol):
    """What a metric found. Frozen; two reports of the same images are equal however they were shared out.

    A report may also have ``notes``, a tuple of sentences that a reader must know; ``tables``, a tuple of
    :class:`ScoreTable` that every output shows beside the scores; and ``per_class``, by class name a
    dictionary of numbers by short name.
    """

    @property
    def scores(self) -> Mapping[str, float]:
        """Each number by a short name, such as ``AP50``; ratios are 0..1, NaN where undefined."""

    @property
    def protocol(self) -> Mapping[str, Any] | str:
        """Every choice behind the numbers, JSON-able; shown beside them."""

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, None where undefined, ready for JSON."""


P = TypeVar("P", contravariant=True)


class Metric(Protocol[P]):
    """A metric over many images; ``P`` is what it compares: Instances, Panoptic or Semantic."""

    def update(self, pred: P, truth: P, image_id: int | None = None, /) -> None:
        """Add one image; ``image_id`` is its number, needed to merge shards, default the next free one.

        Raises:
            InputError: the two do not belong together, or an image given twice.
        """

    def merge(self, other: Any, /) -> None:
        """Take over the images of another shard; the result does not depend on how they were shared out.

        Raises:
            InputError: other settings, or an image seen by both.
        """

    def compute(self) -> MetricReport:
        """The report of all images so far; may be called again after more updates."""


def notes_of(report: MetricReport) -> tuple[str, ...]:
    """What a reader of the numbers must know, one sentence each; empty where there is nothing."""
    return tuple(getattr(report, "notes", ()))


def tables_of(report: MetricReport) -> tuple[ScoreTable, ...]:
    """The tables that a report brings beside its scores."""
    return tuple(getattr(report, "tables", ()))


def per_class_of(report: MetricReport) -> Mapping[str, Mapping[str, float]]:
    """The numbers of each class, where a report tells classes apart."""
    found: Mapping[str, Mapping[str, float]] = getattr(report, "per_class", {})
    return found


def protocol_of(report: MetricReport) -> dict[str, Any]:
    """A report's protocol as a dictionary; a sentence alone is its ``definition``."""
    said = report.protocol
    return {"definition": said} if isinstance(said, str) else dict(said)

"""`measure` on a cluster: records of images are made by workers, noted by the driver, joined as ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..measure_files import RunSettings, measure_items, record_of
from ..measure_inputs import chosen_items
from ..measure_joined import Measured
from ..measure_journal import MeasureJournal
from ..measure_sources import Item
from .chunks import Row, RowResult, chunks_of, run_here, size_for
from .ray_data import Cluster, run_on_ray

CHUNK = 8
Tell = Callable[[str, Mapping[str, Any]], object]


@dataclass
class MeasureWork:
    """A worker that measures; it finds the same images by the same words as the driver.

    Attributes:
        labels: as :func:`delineate.engine.measure_inputs.chosen_items` takes them.
        reading: as there.
        model: as there.
        confidence: as there.
        data: as there.
        settings: what is measured.
    """

    labels: tuple[str, ...]
    reading: Mapping[str, Any]
    model: str
    confidence: float
    data: str
    settings: RunSettings
    _items: dict[str, Item] = field(default_factory=dict, repr=False)

    def begin(self) -> None:
        """Finds the images, and loads the model where there is one."""
        found = chosen_items(self.labels, self.reading, self.model, self.confidence, self.data)
        self._items = {item.name: item for item in found}

    def read(self, row: Row) -> Iterator[Any]:
        """Nothing ahead: an item reads its files when it is looked at."""
        yield None

    def look(self, row: Row, thing: Any) -> dict[str, Any]:
        """The record of an image."""
        return record_of(self._items[row["name"]], self.settings)

    def end(self, number: int, results: Sequence[RowResult]) -> dict[str, Any]:
        """The records, to the driver."""
        return {"records": [(r.row["name"], r.row["stamp"], r.notes, r.error) for r in results]}


def measure_cluster(
    work: MeasureWork,
    items: Sequence[Item],
    cluster: Cluster | None,
    journal: MeasureJournal,
    tell: Tell | None = None,
) -> Measured:
    """Measures every item on a cluster; the journal keeps each once, and a run goes on from it.

    Args:
        work: what the workers do.
        items: what the driver knows of the same images.
        cluster: which machines; None: this process.
        journal: what is done already; what comes in is noted.
        tell: as :func:`~delineate.engine.measure_files.measure_items` has it.
    """
    left = [item for item in items if journal.get(item.name, item.stamp) is None]
    rows = [{"row": k, "name": item.name, "stamp": item.stamp} for k, item in enumerate(left)]
    given_up: dict[str, str] = {}
    say: Tell = tell or (lambda _, __: None)
    for item in items:
        if (known := journal.get(item.name, item.stamp)) is not None:
            say(item.name, known["image"])
    chunks = chunks_of(rows, size_for(len(rows), CHUNK))
    for _, told in run_here(work, chunks) if cluster is None else run_on_ray(work, chunks, cluster):
        for name, stamp, notes, error in told["records"]:
            if error:
                given_up[name] = error
                say(name, {"status": "failed", "reason": error})
            elif journal.get(name, stamp) is None:
                journal.note(name, stamp, notes[0])
                say(name, notes[0]["image"])
    return measure_items(items, work.settings, journal, None, given_up)

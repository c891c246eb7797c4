"""`evaluate` on a cluster: workers score shares of the images, the driver joins their tallies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..evaluate import Evaluation, open_evaluation
from ..report import Report
from ..tally import Tally
from .chunks import Row, RowResult, chunks_of, run_here, size_for
from .predict_work import loaded
from .ray_data import Cluster, run_on_ray

CHUNK = 32


@dataclass
class EvaluateWork:
    """A worker that predicts and scores images of a dataset.

    Attributes:
        model: a name of the zoo, a file of weights that every machine can read, or a model that pickles.
        opened: gives the dataset, on every machine.
        settings: arguments of :func:`delineate.evaluate`: ``metrics``, ``confidence``, ``max_det``, ``by``,
            ``protocol``.
        device: where to compute; empty: a GPU where the worker has one.
    """

    model: Any
    opened: Callable[[], Any]
    settings: Mapping[str, Any]
    device: str = ""
    _net: Any = field(default=None, repr=False)
    _data: Any = field(default=None, repr=False)
    _share: Evaluation | None = field(default=None, repr=False)

    def begin(self) -> None:
        """Loads the model and opens the dataset."""
        self._net, self._data = loaded(self.model, self.device), self.opened()

    def read(self, row: Row) -> Iterator[Any]:
        """Nothing ahead: an image is read when it is scored."""
        yield None

    def look(self, row: Row, thing: Any) -> dict[str, Any]:
        """Scores an image; what goes wrong with it is in the tally."""
        self._of_chunk().image(row["row"])
        return {}

    def end(self, number: int, results: Sequence[RowResult]) -> dict[str, Any]:
        """The chunk's tally, to the driver."""
        share, self._share = self._of_chunk(), None
        share.failed += [(str(one.row["name"]), one.error) for one in results if one.error]
        return {"tally": share.tally(), "images": len(results)}

    def _of_chunk(self) -> Evaluation:
        if self._share is None:
            self._share = open_evaluation(self._net, self._data, **self.settings)
        return self._share


def evaluate_cluster(
    work: EvaluateWork,
    cluster: Cluster | None,
    begin: Callable[[int, int], object] | None = None,
    tick: Callable[[int], object] | None = None,
) -> Report:
    """Scores a model on a dataset; the report is that of :func:`delineate.evaluate`.

    Args:
        work: what the workers do.
        cluster: which machines; None: this process.
        begin: called with the number of images, and 0.
        tick: called with the number of images of each chunk that is scored.

    Raises:
        InputError: no image could be scored, or as :func:`delineate.evaluate`.
    """
    whole = open_evaluation(_Elsewhere(work.model), work.opened(), **work.settings)
    rows = [{"row": index, "name": whole.truth.name(index)} for index in range(len(whole.truth))]
    if begin is not None:
        begin(len(rows), 0)
    tallies: dict[int, Tally] = {}
    chunks = chunks_of(rows, size_for(len(rows), CHUNK))
    for chunk, told in run_here(work, chunks) if cluster is None else run_on_ray(work, chunks, cluster):
        if chunk.number not in tallies:
            tallies[chunk.number] = told["tally"]
            if tick is not None:
                tick(told["images"])
    whole.take([tallies[number] for number in sorted(tallies)])
    return whole.report()


class _Elsewhere:
    """A model that the workers have."""

    def __init__(self, model: Any) -> None:
        self.name = str(model) if isinstance(model, str) else getattr(model, "name", type(model).__name__)

    def predict(self, *_: Any, **__: Any) -> Any:
        """Never called: every image is scored elsewhere."""
        raise NotImplementedError

    panoptic = semantic = predict

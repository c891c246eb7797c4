"""The workers: Ray Data gives each a few chunks at a time, and begins anew those that died."""

from __future__ import annotations

import json
import os
import pickle
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .chunks import Chunk, Work, run_chunk
from .watch import Watch

IN_HAND = 2
"""So many chunks wait at each worker, so that none is idle; all others wait at the driver."""
BEGINNINGS = 5
"""So many workers in a row may die before they have begun; after one more the run ends."""
Answer = tuple[int, bytes]
"""A chunk's number, and what its worker told of it, pickled."""


@dataclass(frozen=True)
class Pool:
    """How many workers, and what each takes and may.

    Attributes:
        workers: how many at once.
        gpus: what part of a GPU each takes; 0: none.
        limit: seconds that one may have an image in hand.
    """

    workers: int
    gpus: float
    limit: float


def hand_out(work: Work, chunks: Sequence[Chunk], pool: Pool) -> Iterator[Answer]:
    """The answers to all chunks, as the workers finish them; for a process of the cluster.

    A chunk may be answered twice where its worker died just then.
    """
    import pyarrow as pa
    import ray
    import ray.data

    watch = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Watch).remote()
    blocks = [
        pa.table({"chunk": [c.number], "rows": [json.dumps(c.rows, separators=(",", ":"))]}) for c in chunks
    ]  # a block each: Ray would put a short list into one, for one worker alone
    data = ray.data.from_blocks(blocks)
    data.context.enable_progress_bars = False
    data.context.print_on_execution_start = False
    data.context.max_consecutive_actor_init_deaths = BEGINNINGS  # else the first one ends the run
    data = data.map_batches(
        _Worker,
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=pool.workers, max_tasks_in_flight_per_actor=IN_HAND),
        num_cpus=1,
        num_gpus=pool.gpus or None,
        fn_constructor_args=(work, watch, pool.limit),
    )
    for batch in data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield from zip(batch["chunk"].to_pylist(), batch["told"].to_pylist(), strict=True)


class _Worker:
    """One process with a model in it; Ray starts it again when it dies."""

    def __init__(self, work: Work, watch: Any, limit: float) -> None:
        self.work, self.watch, self.limit = work, watch, limit
        self.problem: Exception | None = None
        try:
            self.work.begin()
        except Exception as problem:  # raised here, it would look as if this process had died
            self.problem = problem

    def __call__(self, batch: Any) -> Any:
        import pyarrow as pa
        import ray

        if self.problem is not None:
            raise self.problem
        number = int(batch["chunk"][0].as_py())
        chunk = Chunk(number, tuple(json.loads(batch["rows"][0].as_py())))
        attempt, lost = ray.get(self.watch.begin.remote(number))
        alarm = _Alarm(self.limit, self.watch)

        def careful(row: int) -> None:
            ray.get(self.watch.hand.remote(number, row))
            alarm.set(row)

        try:
            told = run_chunk(self.work, chunk, lost, careful if attempt > 1 else None, alarm.set)
        finally:
            alarm.stop()
        ray.get(self.watch.end.remote(number))
        return pa.table({"chunk": [number], "told": pa.array([pickle.dumps(told)], pa.binary())})


class _Alarm:
    """Ends this process when a row takes too long: code that hangs cannot be stopped otherwise."""

    def __init__(self, limit: float, watch: Any) -> None:
        self.limit, self.watch = limit, watch
        self._timer: threading.Timer | None = None

    def set(self, row: int) -> None:
        self.stop()
        self._timer = threading.Timer(self.limit, self._ring, (row,))
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self, row: int) -> None:
        import ray

        ray.get(self.watch.slow.remote(row, self.limit))
        os._exit(1)

"""Ray Data hands the chunks to workers, takes their answers, and tries again what died."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from delineate.core.errors import DelineateError, InputError, MissingDependencyError

from .chunks import Chunk, Work, run_chunk
from .watch import Watch

STORE = 200_000_000
"""Bytes of shared memory of a local cluster: chunks are names and answers are counts, so little is needed."""
LIMIT = 1800.0
"""Seconds that a worker may have one image in hand."""
STARTS = 3
"""Ray gives its own processes half a minute to begin, which a busy machine may need more than once of."""
IN_HAND = 2
"""So many chunks wait at each worker, so that none is idle; all others wait at the driver."""


@dataclass(frozen=True)
class Cluster:
    """Which machines, and how many workers on them.

    Attributes:
        address: ``local`` for this machine; ``auto`` from a machine of a cluster; ``ray://host:10001`` or
            ``host:6379`` of a cluster's head.
        workers: how many models at once; None: one for each GPU, else one for each CPU (of a cluster that is
            there already, all but one, which Ray itself needs).
        gpus: what part of a GPU a worker takes, such as 0.5; None: a whole one where there are GPUs.
        limit: seconds that a worker may have one image in hand before it is given up.
    """

    address: str = "local"
    workers: int | None = None
    gpus: float | None = None
    limit: float = LIMIT

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise InputError(f"--workers: expected 1 or more, got {self.workers}; leave it out")
        if self.gpus is not None and self.gpus < 0:
            raise InputError(f"cluster, gpus: expected 0 or more, got {self.gpus}; leave it out")
        if not self.limit > 0:
            raise InputError(f"cluster, limit: expected seconds above 0, got {self.limit}; leave it out")
        if not self.address:
            raise InputError("--cluster: expected local, auto or ray://host:10001, got nothing; give one")


def ray_package() -> Any:
    """Ray with Ray Data, quiet, and without sending statistics of its use.

    Raises:
        MissingDependencyError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import ray
            import ray.data
    except ImportError:
        raise MissingDependencyError(
            "--cluster: expected Ray to be installed, got none; pip install 'delineate[scale]'"
        ) from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


@contextlib.contextmanager
def connected(cluster: Cluster) -> Iterator[Any]:
    """Ray, with a connection to the cluster; one that is there already is used and kept.

    Raises:
        InputError: no cluster there, or not one of this version of Ray and Python.
    """
    ray = ray_package()
    if ray.is_initialized():
        yield ray
        return
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if cluster.address == "local":
        cpus = (cluster.workers or _cpus()) + 1  # one is left for Ray's own tasks; else it waits for ever
        settings |= {"num_cpus": cpus, "object_store_memory": STORE, "include_dashboard": False}
    else:
        settings["address"] = cluster.address
    _start(ray, cluster, settings)
    try:
        with _without_notices():
            yield ray
    finally:
        ray.shutdown()


def _start(ray: Any, cluster: Cluster, settings: dict[str, Any]) -> None:
    """Connects, or begins a cluster here; a machine that is very busy gets a second and a third chance."""
    local = cluster.address == "local"
    for attempt in range(STARTS if local else 1):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ray.init(**settings)
                return
        except Exception as error:  # no answer, another version, a wrong address: each its own kind
            ray.shutdown()
            said = " ".join(str(error).split())[:300] or type(error).__name__
            if local and "timed out during startup" in said and attempt + 1 < STARTS:
                continue
            mend = "let other programs end first" if local else "start one by `ray start --head`"
            raise InputError(
                f"--cluster {cluster.address}: expected a Ray cluster there, got {said}; {mend}"
            ) from None


def run_on_ray(work: Work, chunks: Sequence[Chunk], cluster: Cluster) -> Iterator[tuple[Chunk, Any]]:
    """Every chunk, as the workers finish them; one whose worker dies is done by another.

    Raises:
        DelineateError: the workers cannot begin.
        InputError: the cluster has no room for a single worker.
    """
    if not chunks:
        return
    with connected(cluster) as ray:
        import pyarrow as pa

        workers, gpus = _room(ray, cluster, len(chunks))
        watch = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Watch).remote()
        blocks = [
            pa.table({"chunk": [c.number], "rows": [json.dumps(c.rows, separators=(",", ":"))]})
            for c in chunks
        ]  # a block each: Ray would put a short list into one, for one worker alone
        data = ray.data.from_arrow(blocks)
        data.context.enable_progress_bars = False
        data.context.print_on_execution_start = False
        pool = ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=IN_HAND)
        data = data.map_batches(
            _Worker,
            batch_size=1,
            batch_format="pyarrow",
            compute=pool,
            num_cpus=1,
            num_gpus=gpus or None,
            fn_constructor_args=(work, watch, cluster.limit),
        )
        by_number = {chunk.number: chunk for chunk in chunks}
        try:
            for batch in data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                for number, told in zip(batch["chunk"].to_pylist(), batch["told"].to_pylist(), strict=True):
                    yield by_number[number], pickle.loads(told)  # what our own workers just sent
        except DelineateError:
            raise
        except Exception as error:
            if (cause := _cause(error)) is not None:
                raise type(cause)(str(cause)) from None
            raise


class _Worker:
    """One process with a model in it; Ray starts it again when it dies."""

    def __init__(self, work: Work, watch: Any, limit: float) -> None:
        self.work, self.watch, self.limit = work, watch, limit
        self.work.begin()

    def __call__(self, batch: Any) -> Any:
        import pyarrow as pa
        import ray

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


def _room(ray: Any, cluster: Cluster, chunks: int) -> tuple[int, float]:
    """How many workers there is room for, and what part of a GPU each takes."""
    there = ray.cluster_resources()
    cpus, all_gpus = int(there.get("CPU", 0)), float(there.get("GPU", 0))
    gpus = cluster.gpus if cluster.gpus is not None else (1.0 if all_gpus else 0.0)
    room = cpus - 1  # one is left for Ray's own tasks; else it waits for ever
    if gpus:
        room = min(room, int(all_gpus / gpus + 1e-9))
    if room < 1 or (cluster.workers or 0) > room:
        raise InputError(
            f"--workers: expected at most {max(room, 0)} on a cluster of {cpus} CPUs and {all_gpus:g} GPUs, "
            f"of which one CPU stays free, got {cluster.workers or 'no room for one'}; give fewer, or add "
            "machines"
        )
    return min(cluster.workers or room, chunks), gpus


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cause(error: BaseException | None) -> DelineateError | None:
    """The package's own error that a worker's error carries."""
    met: set[int] = set()
    while error is not None and id(error) not in met:
        if isinstance(error, DelineateError):
            return error
        met.add(id(error))
        error = getattr(error, "cause", None) or error.__cause__ or error.__context__
    return None


@contextlib.contextmanager
def _without_notices() -> Iterator[None]:
    """Ray tells, on stdout from a thread and on stderr from C++, that workers died; the run tells it too."""

    class Kept:
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def write(self, text: str) -> int:
            if threading.current_thread().name.startswith("ray_"):
                return len(text)
            return int(self.stream.write(text))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.stream, name)

    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Kept(sys.stdout), Kept(sys.stderr)
    own, quiet = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    if _is_plain(before[1]):
        sys.stderr = Kept(os.fdopen(own, "w", buffering=1, closefd=False))
        os.dup2(quiet, 2)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        os.dup2(own, 2)
        os.close(own)
        os.close(quiet)


def _is_plain(stream: Any) -> bool:
    """Whether a stream is the process's own stderr, and not what a test or notebook put there."""
    try:
        return bool(stream.fileno() == 2)
    except (AttributeError, OSError, ValueError):
        return False

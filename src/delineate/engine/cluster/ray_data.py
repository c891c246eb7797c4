"""Ray Data hands the chunks to workers, takes their answers, and tries again what died."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import socket
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from delineate.core.errors import DelineateError, InputError, MissingDependencyError

from .chunks import Chunk, Work
from .host import hand_out_from_afar
from .pool import Pool, hand_out
from .quiet import without_notices

STORE = 200_000_000
"""Bytes of shared memory of a local cluster: chunks are names and answers are counts, so little is needed."""
SLOW = ("timed out during startup", "Proxy failed to Connect to backend")
"""What Ray says where its processes did not begin in half a minute."""
LIMIT = 1800.0
"""Seconds that a worker may have one image in hand."""
CLIENT_PORT = "10001"
TOKEN = (
    "; one that was started where ~/.ray/auth_token lies wants that file here too, and RAY_AUTH_MODE=token"
)
ANSWER = 10.0
"""Seconds that a cluster's machine has to take a connection."""
STARTS = 3
"""So many times Ray's processes may begin."""


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
        _answers(cluster.address)
        settings["address"] = cluster.address
    with without_notices():
        _start(ray, cluster, settings)
        try:
            yield ray
        finally:
            ray.shutdown()


def _answers(address: str) -> None:
    """Makes sure that somebody is there: Ray would ask for minutes, and complain on the terminal meanwhile.

    Raises:
        InputError: nobody is, or it is no address.
    """
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host and address.startswith("ray://"):
        host, port = port, CLIENT_PORT
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise InputError(
            f"--cluster {address}: expected local, auto, host:6379 or ray://host:10001, got none of them"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER).close()
    except OSError as error:
        raise InputError(
            f"--cluster {address}: expected a Ray cluster there, got {error.strerror or error}; start one by "
            "`ray start --head`, or look at the address and port"
        ) from None


def _start(ray: Any, cluster: Cluster, settings: dict[str, Any]) -> None:
    """Connects, or begins a cluster here; a machine that is very busy gets a second and a third chance."""
    local = cluster.address == "local"
    for attempt in range(STARTS):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ray.init(**settings)
                return
        except Exception as error:  # no answer, another version, a wrong address: each its own kind
            ray.shutdown()
            said = _said(error)
            if any(sign in str(error) for sign in SLOW) and attempt + 1 < STARTS:
                continue
            mend = "let other programs end first" if local else f"start one by `ray start --head`{TOKEN}"
            raise InputError(
                f"--cluster {cluster.address}: expected a Ray cluster there, got {said}; {mend}"
            ) from None


def run_on_ray(work: Work, chunks: Sequence[Chunk], cluster: Cluster) -> Iterator[tuple[Chunk, Any]]:
    """Every chunk, as the workers finish them; one whose worker dies is done by another.

    Raises:
        DelineateError: the workers cannot begin, or the cluster is gone.
        InputError: the cluster has no room for a single worker.
    """
    if not chunks:
        return
    with connected(cluster) as ray:
        pool = Pool(*_room(ray, cluster, len(chunks)), cluster.limit)
        by_number = {chunk.number: chunk for chunk in chunks}
        afar = ray.util.client.ray.is_connected()
        answers = hand_out_from_afar(ray, work, chunks, pool) if afar else hand_out(work, chunks, pool)
        try:
            with closing(answers):  # type: ignore[type-var]
                for number, told in answers:
                    yield by_number[number], pickle.loads(told)  # what our own workers just sent
        except DelineateError:
            raise
        except Exception as error:
            if (cause := _cause(error)) is not None:
                raise type(cause)(str(cause)) from None
            if isinstance(error, ray.exceptions.RayError | ConnectionError):
                raise DelineateError(
                    f"--cluster {cluster.address}: expected a cluster that stays, got {_said(error)}; see "
                    "that it runs, then give the same command again, with --resume where it has one"
                ) from None
            raise


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


def _said(error: BaseException) -> str:
    """An error's text in one line; of a traceback in it the last word alone."""
    head, traceback, rest = str(error).partition("Traceback (most recent call last)")
    last = [line for line in rest.splitlines() if line[:1].strip()] if traceback else []
    text = f"{head} {last[-1]}" if len(last) > 1 else head + rest
    return " ".join(text.split())[:300] or type(error).__name__


def _cause(error: BaseException | None) -> DelineateError | None:
    """The package's own error that a worker's error carries."""
    met: set[int] = set()
    while error is not None and id(error) not in met:
        if isinstance(error, DelineateError):
            return error
        met.add(id(error))
        error = getattr(error, "cause", None) or error.__cause__ or error.__context__
    return None

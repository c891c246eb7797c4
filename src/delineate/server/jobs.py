"""Work that takes longer than a request: started, watched, cancelled."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from delineate.core.errors import DelineateError, InputError

log = logging.getLogger("delineate")

State = Literal["running", "done", "failed", "cancelled"]
KEPT = 100  # jobs that are remembered


@dataclass
class Job:
    """One piece of work.

    Attributes:
        id: its number.
        kind: what it does, such as ``train``.
        state: where it stands.
        progress: 0..1.
        text: one line on what it does or why it ended.
        result: what came of it, JSON-able.
        stop: set when somebody cancels it; the work looks at it often.
    """

    id: int
    kind: str
    state: State = "running"
    progress: float = 0.0
    text: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def to_json(self) -> dict[str, Any]:
        """What the API tells."""
        return {
            "job": self.id,
            "kind": self.kind,
            "state": self.state,
            "progress": round(self.progress, 4),
            "text": self.text,
            "result": self.result,
        }


Work = Callable[[Job], None]


class Jobs:
    """All jobs of a server; each runs in a thread of its own."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._threads: dict[int, threading.Thread] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def start(self, kind: str, work: Work, text: str = "", alone: bool = True) -> Job:
        """Start a job.

        Args:
            kind: what it does.
            work: does it; an error that it raises is the job's text. It returns early once ``stop`` is set.
            text: what it says first.
            alone: refuse a second one of this kind while the first runs.

        Raises:
            InputError: one of this kind is running.
        """
        with self._lock:
            busy = [job for job in self._jobs.values() if job.kind == kind and job.state == "running"]
            if busy and alone:
                raise InputError(
                    f"{kind}: expected no other job of this kind, got job {busy[0].id}, which is running; "
                    "wait for it or cancel it"
                )
            job = Job(next(self._numbers), kind, text=text)
            self._jobs[job.id] = job
            for old in sorted(self._jobs)[:-KEPT]:
                if self._jobs[old].state != "running":
                    del self._jobs[old], self._threads[old]
            thread = threading.Thread(target=_run, args=(job, work), name=f"{kind} {job.id}", daemon=True)
            self._threads[job.id] = thread
        thread.start()
        return job

    def get(self, number: int) -> Job:
        """The job of a number.

        Raises:
            InputError: there is none.
        """
        with self._lock:
            job = self._jobs.get(number)
        if job is None:
            raise InputError(
                f"job {number}: expected a job of this server, got an unknown number; look again"
            )
        return job

    def running(self, kind: str) -> Job | None:
        """The job of a kind that runs now."""
        with self._lock:
            return next((j for j in self._jobs.values() if j.kind == kind and j.state == "running"), None)

    def cancel(self, number: int) -> Job:
        """Ask a job to stop; it is ``cancelled`` once it has.

        Raises:
            InputError: there is none of this number.
        """
        job = self.get(number)
        job.stop.set()
        return job

    def close(self, seconds: float = 10.0) -> None:
        """Stop all jobs and wait for them."""
        with self._lock:
            jobs, threads = list(self._jobs.values()), list(self._threads.values())
        for job in jobs:
            job.stop.set()
        for thread in threads:
            thread.join(timeout=seconds)


def _run(job: Job, work: Work) -> None:
    try:
        work(job)
    except DelineateError as error:
        job.text, state = str(error), "failed"
    except Exception as error:  # the server goes on whatever a job meets; the log has the trace
        log.exception("job %d, %s", job.id, job.kind)
        job.text, state = f"{type(error).__name__}: {error}".splitlines()[0], "failed"
    else:
        state = "done"
    if (job.stop.is_set() and state != "done") or (job.stop.is_set() and job.progress < 1):
        state = "cancelled"
    if state == "done":
        job.progress = 1.0
    job.state = state  # type: ignore[assignment]

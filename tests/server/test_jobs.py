"""Jobs: done, failed, cancelled, one of a kind at a time."""

from __future__ import annotations

import threading
import time

import pytest

from delineate.core.errors import InputError
from delineate.server.jobs import KEPT, Job, Jobs


def ended(job: Job) -> Job:
    end = time.monotonic() + 10
    while job.state == "running" and time.monotonic() < end:
        time.sleep(0.005)
    return job


def patient(job: Job) -> None:
    job.progress = 0.5
    job.stop.wait(10)


def refuses(job: Job) -> None:
    raise InputError("data: expected images, got none; add some")


def breaks(job: Job) -> None:
    raise RuntimeError("no memory\nat all")


@pytest.mark.parametrize(
    ("work", "state", "text"),
    [
        (lambda job: None, "done", "told at first"),
        (refuses, "failed", "data: expected images, got none; add some"),
        (breaks, "failed", "RuntimeError: no memory"),
    ],
)
def test_how_jobs_end(work, state: str, text: str) -> None:
    job = ended(Jobs().start("work", work, "told at first"))
    assert (job.state, job.text) == (state, text)
    assert job.to_json()["progress"] == (1.0 if state == "done" else 0.0)


def test_one_of_a_kind_runs_and_is_cancelled() -> None:
    jobs = Jobs()
    job = jobs.start("train", patient)
    assert jobs.running("train") is job and jobs.running("queue") is None
    with pytest.raises(InputError, match="wait for it or cancel it"):
        jobs.start("train", patient)
    jobs.start("train", lambda other: None, alone=False)
    assert ended(jobs.cancel(job.id)).state == "cancelled"
    with pytest.raises(InputError, match="unknown number"):
        jobs.get(4711)


def test_old_jobs_are_forgotten_and_closing_stops_those_that_run() -> None:
    jobs = Jobs()
    first = ended(jobs.start("work", lambda job: None))
    for _ in range(KEPT + 3):
        ended(jobs.start("work", lambda job: None))
    with pytest.raises(InputError, match="unknown number"):
        jobs.get(first.id)
    last = jobs.start("train", patient)
    jobs.close()
    assert last.state == "cancelled" and not [t for t in threading.enumerate() if t.name.startswith("train ")]

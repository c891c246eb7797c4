"""Jobs: kept, worked off once each, resumed, whatever happens to the server and to its database."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import imagecodecs
import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

import delineate as dl
from delineate.client import Client
from delineate.server.predict import alone
from delineate.server.predict.asked import Asked
from delineate.server.predict.decoder import Picture
from delineate.server.predict.job_store import ATTEMPTS, JobStore
from delineate.server.predict.kept import packed, unpacked
from delineate.server.predict.limits import RefusedError
from delineate.server.predict.shelf import Shelf
from delineate.server.predict.tables import images, jobs
from delineate.server.predict.tokens import Caller
from delineate.server.predict.upload import Sent

ADA, BEN, OPS = Caller("ada", "predict"), Caller("ben", "predict"), Caller("ops", "admin")
SENT = [Sent("a.png", b"aa"), Sent("b.png", b"bb")]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    made = JobStore(tmp_path / "jobs.sqlite", waiting=5)
    yield made
    made.close()


def numbers(store: JobStore, job: str) -> list[tuple[int, int]]:
    """(seq, number) of what has ended."""
    return [(row["seq"], row["number"]) for row in store.ended(job)]


def test_a_job_ends_when_all_its_images_have(store: JobStore) -> None:
    job, new = store.add(ADA, SENT, "{}", None)
    first = store.claim()
    assert new and first is not None and (first.job, first.number, first.data) == (job, 1, b"aa")
    second = store.claim()
    assert second is not None and second.number == 2 and store.claim() is None
    assert store.finish(second, b"[]") and store.job(job, ADA)["finished"] is None
    assert store.finish(first, None, "damaged") and store.job(job, ADA)["finished"] is not None
    assert [(row["seq"], row["number"], row["state"]) for row in store.ended(job)] == [
        (1, 2, "done"),
        (2, 1, "failed"),
    ]
    assert [row["seq"] for row in store.ended(job, after=1)] == [2]


def test_a_result_is_written_once(store: JobStore, tmp_path: Path) -> None:
    job, _ = store.add(ADA, SENT[:1], "{}", None)
    mine = store.claim()
    other = JobStore(tmp_path / "jobs.sqlite")  # it starts: what the first one holds is free again
    again = other.claim()
    assert mine is not None and again is not None and mine.number == again.number
    assert other.finish(again, b"[1]") and not store.finish(mine, b"[2]") and not other.finish(again, b"[3]")
    assert [bytes(row["result"]) for row in store.ended(job)] == [b"[1]"]
    assert store.job(job, ADA)["ended"] == 1
    other.close()


def test_what_was_in_hand_at_a_kill_is_tried_last(store: JobStore, tmp_path: Path) -> None:
    store.add(ADA, SENT, "{}", None)
    assert store.claim()
    other = JobStore(tmp_path / "jobs.sqlite")
    assert [claimed.number for _ in range(2) if (claimed := other.claim())] == [2, 1]
    other.close()


def test_an_image_that_ends_servers_is_given_up(store: JobStore, tmp_path: Path) -> None:
    job, _ = store.add(ADA, SENT[:1], "{}", None)
    for _ in range(ATTEMPTS):
        one = JobStore(tmp_path / "jobs.sqlite")
        assert one.claim() is not None
        one.close()
    last = JobStore(tmp_path / "jobs.sqlite")
    assert last.claim() is None
    assert "got one that ends it" in last.ended(job)[0]["error"]
    last.close()


def test_an_image_under_suspicion_is_looked_at_in_a_process_of_its_own(
    tiny: Path, kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process says what the server says; where it dies, the image is given up and the server goes on."""
    shelf = Shelf([f"tiny={tiny}"])
    shown = shelf.find("")
    picture = Picture(imagecodecs.png_decode(kit.picture()), 0.5, 1, ("n",))
    assert shown is not None

    def said(_: Any, data: bytes, tick: Any) -> bytes:
        head, _, rest = data.partition(b"\n")
        return alone.answered(json.loads(head), rest)

    with monkeypatch.context() as patch:
        patch.setattr(alone, "_asked", said)
        found, context = unpacked(alone.look_alone(shown, shelf, Asked(confidence=0.3), picture, list))
    assert found.masks == shown.model.predict(picture.pixels, confidence=0.3).masks and len(found)
    assert (context.version, context.pixel_size, context.notes) == (shown.version, 0.5, ("n",))
    ticks: list[int] = []
    monkeypatch.setattr(alone, "STEP", 0.05)
    late = "import sys, time; time.sleep(0.2); print(len(sys.stdin.buffer.read()), end='')"
    assert alone._asked((sys.executable, "-c", late), bytes(300_000), list) == b"300000"
    ends = "import os, sys, time; sys.stdin.buffer.read(1); time.sleep(0.2); os.kill(os.getpid(), 9)"
    with pytest.raises(RefusedError, match="got one that ends it"):
        alone.look_alone(
            shown, shelf, Asked(), picture, lambda: ticks.append(1), (sys.executable, "-c", ends)
        )
    assert ticks

    def gone() -> None:
        raise KeyError

    with pytest.raises(KeyError):  # the job was taken away
        alone.look_alone(
            shown, shelf, Asked(), picture, gone, (sys.executable, "-c", "import time; time.sleep(60)")
        )


def test_released_images_are_not_counted_against_themselves(store: JobStore) -> None:
    store.add(ADA, SENT[:1], "{}", None)
    for _ in range(ATTEMPTS + 2):
        claimed = store.claim()
        assert claimed is not None
        store.release(claimed)


def test_the_same_key_makes_one_job(store: JobStore) -> None:
    job, _ = store.add(ADA, SENT, "{}", "k")
    assert store.add(ADA, SENT, "{}", "k") == (job, False)
    assert store.add(BEN, SENT, "{}", "k")[0] != job  # keys are each one's own
    with pytest.raises(RefusedError) as refused:
        store.add(ADA, SENT, '{"model":"b"}', "k")
    assert refused.value.status == 409


def test_owners_and_limits(store: JobStore) -> None:
    job, _ = store.add(ADA, SENT, "{}", None)
    assert store.listed(BEN) == [] and len(store.listed(OPS)) == 1 and store.job(job, OPS)["owner"] == "ada"
    with pytest.raises(RefusedError) as unknown:
        store.job(job, BEN)
    store.add(BEN, SENT, "{}", None)
    with pytest.raises(RefusedError) as full:
        store.add(BEN, SENT, "{}", None)
    assert (unknown.value.status, full.value.status, full.value.retry_after) == (404, 503, 30.0)
    store.remove(job)
    store.add(BEN, SENT, "{}", None)


def test_finished_jobs_are_kept_so_long(store: JobStore) -> None:
    job, _ = store.add(ADA, SENT[:1], "{}", None)
    claimed = store.claim()
    assert claimed is not None and store.finish(claimed, b"[]")
    store.purge()
    assert store.job(job, ADA)
    store.keep_days = -1.0
    store.purge()
    with store.database.read() as connection:
        assert (
            not connection.execute(select(jobs)).all()
            and not connection.execute(select(images.c.number)).all()
        )


def test_results_are_kept_as_they_are(tiny: Path, kit: SimpleNamespace) -> None:
    from delineate.server.predict.formats import Context

    found = dl.load(tiny).predict(kit.picture())
    again, context = unpacked(packed(found, Context("m", "v", 0.5, ("n",))))
    assert again.masks == found.masks and np.array_equal(again.scores, found.scores)
    assert np.array_equal(again.boxes, found.boxes) and again.classes == found.classes
    assert (context.model, context.version, context.pixel_size, context.notes) == ("m", "v", 0.5, ("n",))


def test_a_database_that_is_deleted_is_made_anew(store: JobStore, tmp_path: Path) -> None:
    store.add(ADA, SENT, "{}", None)
    for path in tmp_path.glob("jobs.sqlite*"):
        path.unlink()
    job, _ = store.add(ADA, SENT, "{}", None)
    assert [row["id"] for row in store.listed(ADA)] == [job]
    with store.database.write() as connection:
        connection.exec_driver_sql("drop table serve_images")
        connection.exec_driver_sql("drop table serve_jobs")
        connection.exec_driver_sql("drop table serve_version")
    assert store.claim() is None and store.add(ADA, SENT, "{}", None)[1]


# -- over HTTP -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def desk(make_page: Callable[..., TestClient], tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    """A server with jobs."""
    return make_page(db=str(tmp_path_factory.mktemp("db") / "jobs.sqlite"))


def submit(desk: TestClient, *data: bytes, **more: Any) -> str:
    files = [("image", (f"{k}.png", d)) for k, d in enumerate(data)]
    answer = desk.post("/api/jobs", files=files, **more)
    assert answer.status_code in (200, 202), answer.text
    assert answer.headers["location"] == f"/api/jobs/{answer.json()['id']}"
    return str(answer.json()["id"])


def test_a_job_gives_what_asking_at_once_gives(desk: TestClient, kit: SimpleNamespace) -> None:
    good, other = kit.picture(0), kit.picture(1)
    job = submit(desk, good, b"no image", other, data={"confidence": "0.3"})
    kit.until(lambda: desk.get(f"/api/jobs/{job}").json()["state"] == "done")
    lines = [json.loads(line) for line in desk.get(f"/api/jobs/{job}/results").text.splitlines()]
    assert [(line["seq"], line["name"], line["state"]) for line in lines] == [
        (1, "0.png", "done"),
        (2, "1.png", "failed"),
        (3, "2.png", "done"),
    ]
    assert "expected PNG" in lines[1]["error"]
    for line, data in ((lines[0], good), (lines[2], other)):
        assert line["prediction"] == desk.post("/api/predict?confidence=0.3", content=data).json()
    for kind in ("overlay", "labels", "csv"):
        want = desk.post(f"/api/predict?confidence=0.3&format={kind}", content=good).content
        assert desk.get(f"/api/jobs/{job}/images/1?format={kind}").content == want
    assert imagecodecs.png_decode(desk.get(f"/api/jobs/{job}/images/1?format=overlay").content).shape
    assert desk.get(f"/api/jobs/{job}/images/2").status_code == 409
    assert desk.get(f"/api/jobs/{job}/images/9").status_code == 404
    assert len(desk.get(f"/api/jobs/{job}/results?after=2").text.splitlines()) == 1
    assert desk.delete(f"/api/jobs/{job}").status_code == 204
    assert desk.get(f"/api/jobs/{job}").status_code == 404


def test_an_address_names_all_its_methods(desk: TestClient) -> None:
    for path, want in (("/api/jobs", "GET, POST"), (f"/api/jobs/{'0' * 24}", "DELETE, GET")):
        answer = desk.put(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, want)


def test_asking_for_a_job_twice(desk: TestClient, kit: SimpleNamespace) -> None:
    key = {"Idempotency-Key": "one"}
    job = submit(desk, kit.picture(), headers=key)
    assert submit(desk, kit.picture(), headers=key) == job
    assert desk.post("/api/jobs", content=b"other", headers=key).status_code == 409


def test_a_full_disk_stops_jobs_and_nothing_else(
    desk: TestClient, kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes fail as SQLite says it of a full disk; benchmarks/serve_faults.py fills a real one."""
    store = desk.app.state.service.runner.store  # type: ignore[attr-defined]
    write = store.database.write

    def full() -> Any:
        raise OperationalError("insert", {}, Exception("database or disk is full"))

    monkeypatch.setattr(store.database, "write", full)
    answer = desk.post("/api/jobs", content=kit.picture())
    assert answer.status_code == 503 and "store that works" in answer.json()["error"]
    assert int(answer.headers["retry-after"]) >= 1
    assert desk.post("/api/predict", content=kit.picture()).status_code == 200
    assert desk.get("/health/ready").json()["ok"]
    monkeypatch.setattr(store.database, "write", write)
    job = submit(desk, kit.picture())
    kit.until(lambda: desk.get(f"/api/jobs/{job}").json()["state"] == "done")


@pytest.mark.skipif(not hasattr(os, "kill") or os.name != "posix", reason="no SIGKILL here")
def test_a_kill_in_the_middle_of_a_job_and_an_orderly_end(
    serve: Callable[..., Any], tiny: Path, tmp_path: Path, kit: SimpleNamespace
) -> None:
    """Kill a decoder, then the server; the next one ends the job, and its own end is an orderly one."""
    options = ("--model", str(tiny), "--threads", "1", "--db", str(tmp_path / "jobs.sqlite"))
    data = [kit.picture(k, (256, 256)) for k in range(8)]
    server = serve(*options)
    with Client(server.url) as client:
        job = client.submit(data, key="the job")
        kit.until(lambda: job.status()["ended"] >= 1)
        os.kill(server.children()[0], 9)
        before = kit.until(lambda: (found := list(job.results())) and len(found) >= 3 and found)
        server.kill()
    server = serve(*options)
    with Client(server.url) as client:
        again = client.submit(data, key="the job")  # a client that did not hear the first answer
        assert again.id == job.id
        parts = list(again.follow(every=0.1, timeout=60))
        results = again.wait(timeout=60)
        assert parts == results
        assert [r["seq"] for r in results] == list(range(1, 9))
        assert sorted(r["number"] for r in results) == list(range(1, 9))
        assert results[: len(before)] == before and {r["state"] for r in results} == {"done"}
        want = client.predict(data[6])
        assert next(r for r in results if r["number"] == 7)["prediction"] == want
    _ends_orderly(server, tmp_path / "jobs.sqlite", kit)


def _ends_orderly(server: Any, path: Path, kit: SimpleNamespace) -> None:
    """A server that is told to end answers first what was asked, and leaves jobs to the next one."""
    data, answers = kit.picture(0, (400, 400)), []

    def ask() -> None:
        answers.append(httpx.post(f"{server.url}/api/predict", content=data, timeout=60).status_code)

    job = httpx.post(f"{server.url}/api/jobs", content=data, timeout=60).json()["id"]
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    kit.until(lambda: "delineate_open_requests 4" in httpx.get(f"{server.url}/metrics").text)
    assert server.close() == 0
    for thread in threads:
        thread.join(60)
    assert answers == [200, 200, 200]
    events = [json.loads(line)["event"] for line in server.said if line.startswith("{")]
    assert "draining" in events and events[-1] == "ended"
    query = select(images.c.state, images.c.attempts).where(images.c.job_id == job)
    with JobStore(path).database.read() as connection:
        row = connection.execute(query).one()
    assert row.state == "done" or row.attempts <= 1

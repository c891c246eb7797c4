"""The line before the models: batches, order, bounds, deadlines; decoders that die."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

import delineate as dl
from delineate.server.predict.decoder import Decoders
from delineate.server.predict.limits import RefusedError
from delineate.server.predict.queue import Finding, Line, Ticket
from delineate.server.predict.shelf import Shown

LATER = 1e9
IMAGE = np.zeros((32, 32), np.uint8)


@pytest.fixture
def line(kit: SimpleNamespace) -> Iterator[tuple[Line, Any]]:
    """A line with a model that looks when it is let."""
    model = kit.FakeModel()
    shown = Shown("fake", "fake.safetensors", model, "v1", 0.0)
    made = Line(SimpleNamespace(find=lambda name: shown), batch=3)  # type: ignore[arg-type]
    yield made, model
    model.gate.set()
    made.close(10)


def ticket(size: int = 32, confidence: float = 0.5, **settings: Any) -> Ticket:
    pixels = np.zeros((size, size), np.uint8)
    return Ticket("fake", pixels, Finding(confidence), settings.pop("deadline", LATER), **settings)


def held(line: Line, model: Any, kit: SimpleNamespace) -> Ticket:
    """One image that the model looks at, so that all others wait."""
    first = ticket()
    line.put(first)
    kit.until(lambda: first.answer.running())
    return first


def test_images_that_are_alike_are_looked_at_together(line: tuple[Line, Any], kit: SimpleNamespace) -> None:
    made, model = line
    first = held(made, model, kit)
    waiting = [ticket(), ticket(64), ticket(), ticket(confidence=0.1), ticket(), ticket()]
    for each in waiting:
        made.put(each)
    model.gate.set()
    sizes = [each.answer.result(10).batch for each in (first, *waiting)]
    # the first alone, three alike together, one by size, one by setting, one left over
    assert sizes == [1, 3, 1, 3, 1, 3, 1] and sorted(model.seen) == [1, 1, 1, 1, 3]
    assert [each.answer.result().instances.size for each in waiting][:2] == [(32, 32), (64, 64)]


def test_workers_look_at_the_same_time_and_leave_each_other_some(kit: SimpleNamespace) -> None:
    model = kit.FakeModel()
    shown = Shown("fake", "fake.safetensors", model, "v1", 0.0)
    line = Line(SimpleNamespace(find=lambda name: shown), batch=4, workers=2)  # type: ignore[arg-type]
    first = [ticket(), ticket()]
    for each in first:
        line.put(each)
    kit.until(lambda: all(each.answer.running() for each in first))
    waiting = [ticket() for _ in range(4)]
    for each in waiting:
        line.put(each)
    model.gate.set()
    sizes = [each.answer.result(10).batch for each in (*first, *waiting)]
    assert sizes[:2] == [1, 1] and max(sizes) == 2 and line.alive
    line.close(10)
    assert not line.alive and line.still_for() == 0


def test_jobs_wait_for_everybody_else(line: tuple[Line, Any], kit: SimpleNamespace) -> None:
    made, model = line
    held(made, model, kit)
    ended: list[str] = []
    patient, urgent = ticket(urgent=False), ticket(64)
    patient.answer.add_done_callback(lambda _: ended.append("job"))
    urgent.answer.add_done_callback(lambda _: ended.append("person"))
    made.put(patient)
    made.put(urgent)
    model.gate.set()
    patient.answer.result(10)
    assert ended == ["person", "job"]


def test_jobs_have_their_turn_however_many_ask(line: tuple[Line, Any], kit: SimpleNamespace) -> None:
    made, model = line
    held(made, model, kit)
    ended: list[str] = []
    job, people = ticket(urgent=False), [ticket(32 * k) for k in range(1, 13)]
    for each in (*people, job):
        each.answer.add_done_callback(lambda _, who=each: ended.append("job" if who is job else "person"))
        made.put(each)
    model.gate.set()
    for each in (job, *people):
        each.answer.result(10)
    assert 1 <= ended.index("job") <= 8


def test_a_large_image_of_a_job_lets_others_pass_between_two_tiles(
    line: tuple[Line, Any], kit: SimpleNamespace
) -> None:
    made, model = line
    model.tiles = 3
    ended: list[str] = []
    passing = ticket(64)
    passing.answer.add_done_callback(lambda _: ended.append("person"))

    def tick(done: int, of: int) -> None:
        ended.append(f"tile {done}")
        if done == 1:
            model.tiles = 1
            made.put(passing)

    patient = ticket(urgent=False, progress=tick)
    model.gate.set()
    made.put(patient).result(10)
    assert ended == ["tile 1", "person", "tile 2", "tile 3"]


def test_what_comes_too_late_or_is_given_up_is_not_looked_at(
    line: tuple[Line, Any], kit: SimpleNamespace
) -> None:
    made, model = line
    first = held(made, model, kit)
    late, gone = ticket(64, deadline=time.monotonic() - 1), ticket(96)
    made.put(late)
    made.put(gone)
    assert gone.answer.cancel()
    model.gate.set()
    first.answer.result(10)
    with pytest.raises(RefusedError) as refused:
        late.answer.result(10)
    assert (refused.value.status, refused.value.reason) == (503, "deadline")
    made.put(ticket()).result(10)
    assert model.seen == [1, 1]


def test_a_deadline_ends_an_image_between_tiles(line: tuple[Line, Any]) -> None:
    made, model = line
    model.tiles = 10
    model.gate.set()
    slow = ticket(progress=lambda *_: time.sleep(0.05), deadline=time.monotonic() + 0.1)
    with pytest.raises(RefusedError, match="deadline"):
        made.put(slow).result(10)


def test_a_model_that_fails_fails_that_image_alone(line: tuple[Line, Any]) -> None:
    made, model = line
    model.gate.set()
    model.fault = RuntimeError("boom")
    with pytest.raises(RuntimeError):
        made.put(ticket()).result(10)
    model.fault = None
    assert len(made.put(ticket()).result(10).instances) == 1
    assert made.alive and made.still_for() == 0


def test_closing_answers_who_waits_and_drops_jobs(line: tuple[Line, Any], kit: SimpleNamespace) -> None:
    made, model = line
    held(made, model, kit)
    waits, job = ticket(64), ticket(urgent=False)
    made.put(waits)
    made.put(job)
    ending = threading.Thread(target=made.close)
    ending.start()
    kit.until(job.answer.cancelled)
    model.gate.set()
    ending.join(10)
    assert waits.answer.result(10).batch == 1
    with pytest.raises(RefusedError, match="ending"):
        made.put(ticket())


def test_together_and_alone_give_the_same_objects(tiny: Path, kit: SimpleNamespace) -> None:
    model = dl.load(tiny)
    images = [dl.read(kit.picture(k)).pixels for k in range(3)]
    for one, image in zip(model.predict_together(images), images, strict=True):
        alone = model.predict(image)
        assert len(one) == len(alone) > 0
        # sums of a batch are rounded otherwise: a pixel on the edge may fall on either side
        assert np.allclose(one.boxes, alone.boxes, atol=1) and np.allclose(
            one.scores, alone.scores, atol=1e-3
        )


# -- admission -----------------------------------------------------------------------------------------


@pytest.fixture
def slow(make_page: Callable[..., TestClient], kit: SimpleNamespace) -> Iterator[tuple[TestClient, Any]]:
    """A server whose queue holds two images of one client, and whose model looks when it is let."""
    page = make_page(limits={"queue": 3, "per_client": 2, "deadline": 20.0})
    service, model = page.app.state.service, kit.FakeModel()  # type: ignore[attr-defined]
    service.shelf._shown["tiny"] = Shown("tiny", "tiny.safetensors", model, "v1", 0.0)
    yield page, model
    model.gate.set()


def test_a_full_queue_says_so_at_once(slow: tuple[TestClient, Any], kit: SimpleNamespace) -> None:
    page, model = slow
    service, data = page.app.state.service, kit.picture()  # type: ignore[attr-defined]
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(page.post("/api/predict", content=data)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    kit.until(lambda: service.inside == 2)
    third = page.post("/api/predict", content=data)
    assert (third.status_code, "at most 2 images" in third.json()["error"]) == (429, True)
    assert int(third.headers["retry-after"]) >= 1
    with service.admitted("somebody else"):
        begin = time.monotonic()
        fourth = page.post("/api/predict", content=data)
        assert (fourth.status_code, "queue of 3" in fourth.json()["error"]) == (503, True)
        assert time.monotonic() - begin < 5 and int(fourth.headers["retry-after"]) >= 1
        assert page.get("/health/ready").status_code == 200  # it answers while the model is busy
    model.gate.set()
    for thread in threads:
        thread.join(20)
    assert [answer.status_code for answer in answers] == [200, 200] and service.inside == 0
    assert page.get("/metrics").text.count('reason="client"') and service._clients == {}


def test_who_leaves_is_not_looked_at(slow: tuple[TestClient, Any], kit: SimpleNamespace) -> None:
    page, model = slow
    service = page.app.state.service  # type: ignore[attr-defined]
    from delineate.server.predict.asked import Asked
    from delineate.server.predict.decoder import Picture

    async def leave() -> None:
        async def gone() -> None:
            await asyncio.sleep(0.05)

        blocker = asyncio.ensure_future(service.look(Picture(IMAGE), Asked(), time.monotonic() + 20))
        await asyncio.sleep(0.05)
        with pytest.raises(RefusedError):
            await service.look(Picture(IMAGE), Asked(), time.monotonic() + 20, gone())
        model.gate.set()
        await blocker

    asyncio.run(leave())
    assert model.seen == [1]


# -- decoders ------------------------------------------------------------------------------------------


@pytest.fixture
def lost() -> list[str]:
    return []


@pytest.fixture
def decoders(lost: list[str]) -> Iterator[Decoders]:
    made = Decoders(1, 20.0, 1_000_000, lost.append)
    yield made
    made.close()


def test_a_decoder_that_is_killed_is_replaced_and_the_image_tried_again(
    decoders: Decoders, lost: list[str], kit: SimpleNamespace
) -> None:
    before = decoders.pids
    os.kill(before[0], signal.SIGKILL)
    assert decoders.decode(kit.picture()).pixels.shape == (64, 80, 3)
    assert lost == ["died"] and decoders.pids != before


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process")
def test_a_decoder_that_hangs_is_killed(decoders: Decoders, lost: list[str], kit: SimpleNamespace) -> None:
    decoders.decode(kit.picture())
    decoders.seconds = 0.2
    os.kill(decoders.pids[0], signal.SIGSTOP)
    with pytest.raises(RefusedError, match="got a slow one") as refused:
        decoders.decode(kit.picture())
    assert refused.value.status == 422 and lost == ["killed"]
    decoders.seconds = 20
    assert decoders.decode(kit.picture(), channels=(1,)).pixels.shape == (64, 80)


def test_a_decoder_refuses_large_images_by_their_header(decoders: Decoders, bad_inputs: Path) -> None:
    for name in ("bomb_20000x20000_1bit.png", "huge_dims_4e9.tif"):
        with pytest.raises(RefusedError) as refused:
            decoders.decode((bad_inputs / "images" / name).read_bytes())
        assert refused.value.status == 422

"""The model's part of the API: clicks, wand, suggestions, the next frame, the queue and training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from delineate.core.masks import Masks
from delineate.data.write import write_label_tiff, write_png
from delineate.server.app import create_app
from delineate.server.launch import Settings, open_studio

SIZE = (120, 160)


def discs(shift: int) -> np.ndarray:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    labels = np.zeros(SIZE, np.uint16)
    for number, (x, y) in enumerate(((40, 40), (100, 60), (60, 95)), start=1):
        labels[(columns - x - shift) ** 2 + (rows - y) ** 2 < 13**2] = number
    return labels


@pytest.fixture
def page(tmp_path: Path) -> Iterator[TestClient]:
    folder = tmp_path / "cells"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    rng = np.random.default_rng(0)
    for k in range(4):
        labels = discs(3 * k)
        image = np.where(labels > 0, 170, 20) + rng.normal(0, 6, SIZE)
        write_png(folder / "images" / f"{k}.png", image.clip(0, 255).astype(np.uint8))
        write_label_tiff(folder / "labels" / f"{k}.tif", np.where(labels == 1, labels, 0).astype(np.uint16))
    studio, _ = open_studio(Settings(str(folder)))
    with TestClient(create_app(studio, background=False), base_url="http://127.0.0.1") as client:
        yield client


def ask(page: TestClient, where: str, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = page.post(f"/api/{where}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()  # type: ignore[no-any-return]


def iou(told: dict[str, Any], truth: np.ndarray) -> float:
    return float(Masks.from_rle([told["rle"]]).iou(Masks.from_dense(truth[None]))[0, 0])


def finished(page: TestClient, number: int, seconds: float = 270) -> dict[str, Any]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        job = page.get(f"/api/jobs/{number}").json()
        if job["state"] != "running":
            return job  # type: ignore[no-any-return]
        time.sleep(0.1)
    raise AssertionError(f"job {number} runs after {seconds} seconds")


def test_clicks_boxes_and_the_wand_find_the_object(page: TestClient) -> None:
    truth = discs(0) == 2
    one = ask(page, "images/1/click", points=[[100.5, 60.5, 1]])
    assert iou(one, truth) > 0.8 and one["ms"] > 0 and len(one["rings"][0]) >= 6
    more = ask(page, "images/1/click", points=[[100.5, 60.5, 1], [40.5, 40.5, 0]])
    assert iou(more, truth) > 0.8
    assert iou(ask(page, "images/1/click", box=[86, 46, 115, 75]), truth) > 0.7
    assert iou(ask(page, "images/1/wand", point=[100.5, 60.5], tolerance=0.4), truth) > 0.9


def test_clicks_correct_an_object_that_is_there(page: TestClient) -> None:
    found = page.get("/api/images/1/objects").json()["objects"]
    assert len(found) == 1
    told = ask(page, "images/1/click", points=[[5.5, 5.5, 0]], id=found[0]["id"])
    assert iou(told, discs(0) == 1) > 0.8
    assert "unknown number" in ask(page, "images/1/click", 404, points=[[5.5, 5.5, 1]], id=999)["error"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "expected a point"),
        ({"points": [[5, 5, 0]]}, "expected a point"),
        ({"points": [[500, 5, 1]]}, "on the image"),
        ({"points": [[5, 5, 1]], "box": [5, 5, 5, 9]}, "a box"),
        ({"points": "x"}, "points"),
    ],
)
def test_clicks_that_mean_nothing_are_refused(page: TestClient, body: dict[str, Any], told: str) -> None:
    assert told in ask(page, "images/1/click", 422, **body)["error"]


def test_the_model_draws_first_and_is_taken_back(page: TestClient) -> None:
    done = ask(page, "images/1/prelabel", confidence=0.3)
    drawn = [o for o in done["changed"] if o["suggested"]]
    assert len(drawn) >= 2 and {o["source"] for o in drawn} == {"model"}
    assert all(0 <= o["score"] <= 1 for o in drawn)
    ask(page, "images/1/edits", op="undo")
    assert not [o for o in page.get("/api/images/1/objects").json()["objects"] if o["suggested"]]
    assert "expected" in ask(page, "images/1/prelabel", 422, model="no such model")["error"]


def test_objects_are_carried_to_the_next_frame(page: TestClient) -> None:
    number = page.get("/api/images/1/objects").json()["objects"][0]["id"]
    told = ask(page, "images/1/propagate", ids=[number], to=2)
    assert told["image"] == 2 and told["objects"] == 1
    carried = [o for o in page.get("/api/images/2/objects").json()["objects"] if o["suggested"]]
    assert len(carried) == 1 and abs(carried[0]["box"][0] - (40 + 3 - 12)) <= 3
    assert ask(page, "images/2/propagate")["image"] == 3  # all objects, to the next by name
    assert "the last one" in ask(page, "images/4/propagate", 422)["error"]
    assert "unknown number" in ask(page, "images/1/propagate", 404, ids=[number, 998], to=2)["error"]


def test_the_queue_ranks_what_is_to_do(page: TestClient) -> None:
    first = page.get("/api/queue", params={"strategy": "mixed"}).json()
    assert first["image"] == 1 and first["job"]
    job = finished(page, first["job"])
    assert job["state"] == "done" and sorted(job["result"]["images"]) == [1, 2, 3, 4]
    after = page.get("/api/queue", params={"strategy": "mixed"}).json()
    assert (
        after["image"] == job["result"]["images"][0] and "unsure" in after["reason"] and after["job"] is None
    )
    listed = page.get("/api/images", params={"sort": "queue"}).json()["images"]
    assert [i["id"] for i in listed] == job["result"]["images"]
    assert page.get("/api/queue", params={"strategy": "luck"}).status_code == 422


def mark_done(page: TestClient, number: int) -> None:
    version = page.get(f"/api/images/{number}").json()["version"]
    assert page.patch(f"/api/images/{number}", json={"state": "done", "version": version}).status_code == 200


@pytest.mark.slow
def test_a_training_learns_from_what_is_done_and_its_model_is_used(page: TestClient) -> None:
    assert "label some first" in ask(page, "train", 422, minutes=0.1)["error"]
    for number in (1, 2, 3):
        mark_done(page, number)
    small = {"train": {"samples_per_epoch": 4, "batch_size": 2}, "augment": {"crop": 64}}
    job = ask(page, "train", 202, minutes=0.05, recipe=small)
    assert "is running" in ask(page, "train", 422, minutes=0.1)["error"]
    done = finished(page, job["job"])
    assert done["state"] == "done", done["text"]
    project = page.get("/api/project").json()
    assert project["model"]["name"] == done["result"]["model"] in project["models"]
    assert ask(page, "images/4/prelabel", confidence=0.3)["edit"]


@pytest.mark.slow
def test_a_training_is_cancelled(page: TestClient) -> None:
    for number in (1, 2):
        mark_done(page, number)
    job = ask(page, "train", 202, minutes=5)
    assert page.delete(f"/api/jobs/{job['job']}").status_code == 200
    assert finished(page, job["job"])["state"] == "cancelled"
    assert page.get("/api/project").json()["model"] is None
    assert page.get("/api/jobs/77").status_code == 404

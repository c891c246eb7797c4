"""The API from the outside: a small dataset of our own, in a database of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from delineate.data.write import write_label_tiff, write_png
from delineate.server.app import create_app
from delineate.server.launch import Settings, open_studio


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "cells"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for k in range(3):
        write_png(folder / "images" / f"{k}.png", rng.integers(0, 255, (60, 80), dtype=np.uint8))
        labels = np.zeros((60, 80), np.uint16)
        labels[5:15, 5 : 15 + k] = 1
        labels[30:50, 30:50] = 2
        write_label_tiff(folder / "labels" / f"{k}.tif", labels)
    return folder


@pytest.fixture
def page(dataset: Path) -> Iterator[TestClient]:
    studio, _ = open_studio(Settings(str(dataset)))
    with TestClient(create_app(studio, background=False), base_url="http://127.0.0.1") as client:
        yield client


def edit(page: TestClient, op: str, **body: Any) -> dict[str, Any]:
    answer = page.post("/api/images/1/edits", json={"op": op, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def test_opens_lists_draws_and_takes_back(page: TestClient) -> None:
    project = page.get("/api/project").json()
    assert project["counts"] == {"todo": 3, "done": 0, "reviewed": 0, "rejected": 0}
    listed = page.get("/api/images").json()
    assert listed["total"] == 3 and [i["name"] for i in listed["images"]] == ["0.png", "1.png", "2.png"]
    assert page.get("/api/images/1").json()["objects"] == 2
    assert page.get("/api/images/1/tiles/0/0/0").headers["content-type"] == "image/png"
    square = [[10, 20, 20, 20, 20, 30, 10, 30]]
    made = edit(page, "add", class_id=project["classes"][0]["id"], geometry={"rings": square})["changed"][0]
    assert (made["area"], made["kind"], made["rings"]) == (100, "polygon", square)
    number = made["id"]
    painted = edit(page, "brush", id=number, points=[[20, 25]], radius=3, versions={number: 1})["changed"][0]
    assert painted["area"] > 100 and painted["kind"] == "mask"
    stale = page.post("/api/images/1/edits", json={"op": "delete", "ids": [number], "versions": {number: 1}})
    assert stale.status_code == 409 and stale.json()["objects"][0]["version"] == 2
    assert edit(page, "delete", ids=[number], versions={number: 2})["removed"] == [number]
    assert edit(page, "undo")["changed"][0]["rings"] == painted["rings"]
    assert edit(page, "undo")["changed"][0]["rings"] == square
    assert edit(page, "undo")["removed"] == [number]
    assert page.get("/api/images/1").json()["objects"] == 2

"""Every edit through the API: what it does, that it can be taken back, and how it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.write import write_png
from delineate.server.app import create_app
from delineate.server.launch import Settings, open_studio

SIZE = (60, 80)
SQUARE = [[10, 10, 30, 10, 30, 30, 10, 30]]
FAR = [[50, 10, 60, 10, 60, 20, 50, 20]]
HOLE = [[15, 15, 20, 15, 20, 20, 15, 20]]


class Page:
    """A client that keeps the versions it saw, as the page does."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.seen: dict[int, dict[str, Any]] = {}

    def edit(self, op: str, **body: Any) -> dict[str, Any]:
        ids = body.get("ids") or ([body["id"]] if "id" in body else [])
        body.setdefault("versions", {i: self.seen[i]["version"] for i in ids if i in self.seen})
        answer = self.client.post("/api/images/1/edits", json={"op": op, **body})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        self.seen |= {o["id"]: o for o in told["changed"]}
        return told

    def refuse(self, op: str, **body: Any) -> str:
        ids = body.get("ids") or ([body["id"]] if "id" in body else [])
        body.setdefault("versions", {i: self.seen[i]["version"] for i in ids if i in self.seen})
        before = self.objects()
        answer = self.client.post("/api/images/1/edits", json={"op": op, **body})
        assert answer.status_code in (404, 409, 422), answer.text
        assert self.objects() == before
        return str(answer.json()["error"])

    def add(self, **geometry: Any) -> int:
        made = self.edit("add", class_id=1, geometry=geometry)["changed"][0]
        return int(made["id"])

    def objects(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get("/api/images/1/objects").json()["objects"]
        return found

    def content(self) -> list[dict[str, Any]]:
        return [{k: v for k, v in o.items() if k != "version"} for o in self.objects()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_png(tmp_path / "image.png", np.arange(60 * 80, dtype=np.uint16).reshape(SIZE))
    return tmp_path


@pytest.fixture
def page(folder: Path) -> Iterator[Page]:
    studio, _ = open_studio(Settings(str(folder), classes=("cell", "debris")))
    with TestClient(create_app(studio, background=False), base_url="http://127.0.0.1") as client:
        yield Page(client)


def test_each_geometry_gives_its_pixels(page: Page) -> None:
    rle = Masks.from_dense(np.eye(60, 80, dtype=bool)[None]).to_rle()[0]
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"rings": SQUARE}, 400, "polygon"),
        ({"rings": [*SQUARE, *HOLE]}, 375, "polygon"),
        ({"rings": [[-10, -10, 5, -10, 5, 5, -10, 5]]}, 25, "mask"),  # leaves the image: cut off
        ({"box": [1, 2, 4, 6]}, 12, "polygon"),
        ({"stroke": {"points": [[20.5, 20.5]], "radius": 1}}, 5, "mask"),
        ({"rle": rle}, 60, "mask"),
    ]
    for geometry, area, kind in cases:
        found = page.seen[page.add(**geometry)]
        assert (found["area"], found["kind"], found["source"]) == (area, kind, "person"), geometry
    z = [o["z"] for o in page.objects()]
    assert z == sorted(z) and len(set(z)) == len(z)


@pytest.mark.parametrize(
    ("geometry", "told"),
    [
        ({}, "expected one of rings"),
        ({"rings": SQUARE, "box": [1, 2, 3, 4]}, "expected one of rings"),
        ({"rings": []}, "at least 1"),
        ({"rings": [[1, 2, 3, 4, 5, 6, 7]]}, "odd number"),
        ({"rings": [[1, 2, 3, 4]]}, "at least 6"),
        ({"rings": [[100, 100, 120, 100, 120, 120]]}, "covers a pixel"),
        ({"box": [5, 5, 5, 5]}, "covers a pixel"),
        ({"stroke": {"points": [[1, 1]], "radius": -1}}, "greater than 0"),
        ({"stroke": {"points": [], "radius": 1}}, "at least 1"),
        ({"stroke": {"points": [["NaN", 1]], "radius": 1}}, "finite"),
        ({"rle": {"size": [1, 1], "counts": "1"}}, "rle"),
        ({"rle": {"size": [60, 80], "counts": "junk"}}, "rle"),
        ({"circle": [1, 2, 3]}, "Extra inputs"),
    ],
)
def test_geometry_that_cannot_be_drawn_is_refused(page: Page, geometry: Any, told: str) -> None:
    assert told in page.refuse("add", class_id=1, geometry=geometry)


def test_every_edit_can_be_taken_back_and_made_again(page: Page) -> None:
    a, b = page.add(rings=SQUARE), page.add(rings=FAR)
    steps: list[tuple[str, dict[str, Any]]] = [
        ("brush", {"id": a, "points": [[30, 20], [40, 20]], "radius": 3}),
        ("brush", {"id": a, "points": [[10, 10]], "radius": 5, "erase": True}),
        ("hole", {"id": a, "rings": HOLE}),
        ("fill_holes", {"id": a}),
        ("merge", {"ids": [a, b]}),
        ("split", {"id": a}),
        ("split", {"id": a, "line": [[20, 0], [20, 59]]}),
        ("move", {"ids": [a], "dx": 2.4, "dy": -1.6}),
        ("set_class", {"ids": [a], "class_id": 2}),
        ("order", {"ids": [a], "to": "front"}),
        ("order", {"ids": [a], "to": "back"}),
        ("crowd", {"ids": [a], "value": True}),
        ("comment", {"id": a, "text": "unsharp"}),
        ("replace", {"id": a, "geometry": {"rings": FAR}}),
        ("brush", {"id": a, "points": [[55, 15]], "radius": 50, "erase": True}),
    ]
    states = [page.content()]
    for op, body in steps:
        page.edit(op, **body)
        states.append(page.content())
        assert states[-1] != states[-2], op
    for state in reversed(states[:-1]):
        page.edit("undo")
        assert page.content() == state
    for state in states[1:]:
        page.edit("redo")
        assert page.content() == state
    assert "redo" in page.refuse("redo")


def test_what_the_edits_do(page: Page) -> None:
    a, b = page.add(rings=SQUARE), page.add(rings=FAR)
    assert page.edit("hole", id=a, rings=HOLE)["changed"][0]["kind"] == "polygon"  # still the drawn rings
    assert page.seen[a]["area"] == 375 and page.seen[a]["rings"] == [*SQUARE, *HOLE]
    assert page.edit("fill_holes", id=a)["changed"][0]["area"] == 400
    told = page.edit("merge", ids=[b, a])
    assert told["removed"] == [a] and page.seen[b]["area"] == 500
    first, second = page.edit("split", id=b)["changed"]
    assert (first["id"], first["area"], second["area"]) == (b, 400, 100)
    moved = page.edit("move", ids=[second["id"]], dx=25, dy=0)["changed"][0]
    assert moved["area"] == 50 and moved["box"] == [75, 10, 80, 20]  # half of it left the image
    page.edit("order", ids=[b], to="front")
    assert page.objects()[-1]["id"] == b
    page.edit("order", ids=[b], to="back")
    assert page.objects()[0]["id"] == b
    gone = page.edit("brush", id=b, points=[[20, 20]], radius=60, erase=True)
    assert gone["removed"] == [b] and gone["changed"] == []


def test_polygons_stay_polygons_when_moved(page: Page) -> None:
    number = page.add(rings=SQUARE)
    moved = page.edit("move", ids=[number], dx=5, dy=-3)["changed"][0]
    assert moved["kind"] == "polygon" and moved["rings"] == [[15, 7, 35, 7, 35, 27, 15, 27]]


@pytest.mark.parametrize(
    ("op", "body", "told"),
    [
        ("brush", {"id": 99, "points": [[1, 1]], "radius": 1}, "unknown number"),
        ("set_class", {"ids": [1], "class_id": 99}, "unknown number"),
        ("delete", {"ids": [1], "versions": {}}, "expected the version"),
        ("delete", {"ids": []}, "at least 1"),
        ("merge", {"ids": [1, 1]}, "two objects"),
        ("split", {"id": 1, "line": [[0, 0], [5, 5]]}, "line across"),
        ("hole", {"id": 1, "rings": SQUARE}, "smaller than the object"),
        ("fill_holes", {"id": 1}, "object with holes"),
        ("move", {"ids": [1], "dx": 0.2, "dy": 0}, "a pixel or more"),
        ("move", {"ids": [1], "dx": 500, "dy": 0}, "stay on the image"),
        ("accept", {"ids": [1]}, "expected suggestions"),
        ("accept", {"confidence": 0.5}, "expected suggestions"),
        ("accept", {}, "got both or neither"),
        ("reject", {"ids": [1], "below": 0.5}, "got both or neither"),
        ("restore", {"edit": 99}, "an edit of this image"),
        ("redo", {}, "one of"),
        ("explode", {}, "expected tags"),
    ],
)
def test_refusals_change_nothing(page: Page, op: str, body: dict[str, Any], told: str) -> None:
    page.add(rings=SQUARE)
    if op != "redo":
        assert told in page.refuse(op, **body)
    else:
        assert "undone" in page.refuse(op)


def test_a_new_edit_closes_the_way_forward(page: Page) -> None:
    page.add(rings=SQUARE)
    page.edit("undo")
    page.add(rings=FAR)
    assert "redo" in page.refuse("redo")


def test_suggestions_are_accepted_and_rejected_by_score(page: Page) -> None:
    drawn = page.add(rings=FAR)
    app: Any = page.client.app
    studio = app.state.studio
    blocks = np.zeros((3, *SIZE), bool)
    for k in range(3):
        blocks[k, 40:50, 10 + 20 * k : 20 + 20 * k] = True
    found = Instances(
        SIZE, masks=Masks.from_dense(blocks), scores=np.array([0.9, 0.5, 0.2], np.float32),
        labels=np.array([0, 0, 1]), classes=Labels(("cell", "yeast")),
    )  # fmt: skip
    studio.suggest(1, found, "ada", "nuclei")
    assert page.client.get("/api/images/1").json()["suggested"] == 3
    assert [c["name"] for c in page.client.get("/api/project").json()["classes"]][-1] == "yeast"
    studio.suggest(1, found, "ada", "nuclei")  # takes the place of the first three
    assert [o["suggested"] for o in page.objects()] == [False, True, True, True]
    assert len(page.edit("accept", confidence=0.8)["changed"]) == 1
    assert len(page.edit("reject", below=0.4)["removed"]) == 1
    left = next(o for o in page.objects() if o["suggested"])
    assert left["source"] == "model" and left["author"] == "nuclei" and left["score"] == 0.5
    page.seen[left["id"]] = left
    touched = page.edit("brush", id=left["id"], points=[[30, 45]], radius=7)["changed"][0]
    assert not touched["suggested"] and touched["source"] == "person"  # correcting is accepting
    told = page.client.get("/api/images/1").json()
    assert (told["objects"], told["suggested"]) == (3, 0) and drawn in page.seen


def test_restore_and_history_outlive_the_server(folder: Path) -> None:
    given = Settings(str(folder), classes=("cell",))
    studio, _ = open_studio(given)
    with TestClient(create_app(studio, background=False), base_url="http://127.0.0.1") as client:
        page = Page(client)
        a = page.add(rings=SQUARE)
        after_first = page.content()
        page.edit("brush", id=a, points=[[30, 30]], radius=8)
        page.add(rings=FAR)
        before = page.content()
    studio, _ = open_studio(given)
    with TestClient(create_app(studio, background=False), base_url="http://127.0.0.1") as client:
        page = Page(client)
        assert page.content() == before
        past = client.get("/api/images/1/history").json()
        assert [e["summary"] for e in past] == ["add cell", "paint on cell", "add cell"]
        page.edit("restore", edit=past[-1]["edit"])
        assert page.content() == after_first
        page.edit("undo")  # of the restore
        assert page.content() == before
        page.edit("undo")
        page.edit("undo")  # of what was drawn before the restart
        assert page.content() == after_first


def test_states_comments_and_classes(page: Page) -> None:
    client = page.client
    done = client.patch("/api/images/1", json={"state": "done", "version": 1})
    assert done.json()["state"] == "done" and done.json()["version"] == 2
    assert client.patch("/api/images/1", json={"state": "todo", "version": 1}).status_code == 409
    assert client.patch("/api/images/1", json={"state": "lost", "version": 2}).status_code == 422
    client.post("/api/images/1/comments", json={"text": "Is this one <cell>?"})
    assert client.get("/api/images/1/comments").json()[0]["text"] == "Is this one <cell>?"
    assert client.get("/api/images?state=done").json()["images"][0]["comments"] == 1
    assert client.get("/api/images?state=todo").json()["total"] == 0
    made = client.post("/api/classes", json={"name": "mitosis"}).json()
    assert made["color"].startswith("#")
    assert client.post("/api/classes", json={"name": "mitosis"}).status_code == 422
    assert client.post("/api/classes", json={"name": "x", "color": "red"}).status_code == 422
    changed = client.patch(f"/api/classes/{made['id']}", json={"name": "division", "color": "#00ff00"})
    assert changed.json() == {"id": made["id"], "name": "division", "color": "#00ff00"}
    assert client.patch("/api/classes/99", json={"name": "y"}).status_code == 404


def test_bodies_that_are_no_json_or_too_large(page: Page) -> None:
    client = page.client
    broken = client.post("/api/images/1/edits", content=b"{", headers={"content-type": "application/json"})
    assert broken.status_code == 422 and "error" in broken.json()
    huge = client.post("/api/images/1/edits", content=b" " * (65 << 20))
    assert huge.status_code == 413 and "at most" in huge.json()["error"]
    assert client.get("/api/nothing").json() == {"error": "Not Found"}

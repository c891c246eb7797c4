"""Several people: locking, undo beside others, news, tokens, roles; on SQLite, and on PostgreSQL if any."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from delineate.data.write import write_png
from delineate.server.app import create_app
from delineate.server.launch import Settings, open_studio

USERS = ("ada:admin", "ben:annotator", "rita:reviewer", "vic:viewer")


def _postgres() -> Path | None:
    """The folder of PostgreSQL's programs."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return places[-1] if places and (places[-1] / "initdb").exists() else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server of our own, in a temporary folder."""
    pytest.importorskip("pg8000", reason="no driver for PostgreSQL; install the extra postgres")
    programs = _postgres()
    if programs is None:
        pytest.skip("no PostgreSQL here; on Debian: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="delineate-postgres-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    before: list[str] = []
    if os.name == "posix" and os.geteuid() == 0:  # PostgreSQL does not run as root
        before = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        shutil.chown(folder, "nobody", "nogroup")
    data = folder / "data"
    run = {"check": True, "capture_output": True, "cwd": "/"}
    subprocess.run(
        [*before, programs / "initdb", "-D", data, "-U", "studio", "-A", "trust", "--no-sync", "-E", "UTF8"],
        **run,
    )
    server = subprocess.Popen(
        [*before, programs / "postgres", "-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1", "-F"],
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
    try:
        for _ in range(600):
            ready = [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-U", "studio"]
            if subprocess.run(ready, capture_output=True, check=False).returncode == 0:
                break
            threading.Event().wait(0.1)
        yield f"postgresql://studio@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def team(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, TestClient]]:
    """A client of each user, and one of nobody."""
    write_png(tmp_path / "a.png", np.zeros((50, 60), np.uint8))
    write_png(tmp_path / "b.png", np.zeros((50, 60), np.uint8))
    db = ""
    if request.param == "postgresql":
        db = request.getfixturevalue("postgres")
        _emptied(db)
    studio, tokens = open_studio(Settings(str(tmp_path), db=db, users=USERS, classes=("cell", "debris")))
    app = create_app(studio, background=False)
    with TestClient(app, base_url="http://127.0.0.1") as nobody:
        clients = {"nobody": nobody}
        for name, token in tokens.items():
            clients[name] = TestClient(
                app, base_url="http://127.0.0.1", headers={"authorization": f"Bearer {token}"}
            )
        clients["by cookie"] = TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)
        assert clients["by cookie"].get("/login", params={"token": tokens["ben"]}).status_code == 303
        yield clients


def _emptied(url: str) -> None:
    from sqlalchemy import create_engine, text

    engine = create_engine(url.replace("postgresql://", "postgresql+pg8000://"))
    with engine.begin() as connection:
        connection.execute(text("drop schema public cascade"))
        connection.execute(text("create schema public"))
    engine.dispose()


def edit(client: TestClient, op: str, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = client.post("/api/images/1/edits", json={"op": op, **body})
    assert answer.status_code == status, answer.text
    return answer.json()  # type: ignore[no-any-return]


def square(client: TestClient, x: float = 5) -> dict[str, Any]:
    rings = [[x, 5, x + 10, 5, x + 10, 15, x, 15]]
    made = edit(client, "add", class_id=1, geometry={"rings": rings})["changed"][0]
    assert isinstance(made, dict)
    return made


def test_two_people_cannot_overwrite_each_other(team: dict[str, TestClient]) -> None:
    ada, ben = team["ada"], team["ben"]
    number = square(ada)["id"]
    edit(ben, "move", ids=[number], dx=3, dy=0, versions={number: 1})
    refused = edit(ada, "delete", 409, ids=[number], versions={number: 1})
    assert "another person" in refused["error"] and refused["objects"][0]["version"] == 2
    edit(ada, "delete", ids=[number], versions={number: 2})
    gone = edit(ben, "brush", 409, id=number, points=[[9, 9]], radius=2, versions={number: 2})
    assert "deleted" in gone["error"] and gone["objects"] == []


def test_one_undoes_ones_own_edits_and_passes_over_those_that_others_built_on(
    team: dict[str, TestClient],
) -> None:
    ada, ben = team["ada"], team["ben"]
    first, second = square(ada), square(ada, 30)
    edit(ben, "set_class", ids=[second["id"]], class_id=2, versions={second["id"]: 1})
    refused = edit(ada, "undo", 409)
    assert "passed over" in refused["error"] and refused["objects"][0]["id"] == second["id"]
    assert edit(ada, "undo")["removed"] == [first["id"]]
    assert "none left" in edit(ada, "undo", 422)["error"]
    assert edit(ben, "undo")["changed"][0]["class_id"] == 1
    assert edit(ada, "redo")["changed"][0]["rings"] == first["rings"]


def test_many_at_once_lose_nothing(team: dict[str, TestClient]) -> None:
    names = ("ada", "ben", "rita")
    errors: list[str] = []

    def work(name: str) -> None:
        try:
            for k in range(8):
                number = square(team[name], 5 + k)["id"]
                edit(team[name], "brush", id=number, points=[[20, 20]], radius=2, versions={number: 1})
        except Exception as error:
            errors.append(f"{name}: {error}")

    people = [threading.Thread(target=work, args=(name,)) for name in names]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert not errors
    told = team["vic"].get("/api/images/1/objects").json()
    assert len(told["objects"]) == 24 and all(o["version"] == 2 for o in told["objects"])
    assert told["revision"] == 48
    assert [e["revision"] for e in team["vic"].get("/api/images/1/history").json()] == list(range(48, 0, -1))


def test_one_stale_version_of_many_is_won_by_one(team: dict[str, TestClient]) -> None:
    number = square(team["ada"])["id"]
    codes: list[int] = []

    def work(name: str) -> None:
        body = {"op": "move", "ids": [number], "dx": 1, "dy": 1, "versions": {number: 1}}
        codes.append(team[name].post("/api/images/1/edits", json=body).status_code)

    people = [
        threading.Thread(target=work, args=(name,)) for name in ("ada", "ben", "rita") for _ in range(3)
    ]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert sorted(codes) == [200] + [409] * 8


def news_until(
    person: TestClient, wanted: Callable[[dict[str, Any]], bool], revision: int, clock: int
) -> dict[str, Any]:
    """What one page hears of image 1, asked for until it is all there: news may come in several answers."""
    heard: dict[str, Any] = {"changed": [], "removed": [], "images": {}, "revision": revision, "clock": clock}
    for _ in range(20):
        query = {"image": 1, "since": heard["revision"], "clock": heard["clock"]}
        news = person.get("/api/events", params=query).json()
        heard["changed"] += [o["id"] for o in news["changed"]]
        heard["removed"] += news["removed"]
        heard["images"] |= {i["id"]: i for i in news["images"]}
        heard["revision"], heard["clock"] = news["revision"], news["clock"]
        if wanted(heard):
            return heard
    raise AssertionError(f"not heard of: {heard}")


def test_news_of_others_arrive(team: dict[str, TestClient]) -> None:
    ada, ben = team["ada"], team["ben"]
    clock = ada.get("/api/events").json()["clock"]
    answers: list[Any] = []

    def drawn(heard: dict[str, Any]) -> bool:
        return bool(heard["changed"]) and heard["images"].get(1, {}).get("objects") == 1

    waiting = threading.Thread(target=lambda: answers.append(news_until(ada, drawn, 0, clock)))
    waiting.start()
    made = square(ben)
    waiting.join(timeout=60)
    news = answers[0]
    assert news["changed"] == [made["id"]] and news["revision"] == 1
    edit(ben, "undo")
    ben.patch("/api/images/2", json={"state": "done", "version": 1})

    def undone(heard: dict[str, Any]) -> bool:
        return bool(heard["removed"]) and {1, 2} <= set(heard["images"])

    news = news_until(ada, undone, 1, news["clock"])
    assert news["removed"] == [made["id"]]
    assert {i: image["state"] for i, image in news["images"].items()} == {1: "todo", 2: "done"}
    quiet = {"image": 1, "since": news["revision"], "clock": news["clock"], "wait": 0}
    assert ada.get("/api/events", params=quiet).json()["changed"] == []


def test_many_news_come_in_parts(team: dict[str, TestClient], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delineate.server.routes.objects.AT_ONCE", 1)
    ada, clock, seen = team["ada"], 0, []
    for number in (1, 2):
        ada.patch(f"/api/images/{number}", json={"state": "done", "version": 1})
    for _ in range(2):
        news = ada.get("/api/events", params={"clock": clock}).json()
        clock = news["clock"]
        seen += [image["id"] for image in news["images"]]
    assert seen == [1, 2]


@pytest.mark.parametrize(
    ("name", "method", "path", "body", "status"),
    [
        ("nobody", "GET", "/api/project", None, 401),
        ("nobody", "GET", "/api/images/1/tiles/0/0/0", None, 401),
        ("nobody", "POST", "/api/images/1/edits", {"op": "undo"}, 401),
        ("vic", "GET", "/api/images/1/objects", None, 200),
        ("vic", "POST", "/api/images/1/edits", {"op": "undo"}, 403),
        ("vic", "POST", "/api/images/1/comments", {"text": "x"}, 403),
        ("vic", "PATCH", "/api/images/1", {"state": "done", "version": 1}, 403),
        ("ben", "PATCH", "/api/images/1", {"state": "done", "version": 1}, 200),
        ("ben", "PATCH", "/api/images/1", {"state": "reviewed", "version": 1}, 403),
        ("ben", "POST", "/api/classes", {"name": "x"}, 403),
        ("by cookie", "POST", "/api/images/1/comments", {"text": "x"}, 200),
        ("rita", "PATCH", "/api/images/1", {"state": "rejected", "version": 1}, 200),
        ("rita", "PATCH", "/api/images/1", {"state": "rejected", "version": 2}, 409),
        ("ada", "POST", "/api/classes", {"name": "x"}, 200),
    ],
)
def test_roles(
    team: dict[str, TestClient], name: str, method: str, path: str, body: Any, status: int
) -> None:
    answer = team[name].request(method, path, json=body)
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert next(iter(answer.json())) == "error" and "\n" not in answer.json()["error"]


def test_other_sites_and_other_names_are_refused(team: dict[str, TestClient]) -> None:
    ada = team["ada"]
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        answer = ada.post("/api/images/1/comments", json={"text": "x"}, headers=headers)
        assert answer.status_code == 403 and "another site" in answer.json()["error"]
    assert ada.get("/api/project", headers={"host": "rebound.example"}).status_code == 403
    assert ada.post(
        "/api/images/1/comments", json={"text": "x"}, headers={"origin": "http://127.0.0.1"}
    ).is_success
    assert team["nobody"].get("/login", params={"token": "guess"}).status_code == 401


def test_a_token_is_not_kept_in_clear(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((5, 6), np.uint8))
    given = Settings(str(tmp_path), users=("ada:admin",))
    studio, tokens = open_studio(given)
    studio.close()
    files = b"".join(p.read_bytes() for p in (tmp_path / ".delineate").glob("studio.sqlite*"))
    assert tokens["ada"].encode() not in files
    studio, again = open_studio(given)
    assert again == {} and studio.gate.by_token(tokens["ada"]) is not None
    studio.close()
    studio, renewed = open_studio(Settings(str(tmp_path), users=("ada:viewer",), new_tokens=True))
    assert studio.gate.by_token(tokens["ada"]) is None
    user = studio.gate.by_token(renewed["ada"])
    assert user is not None and user.role == "viewer"
    studio.close()

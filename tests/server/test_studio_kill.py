"""A server killed in the middle of strokes: everything that it had answered is there afterwards."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delineate.core.masks import Masks
from delineate.data.write import write_png
from delineate.server.strokes import stroke

SIZE = (300, 400)


def start(image: Path) -> tuple[subprocess.Popen[str], int]:
    """The command itself, and the port that it tells."""
    command = [sys.executable, "-m", "delineate", "studio", str(image), "--no-browser", "--port", "0"]
    told = image.with_suffix(".log")
    with told.open("w") as log:
        process = subprocess.Popen(command, stderr=log, text=True)
    for _ in range(600):
        if found := re.search(r"^studio: http://[^:]+:(\d+)", told.read_text(), re.MULTILINE):
            return process, int(found[1])
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    raise AssertionError(f"the studio did not start ({process.wait()}): {told.read_text()}")


def ask(port: int, method: str, path: str, body: Any = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"content-type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        content = json.loads(answer.read())
        assert answer.status == 200, content
        return content
    finally:
        connection.close()


def draw(port: int, number: int, version: int, acknowledged: list[tuple[int, Any]], rng: Any) -> None:
    """Strokes on one object until the server is gone."""
    while True:
        points = rng.integers(0, 300, (2, 2)).tolist()
        body = {"op": "brush", "id": number, "points": points, "radius": 3, "versions": {number: version}}
        try:
            answer = ask(port, "POST", "/api/images/1/edits", body)
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            return
        version = answer["changed"][0]["version"]
        acknowledged.append((version, points))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_kill_in_mid_stroke_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    image = tmp_path / "image.png"
    write_png(image, np.zeros(SIZE, np.uint8))
    process, port = start(image)
    drawn: dict[int, list[tuple[int, Any]]] = {}
    try:
        for k in range(2):  # two people, an object each
            geometry = {"stroke": {"points": [[50 + k, 50]], "radius": 2}}
            made = ask(
                port, "POST", "/api/images/1/edits", {"op": "add", "class_id": 1, "geometry": geometry}
            )
            drawn[made["changed"][0]["id"]] = []
        people = [
            threading.Thread(target=draw, args=(port, number, 1, told, np.random.default_rng(number)))
            for number, told in drawn.items()
        ]
        for person in people:
            person.start()
        while min(map(len, drawn.values())) < 5:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        for person in people:
            person.join(timeout=60)
    finally:
        process.kill()
        process.wait()
    process, port = start(image)
    try:
        found = {o["id"]: o for o in ask(port, "GET", "/api/images/1/objects")["objects"]}
        history = ask(port, "GET", "/api/images/1/history?limit=10000")
        for number, told in drawn.items():
            # at most the one stroke that was on its way may be there too
            assert told[-1][0] <= found[number]["version"] <= told[-1][0] + 1
        assert sum(map(len, drawn.values())) + 2 <= len(history) <= sum(map(len, drawn.values())) + 4
        for k, (number, told) in enumerate(drawn.items()):
            start_mask = stroke(np.array([[50.0 + k, 50.0]]), 2, SIZE)
            strokes = [stroke(np.array(p, np.float64), 3, SIZE) for _, p in told]
            want = Masks.concatenate([start_mask, *strokes]).union()
            area = found[number]["area"]
            assert area == want.area[0] if found[number]["version"] == told[-1][0] else area >= want.area[0]
        assert ask(port, "POST", "/api/images/1/edits", {"op": "undo"})["changed"]
    finally:
        process.terminate()
        assert process.wait(timeout=30) in (0, 130, -signal.SIGTERM)

"""The client: what it sends, when it asks again, and that it needs neither torch nor NumPy."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from delineate.client import Client, ServerError, to_instances
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Sleeps take no time and are noted."""
    slept: list[float] = []
    monkeypatch.setattr("delineate.client.time.sleep", slept.append)
    return slept


def client(answer: Callable[[httpx.Request], httpx.Response], **settings: Any) -> Client:
    return Client("http://server", transport=httpx.MockTransport(answer), **settings)


def test_a_busy_server_is_asked_again_when_it_says(no_waiting: list[float]) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if len(seen) < 3:
            return httpx.Response(503, headers={"retry-after": "7"}, json={"error": "busy"})
        return httpx.Response(200, json={"count": 3})

    assert client(answer, token="t" * 16).predict(b"data", confidence=0.5)["count"] == 3
    assert no_waiting == [7.0, 7.0]
    last = seen[-1]
    assert last.content == b"data" and last.headers["authorization"] == "Bearer " + "t" * 16
    assert dict(last.url.params) == {"format": "json", "confidence": "0.5"}


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 500])
def test_a_refusal_is_not_asked_again(status: int, no_waiting: list[float]) -> None:
    with pytest.raises(ServerError, match="why") as error:
        client(lambda _: httpx.Response(status, json={"error": "why"})).predict(b"")
    assert error.value.status == status and no_waiting == []


def test_patience_ends(no_waiting: list[float]) -> None:
    busy = httpx.Response(503, headers={"retry-after": "7"}, json={"error": "busy"})
    with pytest.raises(ServerError, match="busy"):
        client(lambda _: busy, patience=5.0).models()
    assert no_waiting == []

    def gone(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(ServerError) as error:
        client(gone, patience=0.0).models()
    assert error.value.status == 0 and not client(gone).ready()


def test_a_job_is_waited_for_and_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"image")
    keys, looks = [], iter([1, 1, 3])

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            keys.append(request.headers["idempotency-key"])
            assert b'filename="a.png"' in request.content
            return httpx.Response(503 if len(keys) == 1 else 202, json={"id": "j", "error": "no"})
        if request.url.path.endswith("results"):
            after = int(request.url.params["after"])
            lines = [json.dumps({"seq": seq}) for seq in range(after + 1, min(after + 2, 3) + 1)]
            return httpx.Response(200, text="\n".join(lines))
        ended = next(looks)
        return httpx.Response(200, json={"images": 3, "ended": ended, "progress": ended / 3})

    seen: list[float] = []
    job = client(answer).submit([path, b"x", b"y"])
    assert [r["seq"] for r in job.wait(progress=seen.append)] == [1, 2, 3]
    assert len(keys) == 2 and len(set(keys)) == 1 and seen[0] == pytest.approx(1 / 3)


def test_predictions_become_instances() -> None:
    masks = Masks.from_label_image(np.array([[1, 1, 0], [0, 2, 2]]))
    want = Instances((2, 3), labels=[0, 1], scores=[0.5, 0.25], masks=masks, classes=Labels(("a", "b")))
    objects = [
        {"class": n, "score": float(s), "box": b.tolist(), "mask": m}
        for n, s, b, m in zip(want.names, want.scores, want.boxes, masks.to_rle(), strict=True)
    ]
    found = to_instances({"height": 2, "width": 3, "objects": objects})
    assert found.masks == masks and found.names == want.names and np.array_equal(found.boxes, want.boxes)
    assert len(to_instances({"height": 2, "width": 3, "objects": []})) == 0


def test_it_needs_httpx_alone() -> None:
    code = """
import sys
class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "numpy", "cv2", "PIL", "pandas", "fastapi", "msgspec"):
            raise ImportError(name)
sys.meta_path.insert(0, Wall())
from delineate.client import Client
Client().close()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

"""Models exchanged while they serve: a new file is taken, a damaged one is not."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from delineate.core.errors import InputError
from delineate.server.predict.shelf import Shelf


@pytest.fixture
def weights(tiny: Path, tmp_path: Path) -> Path:
    """A file of our own to overwrite."""
    return Path(shutil.copy(tiny, tmp_path / "w.safetensors"))


def test_reload_on_request(make_page: Callable[..., TestClient], weights: Path, kit: SimpleNamespace) -> None:
    page = make_page(models=(f"a={weights}", "nuclei"))
    told = page.get("/api/models").json()
    assert told["default"] == "a" and [m["name"] for m in told["models"]] == ["a", "nuclei"]
    before = told["models"][0]["version"]
    want = page.post("/api/predict", content=kit.picture()).json()["objects"]
    whole = weights.read_bytes()
    for damaged in (b"", whole[:1000], whole[: len(whole) // 2], b"\x80\x04." + whole[3:]):
        weights.write_bytes(damaged)
        answer = page.post("/api/models/a/reload")
        assert answer.status_code == 422 and f"version {before} serves on" in answer.json()["error"]
        now = page.post("/api/predict", content=kit.picture()).json()
        assert (now["objects"], now["version"]) == (want, before)
    assert page.get("/api/models/a").json()["fault"] and page.get("/health/ready").json()["ok"]
    kit.save_tiny(weights, "another")
    after = page.post("/api/models/a/reload").json()
    assert after["version"] != before and after["fault"] == ""
    assert page.post("/api/predict", content=kit.picture()).json()["version"] == after["version"]
    assert page.post("/api/models/none/reload").status_code == 404
    assert 'delineate_model_reloads_total{model="a",result="kept"} 4.0' in page.get("/metrics").text


def test_a_file_that_changes_is_taken_once_it_rests(weights: Path, kit: SimpleNamespace) -> None:
    told: list[tuple[str, str]] = []
    shelf = Shelf([f"a={weights}"], told=lambda *how: told.append(how))
    first = shelf.find("a")
    shelf.watch()
    kit.save_tiny(weights, "another")
    shelf.watch()  # it may still be written
    assert shelf.find("a") is first and not told
    shelf.watch()
    second = shelf.find("")
    assert told == [("a", "loaded")] and second is not None and second.version != first.version  # type: ignore[union-attr]
    weights.write_bytes(b"damaged")
    for _ in range(4):
        shelf.watch()
    assert told[1:] == [("a", "kept")] and shelf.find("a").version == second.version  # type: ignore[union-attr]
    weights.unlink()
    shelf.watch()
    assert shelf.find("a") is not None


def test_nobody_is_turned_away_while_a_model_is_exchanged(
    make_page: Callable[..., TestClient], weights: Path, kit: SimpleNamespace
) -> None:
    page = make_page(models=(f"a={weights}",))
    versions: list[Any] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            versions.append(page.post("/api/predict", content=kit.picture()).json().get("version"))

    asking = threading.Thread(target=ask)
    asking.start()
    kit.until(lambda: len(versions) > 2)
    kit.save_tiny(weights, "another")
    new = page.post("/api/models/a/reload").json()["version"]
    seen = len(versions)
    kit.until(lambda: len(versions) > seen + 2)
    stop.set()
    asking.join(30)
    assert None not in versions and versions[-1] == new and set(versions) == {versions[0], new}


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (["nuclei", "nuclei"], "twice"),
        (["../x=nuclei"], "letters"),
        (["a=none.safetensors"], "nothing there"),
        (["no_such_model"], "no_such_model"),
    ],
)
def test_models_that_cannot_be(wanted: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Shelf(wanted)


def test_damaged_files_are_refused_at_the_start(bad_inputs: Path) -> None:
    for name in ("safetensors_truncated.safetensors", "pickle_os_system_torchzip.pt", "onnx_truncated.onnx"):
        with pytest.raises(InputError):
            Shelf([str(bad_inputs / "models" / name)])
    assert not Path("/tmp/seg_bad_input_executed").exists()

"""Where the time of a model goes: stages that add up, processes of their own, failures told."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.core.stages import Clock, timed, watch
from delineate.engine import checkpoint
from delineate.engine.benchmark import STAGES, Task, Timing, benchmark, machine
from delineate.engine.benchmark_worker import main, measure
from delineate.models.zoo import build


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("speed")
    model = build("yolo_seg_n", classes=Labels(("a",)))
    checkpoint.save(folder / "m.safetensors", model, record={}, licence="")
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    return {"model": str(folder / "m.safetensors"), "image": str(folder / "a.png")}


@pytest.mark.parametrize(("batch", "size"), [(1, None), (2, (32, 64))])
def test_stages_add_up_to_the_whole(files: dict[str, str], batch: int, size: tuple[int, int] | None) -> None:
    task = Task(files["model"], "eager", (files["image"],) * 3, size, batch, repeat=2)
    found = measure(task)
    assert found.size == (size or (64, 96)) and (found.images, found.passes) == (3, 2)
    assert set(found.median) == set(found.cpu) == {*STAGES, "total"}
    assert found.low["total"] <= found.median["total"] <= found.high["total"]
    assert 0 < found.median["network"] < found.median["total"]
    assert found.median["read"] > 0 and found.median["prepare"] > 0
    assert found.memory >= found.before > 0 and found.weights == Path(files["model"]).stat().st_size


def test_a_process_of_its_own_measures(files: dict[str, str]) -> None:
    told: list[Timing] = []
    found = benchmark([files["model"]], [files["image"]], repeat=1, threads=1, told=told.append)
    assert found == told and not found[0].failure and found[0].median["total"] > 0
    assert found[0].size == (64, 96) and found[0].versions["torch"]


def test_a_process_that_fails_stops_nothing(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    found = benchmark([files["model"], "nuclei"], [files["image"]], runtimes=["eager", "onnxruntime"])
    assert [(t.model, t.runtime) for t in found][1] == (files["model"], "onnxruntime") and len(found) == 4
    assert all(t.failure == "its process ended with 1: no word" for t in found)


def test_what_cannot_be_loaded_is_told(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    task = {**Task("none.safetensors", "eager", (files["image"],)).__dict__, "images": [files["image"]]}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(task)))
    main()
    assert "none.safetensors" in json.loads(capsys.readouterr().out)["failure"]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"runtimes": ["tensorflow"]}, "got tensorflow"),
        ({"batch": 0}, "batch: expected 1"),
        ({"repeat": 0}, "repeat: expected 1"),
        ({"images": []}, "got none"),
    ],
)
def test_wrong_settings_are_refused(settings: dict, match: str) -> None:
    with pytest.raises(InputError, match=match):
        benchmark(["nuclei"], **{"images": ["a.png"], **settings})


def test_an_inner_stage_belongs_to_the_outer_one() -> None:
    @timed("inner")
    def inner() -> int:
        return 1

    @timed("outer")
    def outer() -> int:
        return inner()

    with watch() as clock:
        assert outer() == 1 and outer() == 1
    assert list(clock.seconds) == list(clock.cpu) == ["outer"]
    assert outer() == 1 and isinstance(clock, Clock)


def test_the_machine_is_named() -> None:
    assert {"processor", "cores", "python"} <= set(machine())

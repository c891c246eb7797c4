"""`delineate export` and `delineate benchmark` as typed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import delineate as dl
from delineate.cli import main
from delineate.cli.export_run import frame, target_of
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.formats import coco_write
from delineate.data.records import Sample
from delineate.engine import checkpoint
from delineate.models.zoo import build

pytest.importorskip("onnx", reason="needs the extra export")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = build("center_offset", classes=Labels(("round",)), channels=[8, 8])
    return checkpoint.save(
        tmp_path_factory.mktemp("w") / "m.safetensors", model, record={}, licence="CC0-1.0"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("images")
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{i}.png")
    return place


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--half", "--int8"], "expected one of them, got both"),
        (["--int8"], "give some of the kind it will see"),
        (["--calibrate", "."], "expected --int8 with it"),
        (["--tolerance", "0.1"], "expected --verify"),
        (["--confidence", "0.1"], "expected --verify"),
        (["--tolerance", "2", "--verify", "."], "a number in 0..1, got 2"),
        (["--confidence", "nan", "--verify", "."], "a number in 0..1, got nan"),
        (["--to", "tensorrt-ready", "--batches"], "leave --dynamic and --batches out"),
        (["--to", "coreml"], "expected 'onnx', 'openvino'"),
        (["--to", "openvino"], "ends in .xml for openvino"),
        (["--to", "tensorrt-ready", "--dynamic"], "choose a --size"),
        (["--size", "1,2,3"], "HEIGHT,WIDTH"),
        (["--size", "-32"], "HEIGHT,WIDTH"),
        (["--max-det", "0"], "max_det: expected 1"),
        (["--verify", "nowhere", "--size", "64"], "nowhere"),
        (["--int8", "--calibrate", "nowhere"], "nowhere"),
    ],
)
def test_wrong_usage_is_told_in_one_line_before_the_model_is_loaded(
    tmp_path: Path,
    given: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("delineate.engine.load.load", lambda *_, **__: pytest.fail("loaded"))
    assert main(["export", "m.safetensors", str(tmp_path / "a.onnx"), *given]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: ") and told in said and not list(tmp_path.glob("a.*"))


def test_packages_that_are_missing_are_told_before_the_model_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("delineate.engine.load.load", lambda *_, **__: pytest.fail("loaded"))
    monkeypatch.setitem(sys.modules, "nncf", None)
    given = ["export", "nuclei", str(tmp_path / "a.xml"), "--int8", "--calibrate", "."]
    assert main(given) == 2 and "delineate[int8]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "out", "to", "precision", "wanted"),
    [
        ("nuclei", None, "", "fp32", "nuclei.onnx"),
        ("nuclei", None, "openvino", "int8", "nuclei-int8.xml"),
        ("nuclei", None, "tensorrt-ready", "fp32", "nuclei-tensorrt.onnx"),
        ("runs/mine/best.safetensors", None, "", "fp16", "mine-half.onnx"),
        ("runs/mine/third.safetensors", None, "torch.export", "fp32", "third.pt2"),
        ("nuclei", "models", "", "fp32", "models/nuclei.onnx"),
        ("nuclei", "models/a.xml", "", "int8", "models/a.xml"),
    ],
)
def test_a_file_takes_the_models_name(
    model: str,
    out: str | None,
    to: str,
    precision: str,
    wanted: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    assert target_of(model, Path(out) if out else None, to, precision) == Path(wanted)


def test_sizes_as_typed() -> None:
    assert frame("") is None and frame("64") == 64 and frame("64,32") == (64, 32)


def test_an_export_keeps_the_models_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", "nuclei", "--size", "64", "--quiet"]) == 0
    assert dl.load(weights="nuclei.onnx").name == "nuclei"
    assert json.loads(Path("nuclei.onnx.json").read_text())["name"] == "nuclei"
    blank = Sample(np.zeros((64, 64), np.uint8), Instances((64, 64)), "a", Path("a.png"), 1)
    assert dl.evaluate(dl.load("nuclei.onnx"), [blank], metrics=["coco"]).predictor == "nuclei"


def test_half_weights_are_scored_beside_the_model(
    weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dense = np.zeros((1, 48, 64), bool)
    dense[0, 8:20, 8:30] = True
    truth = Instances(
        (48, 64), boxes=[[8, 8, 30, 20]], masks=Masks.from_dense(dense), classes=Labels(("round",))
    )
    path = folder / "truth.json"
    blank = np.zeros((48, 64, 3), np.uint8)
    coco_write.write(
        path, [Sample(blank, truth, f.name, f, i) for i, f in enumerate(sorted(folder.glob("*.png")), 1)]
    )
    out = tmp_path / "m.xml"
    given = ["export", str(weights), str(out), "--half", "--verify", str(path), "--quiet"]
    assert main(given) == 0 and out.exists()
    assert json.loads((tmp_path / "m.xml.json").read_text())["dynamic"] is True

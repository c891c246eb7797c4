"""`delineate export` and `delineate benchmark` as typed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from delineate.cli import main
from delineate.cli.export_run import file_name, frame
from delineate.core.errors import InputError
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
        (["--tolerance", "2", "--verify", "."], "a number in 0..1, got 2"),
        (["--to", "coreml"], "expected 'onnx', 'openvino'"),
        (["--size", "1,2,3"], "HEIGHT,WIDTH"),
        (["--verify", "nowhere", "--size", "64"], "nowhere"),
    ],
)
def test_wrong_usage_is_told_in_one_line(
    weights: Path, tmp_path: Path, given: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(weights), str(tmp_path / "a.onnx"), *given]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: ") and told in said and not list(tmp_path.glob("a.*"))


def test_a_file_takes_the_models_name() -> None:
    assert file_name("runs/mine.safetensors", None, "openvino", "int8") == Path("mine-int8.xml")
    assert file_name("nuclei", None, "onnx", "fp32") == Path("nuclei.onnx")
    assert frame("") is None and frame("64") == 64 and frame("64,32") == (64, 32)
    with pytest.raises(InputError, match="got neither"):
        file_name("nuclei", None, "", "fp32")


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

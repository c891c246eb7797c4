"""Exported models predict in a process that has no PyTorch, and find what they find beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from delineate.cli import main
from delineate.core.arrays import collate_arrays
from delineate.core.batch import InputSpec, collate
from delineate.core.errors import CheckpointError, InputError
from delineate.core.labels import Labels
from delineate.engine import checkpoint
from delineate.models.zoo import build
from delineate.runtime import session as module
from delineate.runtime.graphs import graph_of
from delineate.runtime.manifest import Manifest
from delineate.runtime.session import Session

ROOT = Path(__file__).parents[2]
TINY = {"backbone": "test_resnet"}
STUFF = Labels(("a", "b", "sky", "road"), things=(True, True, False, False))
BLOCKED = """
import contextlib, io, json, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "timm"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.split(".")[0])

sys.meta_path.insert(0, Blocked())
from delineate.cli import main

for command in json.load(sys.stdin):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = main(command)
    print(json.dumps([code, said.getvalue()]))
"""


def picture(seed: int, height: int = 96, width: int = 112) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
    for _ in range(6):
        y, x, tall, wide = *rng.integers(0, (height - 20, width - 20)), *rng.integers(12, 40, 2)
        image[y : y + tall, x : x + wide] = rng.integers(90, 255, 3)
    return image


def test_commands_run_or_say_in_one_line_that_they_cannot(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs the extra export")
    torch.manual_seed(0)
    model = build("center_offset", channels=[8, 8], grouping={"foreground": 0.02, "min_area": 4})
    with torch.no_grad():
        model.eval()
        for layer in model.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.train().momentum = None
        model(collate([picture(0), picture(1)], model.input).images)
    weights = checkpoint.save(tmp_path / "m.safetensors", model.eval(), record={})
    graph, image = tmp_path / "m.onnx", tmp_path / "a.png"
    Image.fromarray(picture(2)).save(image)
    assert main(["export", str(weights), str(graph), "--dynamic", "--quiet"]) == 0

    def predicting(file: Path, out: str) -> list[str]:
        given = ["--weights", str(file), "--confidence", "0.1", "--out", str(tmp_path / out)]
        return ["predict", str(image), *given, "--save", "coco,labels,overlay", "--quiet"]

    commands = [
        predicting(graph, "without"),
        ["measure", str(image), "--model", str(graph), "--out", str(tmp_path / "measured")],
        ["predict", str(image), "--out", str(tmp_path / "n")],
        ["train", "--data", str(tmp_path), "--model", "center_offset"],
        ["export", "nuclei", str(tmp_path / "n.onnx")],
    ]
    run = subprocess.run(
        [sys.executable, "-c", BLOCKED], input=json.dumps(commands), capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    told = [json.loads(line) for line in run.stdout.splitlines()]
    assert [code for code, _ in told] == [0, 0, 2, 2, 2], told
    for _, said in told[2:]:
        assert "PyTorch" in said and said.count("\n") == 1
    assert main(predicting(weights, "with")) == 0
    found = [json.loads((tmp_path / out / "predictions.json").read_text()) for out in ("with", "without")]
    assert len(found[0]["annotations"]) > 3
    for ours, theirs in zip(*(one["annotations"] for one in found), strict=True):
        assert ours.pop("score") == pytest.approx(theirs.pop("score"), abs=1e-5)
        assert ours == theirs


def through(model: Any, monkeypatch: pytest.MonkeyPatch, folder: Path, size: tuple[int, int]) -> Session:
    """A session whose graph PyTorch computes: what is compared is what comes after the graph."""
    graph = graph_of(model)
    manifest = Manifest(
        model.family, {}, model.classes, model.input, size, False, graph.outputs,
        inputs=graph.inputs, result=graph.result,
    )  # fmt: skip

    class Computed:
        def __init__(self, path: Path, threads: int | None) -> None:
            self.manifest = manifest.to_json()

        def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
            with torch.inference_mode():
                return [part.numpy() for part in graph(*map(torch.from_numpy, inputs))]

    monkeypatch.setitem(module.RUNTIMES, "onnxruntime", Computed)
    (folder / "a.onnx").touch()
    return Session(folder / "a.onnx")


@pytest.mark.parametrize("original", [(96, 128), (80, 90), (200, 260)])
def test_classes_of_pixels_are_those_of_tensors(
    original: tuple[int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    spec = InputSpec(shortest_edge=96, longest_edge=128)
    model = build("semantic_fpn", classes=STUFF, input=spec, channels=16, width=16, **TINY).eval()
    session = through(model, monkeypatch, tmp_path, (96, 128))
    image = picture(1, *original)
    for part in session.batches(collate([image], spec)):  # padded as the graph is
        wanted = model.semantic(model(torch.from_numpy(part.images)), part)[0]  # type: ignore[arg-type]
    found = session.find_semantic([image])[0]
    assert (found.map == wanted.map).mean() > 0.999 and len(np.unique(found.map)) > 1
    with pytest.raises(InputError, match="does semantic alone"):
        session.find_instances([image])


def test_segments_of_queries_are_those_of_tensors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch.manual_seed(3)
    model: Any = build(
        "mask2former", classes=STUFF, input=InputSpec(shortest_edge=96, longest_edge=128), queries=12,
        encoder_layers=1, decoder_layers=1, channels=32, encoder_hidden=32, decoder_hidden=32,
        frozen_norms=False, **TINY,
    ).eval()  # fmt: skip
    session = through(model, monkeypatch, tmp_path, (96, 128))
    image = picture(4, 150, 200)
    (part,) = session.batches(collate([image], model.input))
    with torch.inference_mode():
        outputs = model(torch.from_numpy(part.images))
        semantic = model.semantic(outputs, part)[0]
        panoptic = model.panoptic(outputs, part, confidence=0.2, visible=0.1)[0]
        instances = model.instances(outputs, part, confidence=0.01)[0]
    assert (session.find_semantic([image])[0].map == semantic.map).mean() > 0.999
    found = session.find_panoptic([image], confidence=0.2, visible=0.1)[0]
    assert found.labels.tolist() == panoptic.labels.tolist() and len(found.labels) > 0
    assert (found.map == panoptic.map).mean() > 0.999
    ours = session.find_instances([image], confidence=0.01)[0]
    assert ours.labels.tolist() == instances.labels.tolist()
    if len(ours):
        assert np.abs(ours.boxes - instances.boxes).max() < 1.01  # a pixel at the threshold


def test_inputs_are_those_of_tensors() -> None:
    specs = [InputSpec(None, None), InputSpec(150, 220), InputSpec(stretch=160, divisor=1)]
    images = [picture(5), picture(6, 70, 40)[:, :, 0], (picture(7).astype(np.uint16) * 200)]
    for spec in specs:
        wanted, found = collate(images, spec), collate_arrays(images, spec)
        assert (found.sizes, found.originals) == (wanted.sizes, wanted.originals)
        resized = spec.shortest_edge or spec.stretch
        np.testing.assert_allclose(found.images, wanted.images.numpy(), atol=2e-4 if resized else 0)


class Lying:
    """A graph that does not give what its manifest promises."""

    def __init__(self, change: dict[str, np.ndarray]) -> None:
        base = {
            "boxes": np.zeros((1, 3, 4), np.float32), "scores": np.full((1, 3), 0.9, np.float32),
            "labels": np.zeros((1, 3), np.int64), "masks": np.zeros((1, 3, 28, 28), np.float32),
        }  # fmt: skip
        self.said = {**base, **change}

    def __call__(self, *_: np.ndarray) -> list[np.ndarray]:
        return list(self.said.values())


@pytest.mark.parametrize(
    "change",
    [
        {"boxes": np.zeros((1, 2, 4), np.float32)},
        {"boxes": np.full((1, 3, 4), np.nan, np.float32)},
        {"scores": np.zeros((3,), np.float32)},
        {"masks": np.zeros((1, 2, 28, 28), np.float32)},
        {"masks": np.zeros((1, 3, 0, 28), np.float32)},
        {"more": np.zeros((1, 3))},
    ],
)
def test_graphs_that_lie_are_refused(
    change: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small = {"channels": 16, "box_width": 16, "mask_width": 16, "input": InputSpec(64, 64), **TINY}
    model = build("mask_rcnn", classes=Labels(("a", "b")), **small)
    session = through(model, monkeypatch, tmp_path, (64, 64))
    session.runner = Lying({"labels": np.full((1, 3), 99)})  # no class of ours: no objects
    assert len(session.find_instances([picture(1, 64, 64)])[0]) == 0
    session.runner = Lying(change)
    with pytest.raises(CheckpointError, match="export it again"):
        session.find_instances([picture(1, 64, 64)])


def test_the_wheel_without_torch_holds_all_but_weights() -> None:
    text = (ROOT / "packaging/runtime/pyproject.toml").read_text()
    settings = tomllib.loads(text)
    held = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    inside = (ROOT / "src/delineate").iterdir()
    here = {entry.name for entry in inside if entry.name != "__pycache__" and entry.name[0] != "."}
    assert {Path(name).name for name in held} - {"LICENSE"} == here - {"weights"}
    ours = set(settings["project"]["dependencies"])
    full = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert ours <= set(full["dependencies"]) | set(full["optional-dependencies"]["runtime"])
    assert not any(name.startswith(("torch", "timm", "safetensors")) for name in ours)
    for extra, wanted in settings["project"]["optional-dependencies"].items():
        assert set(wanted) <= set(
            full["optional-dependencies"].get(extra, full["optional-dependencies"]["runtime"])
        )

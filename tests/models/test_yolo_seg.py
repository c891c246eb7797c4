"""The YOLO-like segmenter: shapes, settings, detections at original size."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from delineate.core.batch import Batch, InputSpec, collate
from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.engine.checkpoint import save
from delineate.engine.config import read_recipe
from delineate.engine.load import load
from delineate.engine.predict import predict
from delineate.models.yolo_seg import Chosen, Dense, YoloSeg, yolo_seg
from delineate.models.zoo import build

TWO = Labels(("cell", "debris"))
OWN_SIZE = InputSpec(None, None, mean=(0, 0, 0), std=(1, 1, 1))
RECIPES = Path(__file__).parents[2] / "recipes"


def tiny(**settings: object) -> YoloSeg:
    torch.manual_seed(0)
    return yolo_seg(**{"classes": TWO, "input": OWN_SIZE, **settings}).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "millions"), [("n", 2.40), ("s", 8.86), ("m", 16.37), ("l", 26.12)])
def test_sizes(size: str, millions: float) -> None:
    model = build(f"yolo_seg_{size}")
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)
    assert model.family == f"yolo_seg_{size}" and len(model.classes) == 80
    assert (model.input.shortest_edge, model.input.longest_edge) == (640, 640)


@pytest.mark.parametrize(
    ("settings", "points", "channels", "grid"),
    [
        ({}, 126, 38, (16, 24)),
        ({"ellipse": False, "prototypes": 8, "bins": 1}, 126, 8, (16, 24)),
        ({"stride4": True, "prototype_stride": 2}, 510, 38, (32, 48)),
        ({"prototype_stride": 8}, 126, 38, (8, 12)),
    ],
)
def test_dense_outputs(settings: dict, points: int, channels: int, grid: tuple[int, int]) -> None:
    with torch.inference_mode():
        found = tiny(**settings)(torch.rand(2, 3, 64, 96))
    assert isinstance(found, Dense)
    shapes = [tuple(t.shape) for t in found]
    assert shapes == [(2, points, 4), (2, points, 2), (2, points, channels), (2, channels, *grid)]
    assert all(torch.isfinite(t).all() for t in found)
    assert (found.boxes[..., 2:] >= found.boxes[..., :2]).all()
    assert found.logits.sigmoid().mean() < 0.05  # before training objects are rare


def test_the_one_to_one_head_chooses_in_the_graph() -> None:
    model = tiny(nms_free=True, limits={"max_det": 7})
    images = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        found = model(images)
        model.inference = "one_to_many"
        dense = model(images)
    assert isinstance(found, Chosen) and isinstance(dense, Dense)
    assert [tuple(t.shape) for t in found[:4]] == [(2, 7, 4), (2, 7), (2, 7), (2, 7, 38)]
    assert (found.scores.diff(dim=1) <= 0).all() and found.labels.max() < 2


def test_an_ellipse_alone_is_a_mask() -> None:
    model = tiny()
    for name, parameter in model.named_parameters():
        if "coefficients" in name and "bias" not in name:
            nn.init.zeros_(parameter)
    with torch.no_grad():
        for level in model.many.levels:
            level.coefficients.bias[:] = torch.tensor([0.0] * 32 + [-1, -1, 0, 0, 0, 1])
    batch = collate([np.zeros((128, 160, 3), np.uint8)], model.input)
    outputs = model(batch.images)
    found = model.instances(outputs, batch, confidence=0.0, iou=1.0, max_det=5000)[0]
    inside = found.boxes[:, 0] > 2
    inside &= (found.boxes[:, 1] > 2) & (found.boxes[:, 2] < 158) & (found.boxes[:, 3] < 126)
    whole = found[inside]
    ratio = whole.area / (whole.boxes[:, 2:] - whole.boxes[:, :2]).prod(1)
    assert len(whole) > 20
    np.testing.assert_allclose(ratio, np.pi / 4, atol=0.06)


@pytest.mark.parametrize("nms_free", [False, True])
def test_prepared_detects_the_same(nms_free: bool) -> None:
    model = tiny(nms_free=nms_free)
    generator = torch.Generator().manual_seed(0)
    for name, value in model.state_dict().items():
        if "norm." in name and value.is_floating_point():
            value.copy_(0.8 + 0.4 * torch.rand(value.shape, generator=generator))
    images = torch.rand(1, 3, 64, 64, generator=generator)
    with torch.inference_mode():
        before, ready = model(images), model.prepared()
        after = ready(images)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in ready.modules())
    scores = (lambda o: o.scores) if nms_free else (lambda o: o.logits)
    torch.testing.assert_close(scores(after), scores(before), rtol=1e-3, atol=1e-3)


def test_results_lie_on_the_original_images(caplog: pytest.LogCaptureFixture) -> None:
    model = tiny(input=InputSpec(96, 96, mean=(0, 0, 0), std=(1, 1, 1)))
    sizes = [(48, 96), (200, 120)]
    batch = collate([np.full((*s, 3), 90, np.uint8) for s in sizes], model.input)
    with caplog.at_level("WARNING", logger="delineate"):
        found = model.detect(batch, confidence=0.0, max_det=3)
    assert [f.size for f in found] == sizes and all(len(f) <= 3 for f in found)
    assert "max_det" in caplog.text
    for one in found:
        tight = one.masks.boxes
        assert (tight[:, :2] >= one.boxes[:, :2] - 0.5).all() and (
            tight[:, 2:] <= one.boxes[:, 2:] + 0.5
        ).all()


def test_nothing_found_is_empty() -> None:
    model = tiny(nms_free=True)
    batch = collate([np.zeros((40, 60), np.uint8)], model.input)
    for inference in ("one_to_one", "one_to_many"):
        model.inference = inference
        found = model.detect(batch, confidence=1.0)[0]
        assert len(found) == 0 and found.size == (40, 60) and found.masks is not None


@pytest.mark.parametrize("kind", ["box", "soft", "mask", "prototype"])
def test_every_suppression_runs(kind: str) -> None:
    model = tiny(suppression={"kind": kind})
    batch = collate([np.zeros((64, 64), np.uint8)], model.input)
    assert len(model.detect(batch, confidence=0.001, max_det=20)[0]) <= 20


def test_settings_survive_a_checkpoint(tmp_path: Path) -> None:
    model = tiny(
        size="n", stride4=True, nms_free=True, inference="one_to_many", bins=8, ellipse=False, prototypes=12,
        prototype_stride=2, suppression={"kind": "soft"}, limits={"max_det": 9}, loss={"dice": 0.0},
    )  # fmt: skip
    json.dumps(model.settings)
    again = load(weights=save(tmp_path / "m.safetensors", model, record={})).segmenter
    assert again.settings == model.settings and again.classes == TWO and again.input == model.input
    images = torch.rand(1, 3, 64, 64)
    assert torch.allclose(again.eval()(images).boxes, model(images).boxes, atol=1e-4)
    assert asdict(again.limits) == {"confidence": 0.05, "max_det": 9}


def test_large_images_are_tiled() -> None:
    model = tiny(input=InputSpec(None, None, mean=(0, 0, 0), std=(1, 1, 1), tile=64, overlap=16))
    found = predict(model, np.zeros((100, 150, 3), np.uint8), confidence=0.99)
    assert found.size == (100, 150)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"size": "x"}, "size"),
        ({"inference": "one_to_one"}, "nms_free"),
        ({"prototype_stride": 3}, "prototype_stride"),
        ({"bins": 0}, "bins"),
        ({"prototypes": 0}, "prototypes"),
        ({"limits": {"confidence": 2}}, "confidence"),
        ({"limits": {"max_det": 0}}, "max_det"),
        ({"loss": {"box": -1}}, "box"),
        ({"suppression": {"kind": "wish"}}, "kind"),
        ({"suppression": {"kindness": 1}}, "kindness"),
    ],
)
def test_settings_that_are_refused(settings: dict, told: str) -> None:
    with pytest.raises(InputError, match=told):
        yolo_seg(classes=TWO, **settings)


@pytest.mark.parametrize("name", ["yolo_seg.toml", "yolo_seg_nuclei.toml"])
def test_recipes_build(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELINEATE_DATA", "data")
    recipe = read_recipe(RECIPES / name)
    model = build(recipe.model.name, **{"classes": TWO, **recipe.model.settings})
    assert isinstance(model, YoloSeg)
    json.dumps(recipe.to_dict())


def test_batches_need_no_targets_to_detect() -> None:
    model = tiny()
    with pytest.raises(InputError, match="targets"):
        model.losses(Batch(torch.zeros(1, 3, 32, 32), [(32, 32)], [(32, 32)]))

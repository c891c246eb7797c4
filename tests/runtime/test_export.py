"""Exported models do what their models do, and say so; what cannot be exported is refused in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import delineate as dl
from delineate.cli import main
from delineate.core.batch import InputSpec, collate
from delineate.core.errors import CheckpointError, DelineateError, InputError, MissingDependencyError
from delineate.core.labels import Labels
from delineate.engine import checkpoint
from delineate.engine.predict import predict
from delineate.models.base import Segmenter
from delineate.models.zoo import build
from delineate.runtime.export import export
from delineate.runtime.manifest import KEY, Manifest, weights_hash
from delineate.runtime.parity import Parity, compare
from delineate.runtime.session import Session

onnx = pytest.importorskip("onnx", reason="needs the extra export")
CLASSES = Labels(("round", "long"))


def network(family: str, **settings: object) -> Segmenter:
    torch.manual_seed(0)
    model = build(family, classes=CLASSES, **settings)
    with torch.no_grad():  # statistics of real activations, so that outputs differ from place to place
        for layer in model.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = None
        model.train()(torch.rand(2, 3, 64, 64))
        for name, tensor in model.named_parameters():
            if name.endswith("logits.weight"):
                tensor /= 10  # scores of exactly 1 would have no order
            if name == "head.bias":
                tensor[: len(CLASSES)] += 9  # objects everywhere
    return model.eval()


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def voting() -> Segmenter:
    return network("center_offset", channels=[8, 8])


@pytest.fixture(scope="session")
def one_stage() -> Segmenter:
    return network("yolo_seg_n", image_size=96, nms_free=True)


@pytest.fixture(scope="session")
def voting_onnx(voting: Segmenter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(voting, tmp_path_factory.mktemp("voting") / "voting.onnx", dynamic=True, licence="CC0-1.0")


@pytest.fixture(scope="session")
def one_stage_xml(one_stage: Segmenter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(one_stage, tmp_path_factory.mktemp("one") / "one.xml", to="openvino")


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_dynamic_sizes_give_the_same_outputs_and_objects(
    voting: Segmenter, voting_onnx: Path, runtime: str
) -> None:
    session = Session(voting_onnx, runtime, threads=1)
    images = [picture(*size) for size in [(64, 64), (50, 90), (8, 8)]]
    parity = compare(voting, session, images, confidence=0.3)
    assert parity.objects > 0
    parity.check("test")
    together = session.detect(collate(images, session.input), confidence=0.3)
    assert [r.size for r in together] == [(64, 64), (50, 90), (8, 8)]


def test_sessions_tell_the_surroundings_they_look_at(
    voting: Segmenter, voting_onnx: Path, one_stage_xml: Path
) -> None:
    assert Session(voting_onnx, threads=1).context == voting.context is not None
    assert Session(one_stage_xml, threads=1).context is None


def test_a_one_to_one_head_ends_in_detections(one_stage: Segmenter, one_stage_xml: Path) -> None:
    session = Session(one_stage_xml, threads=1)
    images = [picture(96, 96), picture(96, 96, seed=1)]  # smaller ones are padded to the graph's size
    parity = compare(one_stage, session, images, confidence=0.0)
    assert parity.objects > 20
    parity.check("test")
    outputs = session(np.zeros((1, 3, 96, 96), np.float32))
    assert list(outputs)[:3] == ["boxes", "scores", "labels"]
    assert outputs["boxes"].shape == (1, outputs["scores"].shape[1], 4)


def test_batches_of_one_size_go_in_together(one_stage: Segmenter, tmp_path: Path) -> None:
    path = export(one_stage, tmp_path / "many.onnx", batches=True)
    images = [picture(96, 96, seed) for seed in range(3)]
    for runtime in ("onnxruntime", "openvino"):
        session = Session(path, runtime, threads=1)
        assert session.manifest.batches and not session.manifest.dynamic
        batch = collate(images, session.input)
        assert [len(part) for part in session.batches(batch)] == [3]
        for ours, theirs in zip(session.detect(batch), one_stage.detect(batch), strict=True):
            assert len(ours) == len(theirs) > 0
            np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-4)
        assert session(np.zeros((2, 3, 96, 96), np.float32))["boxes"].shape[0] == 2
        with pytest.raises(InputError, match=r"\(2, 3, 96, 96\)"):
            session(np.zeros((2, 3, 64, 96), np.float32))


def test_any_size_is_refused_where_one_graph_cannot_take_it(one_stage: Segmenter, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'yolo_seg_n'.*--batches"):
        export(one_stage, tmp_path / "a.onnx", dynamic=True)


def test_stages_are_told(voting: Segmenter, tmp_path: Path) -> None:
    told: list[str] = []
    export(voting, tmp_path / "a.onnx", size=32, stage=told.append)
    assert told == ["tracing the network", "writing the graph as ONNX"]


def test_what_was_found_outlives_the_next_call(one_stage_xml: Path) -> None:
    session = Session(one_stage_xml, threads=1)
    before = session.find_instances([picture(96, 96)], confidence=0.0)[0]
    boxes, area = before.boxes.copy(), before.area.copy()
    session.find_instances([picture(96, 96, seed=1)], confidence=0.0)
    assert np.array_equal(before.boxes, boxes) and np.array_equal(before.area, area)


def test_sessions_predict_in_tiles_and_by_name(voting: Segmenter, voting_onnx: Path) -> None:
    image = picture(70, 150)
    session = Session(voting_onnx, threads=1)
    wanted = predict(voting, image, confidence=0.3, tile=64)
    found = predict(session, image, confidence=0.3, tile=64)
    assert len(found) == len(wanted) > 0
    model = dl.load(weights=voting_onnx)
    assert (model.name, model.licence, model.classes) == ("center_offset", "CC0-1.0", CLASSES)
    assert len(model.predict(image, confidence=0.3, tile=64)) == len(wanted)
    with pytest.raises(CheckpointError, match="got none"):
        model.save(voting_onnx.with_suffix(".safetensors"))
    with pytest.raises(CheckpointError, match="exported graph"):
        _ = model.network


def test_the_manifest_tells_all(one_stage: Segmenter, one_stage_xml: Path) -> None:
    manifest = Session(one_stage_xml).manifest
    assert manifest.family == "yolo_seg_n" and manifest.classes == CLASSES and manifest.size == (96, 96)
    assert manifest.weights == weights_hash(one_stage) != weights_hash(network("yolo_seg_n"))
    assert manifest.settings == one_stage.settings and manifest.input == one_stage.input
    assert Manifest.from_json(manifest.to_json(), "here") == manifest


def test_only_what_fits_goes_in(one_stage_xml: Path) -> None:
    session = Session(one_stage_xml)
    with pytest.raises(InputError, match="use find_instances"):
        session(np.zeros((2, 3, 96, 96), np.float32))
    large = collate([picture(128, 128)], InputSpec(None, None))
    with pytest.raises(InputError, match="at most 96 x 96"):
        session.detect(large)


@pytest.mark.parametrize(
    ("name", "settings", "match"),
    [
        ("a.pt", {}, "'onnx', 'openvino'"),
        ("a.onnx", {"to": "openvino"}, "ends in .xml"),
        ("a.onnx", {"size": 33}, "multiples of 4"),
        ("a.onnx", {"size": (64, 0)}, "multiples of 4"),
    ],
)
def test_wrong_settings_are_refused(
    voting: Segmenter, tmp_path: Path, name: str, settings: dict, match: str
) -> None:
    with pytest.raises(InputError, match=match):
        export(voting, tmp_path / name, **settings)
    assert not list(tmp_path.iterdir())


def test_what_is_no_fixed_graph_is_refused_in_one_line(tmp_path: Path) -> None:
    model = build("yolo_seg_n", classes=CLASSES, image_size=64, suppression={"kind": "soft"})
    with pytest.raises(InputError, match="got 'soft'") as told:
        export(model, tmp_path / "a.onnx", size=64)
    assert "\n" not in str(told.value) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no graph", b"<net></net>"])
@pytest.mark.parametrize("ending", [".onnx", ".xml"])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="export it again"):
        Session(path)
    with pytest.raises(CheckpointError, match="no such file"):
        Session(tmp_path / f"none{ending}")


def test_graphs_of_others_and_changed_manifests_are_refused(voting_onnx: Path, tmp_path: Path) -> None:
    graph = onnx.load(str(voting_onnx))
    own = {p.key: p.value for p in graph.metadata_props}[KEY]
    changes = [None, "[]", "{", own.replace('"kind": "maps"', '"kind": "network"')]
    changes += [own.replace('"offsets"', '"x"'), own.replace('"steps"', '"x"')]
    for i, text in enumerate([*changes, own.replace('"format": 2', '"format": 99')]):
        del graph.metadata_props[:]
        if text is not None:
            entry = graph.metadata_props.add()
            entry.key, entry.value = KEY, text
        onnx.save(graph, str(tmp_path / f"{i}.onnx"))
        with pytest.raises(CheckpointError, match=r"export it again|update delineate"):
            Session(tmp_path / f"{i}.onnx")


def test_hostile_graphs_are_refused(bad_inputs: Path) -> None:
    files = sorted(bad_inputs.rglob("*.onnx"))
    if not files:
        pytest.skip("bad_inputs holds no ONNX files")
    for path in files:
        with pytest.raises(DelineateError):
            Session(path)


def test_a_missing_runtime_names_the_extra(
    voting_onnx: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, voting: Segmenter
) -> None:
    for package in ("onnxruntime", "openvino", "onnx"):
        monkeypatch.setitem(sys.modules, package, None)
    for runtime in ("onnxruntime", "openvino"):
        with pytest.raises(MissingDependencyError, match=r"delineate\[runtime\]"):
            Session(voting_onnx, runtime)
    with pytest.raises(MissingDependencyError, match=r"delineate\[export\]"):
        export(voting, tmp_path / "a.onnx", size=64)


def test_the_command_verifies_and_removes_what_differs(
    voting: Segmenter, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = checkpoint.save(tmp_path / "m.safetensors", voting, record={}, licence="CC0-1.0")
    Image.fromarray(picture(64, 64)).save(tmp_path / "a.png")
    out = tmp_path / "m.onnx"
    given = ["export", str(weights), str(out), "--size", "64", "--verify", str(tmp_path / "a.png")]
    assert main([*given, "--confidence", "0.3"]) == 0
    said = capsys.readouterr().err
    assert f"verified {out}: 1 images: outputs within" in said and "0 differ" in said
    assert (
        main(["predict", str(tmp_path / "a.png"), "--weights", str(out), "--out", str(tmp_path / "r")]) == 0
    )
    monkeypatch.setattr("delineate.runtime.parity.compare", lambda *_: Parity(1, 0.1, 5, 2))
    capsys.readouterr()
    assert main([*given, "--quiet"]) == 2
    assert "2 differ" in capsys.readouterr().err and not out.exists()


def test_wrong_usage_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "nuclei", str(tmp_path / "a.onnx"), "--size", "a"]) == 2
    assert "--size: expected" in capsys.readouterr().err


def test_parity_counts_what_only_one_has() -> None:
    with pytest.raises(InputError, match="3 differ"):
        Parity(1, 0.0, 3, 3).check("a.onnx")
    with pytest.raises(InputError, match="within"):
        Parity(1, float("inf"), 3, 0).check("a.onnx")
    Parity(1, 1e-5, 3, 0).check("a.onnx")

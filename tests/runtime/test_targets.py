"""Half and 8-bit weights, PyTorch's own graph, what TensorRT takes, the manifest beside the file."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import delineate as dl
from delineate.core.errors import DelineateError, InputError, MissingDependencyError
from delineate.core.labels import Labels
from delineate.models.base import Segmenter
from delineate.models.zoo import build
from delineate.runtime.beside import files_of
from delineate.runtime.export import export, kind_of
from delineate.runtime.half import halve
from delineate.runtime.int8 import SCOPES, chooses, nodes_of, rule_of
from delineate.runtime.parity import Parity, compare
from delineate.runtime.session import Session
from delineate.runtime.targets import tensorrt

onnx = pytest.importorskip("onnx", reason="needs the extra export")
SIDE = 64


@pytest.fixture(scope="session")
def small() -> Segmenter:
    """Votes of a small network whose scores lie on both sides of one half."""
    torch.manual_seed(0)
    return build("center_offset", classes=Labels(("round",)), channels=[8, 8]).eval()


def pictures(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for _ in range(count)]


def graph_of_one(
    op: str, inputs: list[Any], weights: list[Any] = (), opset: int = 18, **attributes: Any
) -> Any:
    """An ONNX model of one node named "it"."""
    given = [onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in inputs]
    node = onnx.helper.make_node(
        op, [*(n for n, _ in inputs), *(w.name for w in weights)], ["y"], "it", **attributes
    )
    out = onnx.helper.make_tensor_value_info("y", 1, ())
    graph = onnx.helper.make_graph(
        [node], "g", given, [out], [w for w in weights if isinstance(w, onnx.TensorProto)]
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=10)


def tensor(name: str, values: Any) -> Any:
    return onnx.numpy_helper.from_array(np.asarray(values), name)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (graph_of_one("Relu", [("x", (1, 3))]), []),
        (
            graph_of_one("GridSample", [("x", (1, 1, 4, 4)), ("g", (1, 2, 2, 2))]),
            ["GridSample (it)", "wrong"],
        ),
        (graph_of_one("NonZero", [("x", (1, 3))]), ["NonZero (it)"]),
        (graph_of_one("Relu", [("x", ("batch", 3))]), ["changes (x)"]),
        (graph_of_one("Add", [("x", (1, 2))], [tensor("w", np.zeros(2))]), ["type 11 in w"]),
        (graph_of_one("Relu", [("x", (1, 3))], opset=99), ["version 99"]),
        (graph_of_one("Add", [("x", (1, 2))], [SimpleNamespace(name="nobody")]), ["invalid", "nobody"]),
    ],
)
def test_tensorrt_is_told_what_it_takes(model: Any, told: list[str], tmp_path: Path) -> None:
    onnx.save(model, str(tmp_path / "a.onnx"))
    if not told:
        tensorrt.check(tmp_path / "a.onnx")
        return
    with pytest.raises(InputError) as refused:
        tensorrt.check(tmp_path / "a.onnx")
    assert all(part in str(refused.value) for part in told) and "\n" not in str(refused.value)


def test_half_weights_compute_the_same_in_half_the_file(tmp_path: Path) -> None:
    import onnxruntime

    rng = np.random.default_rng(0)
    weights = tensor("w", rng.normal(size=(64, 32, 3, 3)).astype(np.float32))
    onnx.save(graph_of_one("Conv", [("x", (1, 32, 8, 8))], [weights]), str(tmp_path / "a.onnx"))
    x = rng.normal(size=(1, 32, 8, 8)).astype(np.float32)

    def run() -> np.ndarray:
        return onnxruntime.InferenceSession(str(tmp_path / "a.onnx")).run(None, {"x": x})[0]

    size, before = (tmp_path / "a.onnx").stat().st_size, run()
    assert halve(tmp_path / "a.onnx") == (1, 0)
    assert (tmp_path / "a.onnx").stat().st_size < 0.51 * size
    np.testing.assert_allclose(run(), before, atol=2e-3 * np.abs(before).max())


@pytest.mark.parametrize("values", [np.full(100, 1e5), np.r_[1e-9, np.full(99, 1e-9)], np.ones(3)])
def test_what_float16_cannot_hold_stays_float32(tmp_path: Path, values: np.ndarray) -> None:
    weights = tensor("w", values.astype(np.float32))
    onnx.save(graph_of_one("Add", [("x", values.shape)], [weights]), str(tmp_path / "a.onnx"))
    assert halve(tmp_path / "a.onnx") == (0, 1)
    assert onnx.load(str(tmp_path / "a.onnx")).graph.initializer[0].data_type == onnx.TensorProto.FLOAT


def test_choosing_comes_after_the_last_weights() -> None:
    after = {"conv": ["add", "top"], "add": ["conv2"], "conv2": ["nms"], "top": ["nms"], "nms": []}
    assert chooses(after, {"conv", "conv2"}) == {"top", "nms"}
    assert chooses({}, set()) == set()


def test_nodes_are_found_by_the_module_they_were_traced_in(tmp_path: Path) -> None:
    model = graph_of_one("Relu", [("x", (1, 3))])
    nodes = {"a": ["", "model", "model.head.0", "model.head.0.last"], "b": ["", "model.headless.0.last"]}
    for name, scopes in nodes.items():
        node = model.graph.node.add()
        node.CopyFrom(model.graph.node[0])
        node.name = name
        entry = node.metadata_props.add()
        entry.key, entry.value = SCOPES, repr(scopes)
    onnx.save(model, str(tmp_path / "a.onnx"))
    for modules in (["head"], ["head.*.last"], ["head.0"]):
        assert nodes_of(tmp_path / "a.onnx", modules) == {"a"}
    assert nodes_of(tmp_path / "a.onnx", []) == set()
    with pytest.raises(InputError, match="none of tail"):
        nodes_of(tmp_path / "a.onnx", ["head", "tail"])


def test_a_traced_graph_comes_back_and_only_for_those_who_trust_it(small: Segmenter, tmp_path: Path) -> None:
    path = export(small, tmp_path / "a.pt2", size=SIDE, licence="CC0-1.0")
    parity = compare(small, Session(path, "torch.export"), pictures(2))
    parity.check("test")
    assert parity.outputs is not None
    with pytest.raises(DelineateError) as refused:
        dl.load(weights=path)
    assert "\n" not in str(refused.value)
    content = path.read_bytes()
    plain = json.loads((tmp_path / "a.pt2.json").read_text())
    told = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert plain["files"] == {"a.pt2": told} and plain["licence"] == "CC0-1.0"
    assert plain["classes"]["names"] == ["round"] and plain["input"]["mean"] and plain["made_with"]["torch"]
    assert sorted(files_of(path)) == sorted(tmp_path.iterdir())


def test_eight_bits_come_near(small: Segmenter, tmp_path: Path) -> None:
    pytest.importorskip("nncf", reason="needs the extra int8")
    seen: list[int] = []
    for name in ("a.onnx", "a.xml"):
        path = export(
            small, tmp_path / name, size=SIDE, precision="int8", calibration=pictures(4),
            progress=lambda: seen.append(1),
        )  # fmt: skip
        session = Session(path, threads=1)
        parity = compare(small, session, pictures(2))
        assert session.manifest.precision == "int8"
        assert parity.outputs is not None and 0 < parity.outputs < 0.2
        assert len(seen) >= 4
        plain = json.loads((tmp_path / f"{name}.json").read_text())
        assert plain["precision"] == "int8" and set(plain["files"]) == {
            name,
            *(["a.bin"] if "xml" in name else []),
        }


def test_what_masks_are_sums_of_stays_float32(tmp_path: Path) -> None:
    model = build("yolo_seg_n", classes=Labels(("round",)), image_size=SIDE).eval()
    path = export(model, tmp_path / "a.onnx", precision="int8", calibration=pictures(2))
    held = {t.name: t.data_type for t in onnx.load(str(path)).graph.initializer}
    floats = {name for name, kind in held.items() if kind == onnx.TensorProto.FLOAT}
    for name in (
        "prototypes.last",
        "prototypes.refine.conv",
        "many.levels.0.logits",
        "many.levels.1.distances",
    ):
        assert f"model.{name}.weight" in floats
    assert "model.backbone.stem.conv.weight" not in floats
    assert rule_of(build("center_offset", channels=[8, 8])).exact == ()


@pytest.mark.parametrize(
    ("name", "settings", "match"),
    [
        ("a.onnx", {"precision": "int8"}, "--calibrate"),
        ("a.onnx", {"precision": "int4"}, "fp32, fp16, int8"),
        ("a.pt2", {"precision": "fp16"}, "fp32 for torch.export"),
        ("a.onnx", {"to": "tensorrt-ready", "dynamic": True}, "choose a --size"),
        ("a.onnx", {"to": "torchscript"}, "'onnx', 'openvino', 'torch.export' or 'tensorrt-ready'"),
        ("a.xml", {"to": "tensorrt-ready"}, "ends in .onnx"),
    ],
)
def test_what_does_not_go_together_is_refused(
    small: Segmenter, tmp_path: Path, name: str, settings: dict[str, Any], match: str
) -> None:
    with pytest.raises(InputError, match=match):
        export(small, tmp_path / name, **settings)
    assert not list(tmp_path.iterdir())


def test_targets_by_name() -> None:
    kinds = [kind_of(Path(name), None) for name in ("a.onnx", "a.xml", "a.pt2")]
    assert kinds == ["onnx", "openvino", "torch.export"]


def test_missing_quantisers_name_their_extra(
    small: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from delineate.runtime.int8 import quantise, quantised

    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(MissingDependencyError, match=r"delineate\[int8\]"):
        quantised(None, [])  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"delineate\[export\]"):
        quantise(tmp_path / "a.onnx", [])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parity", "precision", "match"),
    [
        (Parity(1, None, 10, 4, 10, 10), "int8", ""),
        (Parity(1, 0.5, 10, 4, 10, 8), "int8", "20.0%"),
        (Parity(1, None, 10, 0, 10, 10), "fp32", ""),
        (Parity(1, None, 10, 1, 10, 10), "fp32", "1 differ"),
        (Parity(16, None, 1600, 16, 1600, 1600), "fp32", ""),
        (Parity(16, None, 1600, 17, 1600, 1600), "fp32", "at most 0.5%"),
        (Parity(1, None, 0, 0), "fp32", "nothing was compared"),
        (Parity(1, 1e-6, 0, 0), "int8", "nothing was compared"),
        (Parity(1, 1e-6, 0, 0), "fp32", ""),
        (Parity(1, None, 0, 0, pixels=0.2), "fp16", "20.0%"),
        (Parity(1, None, 0, 0, pixels=0.2), "fp32", "20.00%"),
    ],
)
def test_each_precision_has_its_measure(parity: Parity, precision: str, match: str) -> None:
    tolerance = {"fp32": 1e-4, "fp16": 0.01, "int8": 0.1}[precision]
    if not match:
        parity.check("a", tolerance, precision)
        return
    with pytest.raises(InputError, match=match):
        parity.check("a", tolerance, precision)
    assert all(value for _, value in parity.rows())

"""What TensorRT takes: operators, kinds of numbers, settings; and a value clipped twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from delineate.runtime.targets import onnx as target
from delineate.runtime.targets import tensorrt
from delineate.runtime.targets.tensorrt_operators import OPERATORS, REFUSED

onnx = pytest.importorskip("onnx", reason="needs the extra export")
FLOAT, DOUBLE, WHOLE, TRUTH = 1, 11, 7, 9


def model_of(op: str, given: dict[str, tuple[int, list[int]]], held: dict[str, Any], **how: Any) -> Any:
    """An ONNX model of one node named "it"."""
    inputs = [onnx.helper.make_tensor_value_info(name, *what) for name, what in given.items()]
    tensors = [onnx.numpy_helper.from_array(np.asarray(values), name) for name, values in held.items()]
    outputs = how.pop("outputs", ["y"])
    node = onnx.helper.make_node(op, [*given, *held], outputs, "it", **how)
    known = [onnx.helper.make_tensor_value_info(name, how.get("to", FLOAT), [1]) for name in outputs]
    graph = onnx.helper.make_graph([node], "g", inputs, known, tensors)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)


IMAGE = {"x": (FLOAT, [1, 3, 8, 8])}
ROW = {"x": (FLOAT, [1, 9000])}
SIZES = {"r": np.zeros(0, np.float32), "s": np.ones(4, np.float32)}


@pytest.mark.parametrize(
    ("op", "given", "held", "how", "told"),
    [
        ("Relu", ROW, {}, {}, ""),
        ("Clip", ROW, {"low": np.float32(0)}, {}, ""),
        ("Clip", {"x": (WHOLE, [3])}, {"low": np.int64(0)}, {}, "of int64"),
        ("ReduceMax", {"x": (TRUTH, [3, 4])}, {"axes": [1]}, {}, "of bool"),
        ("Where", {"c": (TRUTH, [3]), "a": (WHOLE, [3]), "b": (WHOLE, [3])}, {}, {}, ""),
        ("Where", {"c": (TRUTH, [3]), "a": (DOUBLE, [3]), "b": (DOUBLE, [3])}, {}, {}, "of type 11"),
        ("Unique", ROW, {}, {}, "no such operator"),
        ("BitShift", {"x": (WHOLE, [3]), "n": (WHOLE, [3])}, {}, {"direction": "LEFT"}, "no such operator"),
        ("Relu", ROW, {}, {"domain": "com.mine"}, "no operators of com.mine"),
        ("TopK", ROW, {"k": [3839]}, {"outputs": ["y", "i"]}, ""),
        ("TopK", ROW, {"k": [3840]}, {"outputs": ["y", "i"]}, "K is 3840"),
        ("TopK", {**ROW, "k": (WHOLE, [1])}, {}, {"outputs": ["y", "i"]}, "K is no constant"),
        ("TopK", ROW, {"k": [5]}, {"outputs": ["y", "i"], "sorted": 0}, "does not sort"),
        ("ReduceMax", ROW, {"axes": [1]}, {}, ""),
        ("ReduceMax", {**ROW, "axes": (WHOLE, [1])}, {}, {}, "axes are no constant"),
        ("Unsqueeze", {**ROW, "axes": (WHOLE, [1])}, {}, {}, "axes are no constant"),
        ("Resize", IMAGE, SIZES, {"mode": "linear"}, ""),
        ("Resize", IMAGE, SIZES, {"mode": "cubic"}, "mode is cubic"),
        ("Resize", IMAGE, SIZES, {"mode": "linear", "antialias": 1}, "smooths"),
        ("Resize", IMAGE, SIZES, {"coordinate_transformation_mode": "tf_crop_and_resize"}, "places is tf"),
        ("MaxPool", IMAGE, {}, {"kernel_shape": [2, 2], "outputs": ["y", "i"]}, "indices"),
        ("MaxPool", IMAGE, {}, {"kernel_shape": [2, 2], "dilations": [2, 2]}, "lie apart"),
        ("ScatterND", IMAGE, {"at": [[0]], "v": np.zeros((1, 3, 8, 8), np.float32)}, {}, ""),
        (
            "ScatterND", IMAGE, {"at": [[0]], "v": np.zeros((1, 3, 8, 8), np.float32)}, {"reduction": "add"},
            "adds to what is there",
        ),
        ("LayerNormalization", IMAGE, {"w": np.ones(8, np.float32)}, {"outputs": ["y", "m"]}, "first output"),
    ],
)  # fmt: skip
def test_each_node_is_held_against_the_published_table(
    op: str, given: dict[str, Any], held: dict[str, Any], how: dict[str, Any], told: str
) -> None:
    found = tensorrt.faults(model_of(op, given, held, **how))
    assert [told in text and f"{op} (it)" in text for text in found] == ([True] if told else [])


def test_what_is_refused_is_no_operator_that_is_taken() -> None:
    assert not set(REFUSED) & set(OPERATORS)
    assert {"Clip", "RoiAlign", "TopK", "Gather"} <= set(OPERATORS)


class Clipped(torch.nn.Module):
    """One value within two pairs of limits."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = x.floor()
        return places.clamp(0, 3) + 10 * places.clamp(-1, 5)


def test_a_value_clipped_twice_keeps_both_pairs_of_limits(tmp_path: Path) -> None:
    import onnxruntime

    x = torch.linspace(-4, 8, 25)
    program = torch.export.export(Clipped(), (x,))
    target.write(program, tmp_path / "a.onnx", ["x"], ["y"])
    session = onnxruntime.InferenceSession(str(tmp_path / "a.onnx"))
    np.testing.assert_array_equal(session.run(None, {"x": x.numpy()})[0], Clipped()(x).numpy())

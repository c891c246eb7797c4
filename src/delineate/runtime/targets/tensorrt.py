"""Whether TensorRT can be trusted with an ONNX file: its operators, its shapes, its version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from delineate.core.errors import InputError, MissingDependencyError

from .tensorrt_operators import OPERATORS, OPSETS, REFUSED, SOURCE, restricted

TYPES = {
    1: "float32",
    7: "int64",
    6: "int32",
    9: "bool",
    10: "float16",
    3: "int8",
    2: "uint8",
    16: "bfloat16",
}
"""Numbers of ONNX's types that TensorRT has; double and the unsigned wide ones are not among them."""


def check(path: Path) -> None:
    """Refuse a graph that TensorRT does not run, or runs wrong.

    Args:
        path: an ONNX file.

    Raises:
        InputError: an operator, a type, a version or a changing shape; the message names the node.
        MissingDependencyError: onnx is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise MissingDependencyError(
            "export: expected onnx, got none; pip install 'delineate[export]'"
        ) from None
    graph = onnx.load(str(path), load_external_data=False)
    told = faults(graph)
    try:
        onnx.checker.check_model(graph)
    except onnx.checker.ValidationError as error:
        told.append(f"an invalid one ({' '.join(str(error).split())[:160]})")
    if told:
        more = f", and {len(told) - 1} more" if len(told) > 1 else ""
        raise InputError(
            f"{path}: expected a graph that TensorRT runs right, got {told[0]}{more}; "
            "use --to onnx, or another model"
        )


def faults(graph: Any) -> list[str]:
    """What makes an ONNX model unfit, one text each; empty where nothing does."""
    told = [
        f"operators of {entry.domain or 'ONNX'} version {entry.version}"
        for entry in graph.opset_import
        if entry.domain not in ("", "ai.onnx") or entry.version not in OPSETS
    ]
    constants = _constants(graph)
    types = _types(graph)
    told += [
        f"the operator {node.op_type} ({node.name or 'unnamed'}): {reason}"
        for node in graph.graph.node
        if (reason := _refused(node, types, constants))
    ]
    told += [
        f"numbers of ONNX's type {tensor.data_type} in {tensor.name}"
        for tensor in graph.graph.initializer
        if tensor.data_type not in TYPES
    ]
    for value in (*graph.graph.input, *graph.graph.output):
        sides = value.type.tensor_type.shape.dim
        if any(not side.HasField("dim_value") for side in sides):
            told.append(f"a shape that changes ({value.name}); export without --dynamic")
    return told


def _refused(node: Any, types: dict[str, int], constants: dict[str, Any]) -> str:
    """Why TensorRT does not take a node, or takes it wrong; empty where neither is known."""
    import onnx

    name = node.op_type
    if node.domain not in ("", "ai.onnx"):
        return f"TensorRT has no operators of {node.domain}"
    if name in REFUSED:
        return REFUSED[name]
    if name not in OPERATORS:
        return f"TensorRT has no such operator ({SOURCE})"
    found = types.get(_telling(node))
    if found is not None and found not in OPERATORS[name]:
        return f"TensorRT does not take it of {TYPES.get(found, f'type {found}')} ({SOURCE})"
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    return restricted(node, attributes, constants)


def _telling(node: Any) -> str:
    """The value whose type says what kind of numbers a node works on."""
    if node.op_type == "Where":
        return str(node.input[1])
    return str(node.output[0] if node.op_type in ("Constant", "ConstantOfShape", "OneHot") else node.input[0])


def _types(graph: Any) -> dict[str, int]:
    """Of each value whose type is known its number in ONNX."""
    import onnx

    try:
        inner = onnx.shape_inference.infer_shapes(graph).graph
    except onnx.shape_inference.InferenceError:  # an operator of nobody knows where, which is told anyway
        inner = graph.graph
    values = (*inner.input, *inner.output, *inner.value_info)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return {**types, **{tensor.name: tensor.data_type for tensor in inner.initializer}}


def _constants(graph: Any) -> dict[str, Any]:
    """Of each constant its numbers."""
    import onnx

    held = {tensor.name: tensor for tensor in graph.graph.initializer}
    for node in graph.graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            held[node.output[0]] = node.attribute[0].t
    return {name: onnx.numpy_helper.to_array(tensor) for name, tensor in held.items()}

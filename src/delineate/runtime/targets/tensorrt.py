"""Whether TensorRT can be trusted with an ONNX file: its operators, its shapes, its version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from delineate.core.errors import InputError, MissingDependencyError

OPSETS = range(9, 25)
"""Versions of ONNX's own operators that TensorRT 10 reads."""

REFUSED = {
    "GridSample": "TensorRT builds it, and its numbers are wrong without a word",
    "NonZero": "its output has a size that depends on the numbers",
    "NonMaxSuppression": "its output has a size that depends on the numbers",
    "Unique": "TensorRT has no such operator",
    "DeformConv": "TensorRT has no such operator",
    "Loop": "its shapes are not fixed",
    "Scan": "its shapes are not fixed",
    "If": "its shapes are not fixed",
    "SequenceEmpty": "TensorRT has no sequences",
    "SequenceInsert": "TensorRT has no sequences",
    "SequenceAt": "TensorRT has no sequences",
    "SplitToSequence": "TensorRT has no sequences",
    "ConcatFromSequence": "TensorRT has no sequences",
    "Optional": "TensorRT has no such type",
    "RandomNormal": "TensorRT has no random numbers of this kind",
    "StringNormalizer": "TensorRT has no text",
    "Det": "TensorRT has no such operator",
    "Multinomial": "TensorRT has no such operator",
    "BitShift": "TensorRT has no such operator",
    "Bernoulli": "TensorRT has no such operator",
    "Compress": "its output has a size that depends on the numbers",
}
"""Operators that make a graph unfit, and why; from TensorRT's published operator table, and from what peers
measured."""

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
    told += [
        f"the operator {node.op_type} ({node.name or 'unnamed'}): {REFUSED[node.op_type]}"
        for node in graph.graph.node
        if node.op_type in REFUSED
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

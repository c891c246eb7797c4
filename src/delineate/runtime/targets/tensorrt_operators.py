"""What TensorRT's reader of ONNX takes: operators, kinds of numbers, and what else it asks of a node.

Source: onnx-tensorrt, ``docs/operators.md``, "Supported ONNX Operators" of TensorRT 10.15 (opsets 9 to 24).
The page of a newer TensorRT may list more: 11.5 reads opset 25 too (its release notes, November 2026).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

SOURCE = "onnx-tensorrt docs/operators.md of TensorRT 10.15"
OPSETS = range(9, 25)
"""Versions of ONNX's own operators that it reads."""

FLOATS, WHOLE, TRUTH = frozenset({1, 10, 16}), frozenset({6, 7}), frozenset({9})
"""ONNX's numbers of types: float32, float16, bfloat16; int32, int64; bool."""

_BY_KIND: dict[frozenset[int], str] = {
    FLOATS: """
        Acos Acosh Asin Asinh Atan Atanh Attention AveragePool BatchNormalization BlackmanWindow Ceil Celu
        Clip Conv ConvTranspose Cos Cosh CumSum DeformConv Dropout Einsum Elu Erf Exp Floor Gemm
        GlobalAveragePool GlobalLpPool GlobalMaxPool GroupNormalization GRU HammingWindow HannWindow
        HardSigmoid HardSwish Hardmax InstanceNormalization IsInf LayerNormalization LeakyRelu Log
        LogSoftmax LRN LSTM LpNormalization LpPool MatMul MaxPool MeanVarianceNormalization Mish
        ParametricSoftplus PRelu QuantizeLinear RandomNormal RandomNormalLike RandomUniform
        RandomUniformLike Reciprocal Resize RMSNormalization RNN RoiAlign RotaryEmbedding Round STFT
        ScaledTanh Selu Sigmoid Sin Sinh Softmax Softplus Softsign Sqrt Tan Tanh ThresholdedRelu Upsample""",
    FLOATS | WHOLE: """
        Abs Add ArgMax ArgMin DepthToSpace Div Equal Gelu Greater GreaterOrEqual IsNaN Less LessOrEqual Max
        Mean Min Mod Mul Neg Pad Pow Range ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax
        ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Scatter ScatterElements ScatterND
        Shrink Sign SpaceToDepth Sub Sum TensorScatter TopK""",
    FLOATS | WHOLE | TRUTH: """
        Concat Constant ConstantOfShape Expand EyeLike Flatten Gather GatherElements GatherND Identity
        OneHot Reshape ReverseSequence Shape Size Slice Split Squeeze Tile Transpose Trilu Unsqueeze Where""",
    FLOATS | WHOLE | TRUTH | {2}: "Cast CastLike",
    TRUTH: "And Not Or Xor",
    frozenset({3, 17, 22, 23}): "DequantizeLinear",
}  # fmt: skip
OPERATORS: dict[str, frozenset[int]] = {
    name: types for types, names in _BY_KIND.items() for name in names.split()
}
"""Of each operator that it takes the types of its numbers."""

REFUSED = {
    "GridSample": "its numbers are wrong without a word (NVIDIA/TensorRT issues 4646, 4813)",
    "NonZero": "its output has a size that depends on the numbers",
    "NonMaxSuppression": "its output has a size that depends on the numbers",
    "Loop": "its shapes are not fixed",
    "Scan": "its shapes are not fixed",
    "If": "its shapes are not fixed",
}
"""Operators of the table that a graph of ours may not have, and why."""

MOST_OF_TOP_K = 3839
AXES = ("CumSum", "Squeeze", "Unsqueeze")  # and all that reduce
PLACES = ("half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners")
ROUNDED = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")

Attributes = Mapping[str, Any]
Constants = Mapping[str, Any]  # of each constant's name its NumPy array


def restricted(node: Any, attributes: Attributes, constants: Constants) -> str:
    """Why TensorRT does not take a node of an operator that it takes; empty where it does.

    Args:
        node: an ONNX node.
        attributes: its own, by name, as Python values.
        constants: the graph's.
    """
    name = "Reduce" if node.op_type.startswith("Reduce") or node.op_type in AXES else node.op_type
    rule = _RULES.get(name)
    return rule(node, attributes, constants) if rule else ""


def _top_k(node: Any, attributes: Attributes, constants: Constants) -> str:
    count = constants.get(node.input[1])
    if count is None:
        return "its K is no constant"
    if int(count.reshape(-1)[0]) > MOST_OF_TOP_K:
        return f"its K is {int(count.reshape(-1)[0])}, more than {MOST_OF_TOP_K}"
    return "" if attributes.get("sorted", 1) else "it does not sort"


def _axes(node: Any, _: Attributes, constants: Constants) -> str:
    given = node.input[1] if len(node.input) > 1 else ""
    return "its axes are no constant" if given and given not in constants else ""


def _resize(_: Any, attributes: Attributes, __: Constants) -> str:
    chosen = (
        ("mode", attributes.get("mode", b"nearest"), ("nearest", "linear")),
        ("places", attributes.get("coordinate_transformation_mode", b"half_pixel"), PLACES),
        ("rounding", attributes.get("nearest_mode", b"round_prefer_floor"), ROUNDED),
        ("ratio", attributes.get("keep_aspect_ratio_policy", b"stretch"), ("stretch",)),
    )
    for what, value, known in chosen:
        if value.decode() not in known:
            return f"its {what} is {value.decode()}"
    return "it smooths what it makes smaller" if attributes.get("antialias", 0) else ""


def _pool(node: Any, attributes: Attributes, _: Constants) -> str:
    if len([name for name in node.output if name]) > 1:
        return "its indices are used"
    return "its cells lie apart" if any(step != 1 for step in attributes.get("dilations", ())) else ""


def _one_output(node: Any, _: Attributes, __: Constants) -> str:
    return "more than its first output is used" if len([name for name in node.output if name]) > 1 else ""


def _plain_scatter(_: Any, attributes: Attributes, __: Constants) -> str:
    return "it adds to what is there" if attributes.get("reduction", b"none") != b"none" else ""


_RULES: dict[str, Callable[[Any, Attributes, Constants], str]] = {
    "TopK": _top_k,
    "Reduce": _axes,
    "Resize": _resize,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "LpPool": _pool,
    "LayerNormalization": _one_output,
    "ScatterND": _plain_scatter,
}

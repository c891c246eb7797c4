"""Eight bits for the network's convolutions and products, calibrated on images.

The network alone: what chooses objects of its outputs (boxes, scores, masks from prototypes) stays float32,
since coordinates of a thousand pixels do not fit into 256 steps. See ``docs/decisions/0030``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from delineate.core.errors import InputError, MissingDependencyError

from .calibration import Feed, Feeds
from .targets.onnx import quiet

SIMPLE = {"Add", "Subtract", "Multiply", "Divide", "Sub", "Mul", "Div"}
"""Of two tensors: of four axes, images, they are computed in 8 bits; rows of boxes are not."""
IMAGE_AXES = 4


def quantised(network: Any, feeds: Feeds) -> Any:
    """OpenVINO's model with 8-bit layers, by NNCF's post-training quantisation.

    Args:
        network: OpenVINO's model, float32.
        feeds: what to measure the ranges of activations on.

    Raises:
        MissingDependencyError: nncf is not installed.
        InputError: NNCF cannot do it.
    """
    try:
        with quiet():
            import nncf
    except ImportError:
        raise MissingDependencyError(
            "export, int8: expected nncf, got none; pip install 'delineate[int8]'"
        ) from None
    nodes = {op.get_friendly_name(): op for op in network.get_ordered_ops()}
    after = {
        name: [use.get_node().get_friendly_name() for out in op.outputs() for use in out.get_target_inputs()]
        for name, op in nodes.items()
    }
    learned = {name for name, op in nodes.items() if _learned(op)}
    kept = chooses(after, learned) | {
        name
        for name, op in nodes.items()
        if op.get_type_name() in SIMPLE and op.get_output_partial_shape(0).rank.get_length() != IMAGE_AXES
    }
    with quiet():
        nncf.set_log_level(40)
        try:
            return nncf.quantize(
                network,
                nncf.Dataset(feeds),
                subset_size=len(feeds),
                preset=nncf.QuantizationPreset.MIXED,
                ignored_scope=nncf.IgnoredScope(names=sorted(kept), validate=False),
            )
        except Exception as error:  # NNCF raises whatever it likes
            raise _failed(error) from None


def quantise(path: Path, feeds: Feeds) -> None:
    """An ONNX file with 8-bit layers in QDQ form, by ONNX Runtime's static quantisation; changed in place.

    Args:
        path: of a float32 graph.
        feeds: what to measure the ranges of activations on.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
        InputError: it cannot be done.
    """
    try:
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError:
        raise MissingDependencyError(
            "export, int8: expected onnxruntime, got none; pip install 'delineate[export]'"
        ) from None

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.feeds = iter(feeds)

        def get_next(self) -> Feed | None:
            return next(self.feeds, None)

    folded = path.with_name(f"{path.stem}.folded.onnx")
    with quiet():
        try:
            quant_pre_process(str(path), str(folded), skip_symbolic_shape=True)
            quantization.quantize_static(
                str(folded),
                str(path),
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "ConvTranspose", "MatMul", "Gemm"],
                nodes_to_exclude=sorted(_unlearned(folded)),
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
        except Exception as error:  # ONNX Runtime raises whatever it likes
            raise _failed(error) from None
        finally:
            folded.unlink(missing_ok=True)


def chooses(after: Mapping[str, Sequence[str]], learned: set[str]) -> set[str]:
    """The nodes that come behind all of the network, where objects are chosen and masks are made.

    Args:
        after: for each node the nodes that use its outputs, in any order.
        learned: the nodes with weights.

    Returns:
        Nodes that have no weights, and none follow.

    Example:
        >>> sorted(chooses({"conv": ["add"], "add": ["head"], "head": ["top"], "top": []}, {"conv", "head"}))
        ['top']
    """
    before: dict[str, list[str]] = {name: [] for name in after}
    for name, users in after.items():
        for user in users:
            before.setdefault(user, []).append(name)
    network, waiting = set(learned), list(learned)
    while waiting:
        for name in before.get(waiting.pop(), ()):
            if name not in network:
                network.add(name)
                waiting.append(name)
    return set(after) - network


def _learned(op: Any) -> bool:
    """Whether a node of OpenVINO multiplies by weights."""
    if "Convolution" in op.get_type_name():
        return True
    return op.get_type_name() == "MatMul" and any(_constant(value) for value in op.input_values())


def _constant(value: Any) -> bool:
    node = value.get_node()
    while node.get_type_name() in ("Convert", "Reshape", "Transpose"):
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")


def _unlearned(path: Path) -> set[str]:
    """The products of an ONNX graph that multiply two activations."""
    import onnx

    graph = onnx.load(str(path)).graph
    weights = {tensor.name for tensor in graph.initializer}
    return {node.name for node in graph.node if node.op_type == "MatMul" and not weights & set(node.input)}


def _failed(error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(f"export, int8: expected a graph that can be quantised, got {reason}; use --half")

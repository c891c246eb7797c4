"""Eight bits for the network's convolutions and products, calibrated on images.

The network alone: what chooses objects of its outputs (boxes, scores, masks from prototypes) stays float32,
since coordinates of a thousand pixels do not fit into 256 steps. See ``docs/decisions/0030``.
"""

from __future__ import annotations

import ast
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delineate.core.errors import InputError, MissingDependencyError
from delineate.models.base import Segmenter
from delineate.models.mask_rcnn.model import FasterRCNN
from delineate.models.yolo_seg.model import YoloSeg

from .calibration import Feed, Feeds
from .targets.onnx import quiet

SIMPLE = {"Add", "Subtract", "Multiply", "Divide", "Sub", "Mul", "Div"}
"""Of two tensors: of four axes, images, they are computed in 8 bits; rows of boxes are not."""
IMAGE_AXES = 4
SCOPES = "pkg.torch.onnx.name_scopes"  # where torch's exporter notes the modules that a node was traced in


@dataclass(frozen=True)
class Rule:
    """What 8 bits need to know of a family.

    Attributes:
        exact: modules that stay float32, by their names in the network; ``*`` stands for one part of a name.
        remark: what whoever exports should know beforehand; empty: nothing.
    """

    exact: tuple[str, ...] = ()
    remark: str = ""


RULES: tuple[tuple[type[Segmenter], Rule], ...] = (
    (
        YoloSeg,  # masks are sums of prototypes, so that their rounding adds up; see docs/decisions/0030
        Rule(("prototypes", "*.levels.*.distances", "*.levels.*.coefficients", "*.levels.*.logits")),
    ),
    (
        FasterRCNN,
        Rule(
            remark="int8 of a Faster or Mask R-CNN was measured with random weights alone and lost most of "
            "their objects; --verify on your data says whether it will do, --half loses next to nothing"
        ),
    ),
)
"""By family; the others have nothing but what all have."""


def rule_of(model: Segmenter) -> Rule:
    """The rule of a model's family."""
    return next((rule for family, rule in RULES if isinstance(model, family)), Rule())


def nodes_of(path: Path, modules: Sequence[str]) -> set[str]:
    """The nodes of an ONNX file that were traced inside some modules.

    Args:
        path: as :func:`.targets.onnx.write` wrote it.
        modules: names in the network, such as ``many.levels.*.logits``.

    Raises:
        InputError: a module that left no node: the rule is of another network.
    """
    import onnx

    wanted = {name: f"model.{name}".split(".") for name in modules}
    found: dict[str, set[str]] = {name: set() for name in modules}
    for node in onnx.load(str(path), load_external_data=False).graph.node:
        noted = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "[]")
        scopes = [scope.split(".") for scope in ast.literal_eval(noted)]
        for name, parts in wanted.items():
            if any(_within(scope, parts) for scope in scopes):
                found[name].add(node.name)
    if missing := [name for name, nodes in found.items() if not nodes]:
        raise InputError(
            f"export, int8: expected modules {', '.join(modules)} in the graph, got none of {missing[0]}; "
            "use --half"
        )
    return set().union(*found.values())


def _within(scope: Sequence[str], parts: Sequence[str]) -> bool:
    return len(scope) >= len(parts) and all(
        part in ("*", name) for name, part in zip(scope, parts, strict=False)
    )


def quantised(network: Any, feeds: Feeds, exact: Collection[str] = ()) -> Any:
    """OpenVINO's model with 8-bit layers, by NNCF's post-training quantisation.

    Args:
        network: OpenVINO's model, float32.
        feeds: what to measure the ranges of activations on.
        exact: nodes of the ONNX file it was converted from, see :func:`nodes_of`, that stay float32.

    Raises:
        MissingDependencyError: nncf is not installed.
        InputError: NNCF cannot do it.
    """
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it misses CUDA, nncf does not
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
    kept |= {name for name in nodes if name.split("/")[0] in exact}  # a layer and its bias are two nodes
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


def quantise(path: Path, feeds: Feeds, exact: Collection[str] = ()) -> None:
    """An ONNX file with 8-bit layers in QDQ form, by ONNX Runtime's static quantisation; changed in place.

    Args:
        path: of a float32 graph.
        feeds: what to measure the ranges of activations on.
        exact: nodes that stay float32, see :func:`nodes_of`.

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
                nodes_to_exclude=sorted(_unlearned(folded) | {*exact}),
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

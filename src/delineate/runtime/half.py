"""Weights at half the size: float16 in the file, float32 in every sum."""

from __future__ import annotations

from pathlib import Path

import numpy as np

LIMIT = float(np.finfo(np.float16).max)  # 65504
TINY = float(np.finfo(np.float16).tiny)  # 6.1e-5: below it float16 has fewer digits
LEAST = 64  # numbers of a tensor from which on it is worth it


def halve(path: Path) -> tuple[int, int]:
    """Keep an ONNX file's float32 weights as float16, each followed by a cast back to float32.

    Runtimes fold the casts while loading, so speed is that of float32, inputs and outputs stay float32, and
    the file is half as large. What float16 cannot hold stays float32: tensors with values beyond 65504, or
    whose rounding would lose more than it does for numbers of its usual range.

    Args:
        path: the file, changed in place.

    Returns:
        How many tensors were halved, and how many float32 tensors were not.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(path))
    graph = model.graph
    done = left = 0
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < LEAST or not _fits(values):
            left += 1
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(
            onnx.helper.make_node("Cast", [tensor.name], [name], f"{name}_float", to=onnx.TensorProto.FLOAT)
        )
        done += 1
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    kept = [value for value in graph.value_info if value.name not in {n.output[0] for n in casts}]
    del graph.value_info[:]
    graph.value_info.extend(kept)
    onnx.save(model, str(path))
    return done, left


def _fits(values: np.ndarray) -> bool:
    """Whether rounding to float16 loses at most 0.1 % of the tensor's largest value, everywhere."""
    largest = float(np.abs(values).max(initial=0.0))
    if not np.isfinite(values).all() or largest > LIMIT:
        return False
    lost = np.abs(values - values.astype(np.float16).astype(np.float32)).max(initial=0.0)
    return float(lost) <= 1e-3 * largest

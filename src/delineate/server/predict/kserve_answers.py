"""What goes by KServe's protocol: tensors of N objects, as JSON or, where asked for, as bytes behind it."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .kserve_tensors import Inference
from .limits import RefusedError
from .queue import Found

OUTPUTS = {
    "image": ("INT64", [-1]),
    "boxes": ("FP32", [-1, 4]),
    "labels": ("INT64", [-1]),
    "scores": ("FP32", [-1]),
    "classes": ("BYTES", [-1]),
    "masks": ("BYTES", [-1]),
    "sizes": ("INT64", [-1, 2]),
}
"""Outputs: boxes are xyxy in pixels, masks COCO's compressed run lengths, sizes (height, width) by image."""


def wanted(given: Inference) -> dict[str, bool]:
    """The outputs that are asked for, and whether each comes as bytes.

    Raises:
        RefusedError: 400, unknown ones.
    """
    all_binary = given.parameters.get("binary_data_output") is True
    if not given.outputs:
        return dict.fromkeys(OUTPUTS, all_binary)
    if any(each.name not in OUTPUTS for each in given.outputs):
        raise RefusedError(400, f"outputs: expected some of {', '.join(OUTPUTS)}, got others; correct them")
    return {each.name: each.parameters.get("binary_data", all_binary) is True for each in given.outputs}


def written(found: list[Found], asked: dict[str, bool], head: dict[str, Any]) -> tuple[bytes, int | None]:
    """An answer's body, and the length of its JSON where bytes follow.

    Args:
        found: of each image.
        asked: see :func:`wanted`.
        head: the JSON beside its outputs.

    Raises:
        RefusedError: 422, masks of a model that finds boxes only.
    """
    values = _values(found, "masks" in asked)
    outputs: list[dict[str, Any]] = []
    tail: list[bytes] = []
    for name, binary in asked.items():
        kind, shape = OUTPUTS[name]
        rows = values[name]
        told: dict[str, Any] = {"name": name, "datatype": kind, "shape": [len(rows), *shape[1:]]}
        if binary:
            tail.append(_as_bytes(rows))
            told["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            told["data"] = rows if isinstance(rows, list) else rows.ravel().tolist()
        outputs.append(told)
    body = msgspec.json.encode({**head, "outputs": outputs})
    return b"".join([body, *tail]), len(body) if any(asked.values()) else None


def _as_bytes(rows: NDArray[Any] | list[str]) -> bytes:
    if isinstance(rows, list):
        return b"".join(struct.pack("<I", len(each)) + each for each in map(str.encode, rows))
    return rows.astype(rows.dtype.newbyteorder("<")).tobytes()


def _values(found: list[Found], with_masks: bool) -> dict[str, NDArray[Any] | list[str]]:
    """The rows of every output."""
    all_ = [each.instances for each in found]
    values: dict[str, NDArray[Any] | list[str]] = {
        "image": np.repeat(np.arange(len(all_), dtype=np.int64), [len(each) for each in all_]),
        "boxes": np.concatenate([each.boxes for each in all_]).astype(np.float32),
        "labels": np.concatenate([each.labels for each in all_]).astype(np.int64),
        "scores": np.concatenate([each.scores for each in all_]).astype(np.float32),
        "classes": [name for each in all_ for name in each.names],
        "sizes": np.array([each.size for each in all_], np.int64),
    }
    if with_masks:
        masks = [each.masks for each in all_ if each.masks is not None]
        if len(masks) < len(all_):
            raise RefusedError(422, "outputs: expected some but masks, got masks; the model finds boxes only")
        values["masks"] = [str(rle["counts"]) for each in masks for rle in each.to_rle()]
    return values

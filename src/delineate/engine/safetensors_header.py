"""A safetensors file's header, checked before anything is allocated by what it declares.

The format: 8 bytes little-endian header length, that many bytes of JSON (name -> dtype, shape, data_offsets),
then the tensors' bytes without gaps (huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import json
import math
from typing import IO, Any

from delineate.core.errors import CheckpointError

LIMIT = 100_000_000  # bytes of header, as the reference reader allows

_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip


def check_header(file: IO[bytes], size: int, where: str) -> dict[str, str]:
    """The header's own metadata, after every declared tensor was found to lie inside the file.

    Args:
        file: open for reading in binary.
        size: of the file in bytes.
        where: the file's name, for messages.

    Raises:
        CheckpointError: not safetensors, a length beyond the file, tensors that overlap, leave gaps, or whose
            shape does not fit their bytes.
    """
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size < 10 or file.read(1) != b"{":
        raise CheckpointError(
            f"{where}: expected a weights file (.safetensors, .pt), got another kind of file"
        )
    if length > min(size - 8, LIMIT):
        raise _damaged(where, f"a header of {length} bytes in a file of {size}")
    file.seek(8)
    try:
        entries = json.loads(file.read(length), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise _damaged(where, "a header that is not JSON") from None
    if not isinstance(entries, dict):
        raise _damaged(where, "a header that is not an object")
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _damaged(where, "metadata that is not text")
    _check_layout(entries, size - 8 - length, where)
    return metadata


def _check_layout(entries: dict[str, Any], space: int, where: str) -> None:
    spans = sorted((*_span(entry, name, where), name) for name, entry in entries.items())
    reached = 0
    for begin, end, name in spans:
        if begin < reached:
            raise _damaged(where, f"tensors that overlap at {name!r}")
        if begin > reached:
            raise _damaged(where, f"a gap before {name!r}")
        reached = end
    if reached != space:
        raise _damaged(where, f"{space} bytes of tensors where the header declares {reached}")


def _span(entry: Any, name: str, where: str) -> tuple[int, int]:
    """First and last byte of a tensor, whose dtype and shape fill them exactly."""
    try:
        kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (TypeError, KeyError, ValueError):
        raise _damaged(where, f"no dtype, shape and offsets for {name!r}") from None
    numbers = [*shape, begin, end] if isinstance(shape, list) else [None]
    known = isinstance(kind, str) and kind in _BITS
    if not known or not all(type(n) is int and 0 <= n < 2**63 for n in numbers) or end < begin:
        raise _damaged(where, f"an unreadable dtype, shape or offset of {name!r}")
    if math.prod(shape) * _BITS[kind] != (end - begin) * 8:
        raise _damaged(where, f"shape {shape} of {name!r} in {end - begin} bytes")
    return begin, end


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("repeated name")
    return table


def _damaged(where: str, what: str) -> CheckpointError:
    return CheckpointError(
        f"{where}: expected safetensors, got {what}; the file is damaged, download it again"
    )

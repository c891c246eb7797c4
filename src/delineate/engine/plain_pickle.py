"""Pickles that hold NumPy arrays in plain containers, as detectron2 publishes weights; nothing is executed.

A pickle is a program: it may name any function and call it. This reader knows a handful of names, each of
which stands for a few lines below, and not one of NumPy's own functions; any other name ends the reading.
Python's own unpickler in Python is used, whose memory follows the file's size; the one in C can be made to
take gigabytes by one number in the file. Bytes and arrays that the program makes may not exceed twice
the file's size, and what it names many times is turned into tensors once.
"""

from __future__ import annotations

import codecs
import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from delineate.core.errors import CheckpointError

KINDS = {f"{kind}{size}" for kind, sizes in (("f", "248"), ("i", "1248"), ("u", "1248")) for size in sizes}
DEPTH = 20  # containers within containers


class _Type:
    """Stands for ``numpy.dtype``: a number's kind, size and byte order."""

    def __init__(self, name: Any, *_: Any) -> None:
        if name not in KINDS | {"b1"}:
            raise pickle.UnpicklingError(f"an array of {name!r}")
        self.name = str(name)
        self.order = "<"

    def __setstate__(self, state: Any) -> None:
        self.order = ">" if state[1] == ">" else "<"

    def read(self, data: bytes) -> np.ndarray[Any, Any]:
        """(N,) numbers."""
        return np.frombuffer(data, np.dtype(f"{self.order}{self.name}"))


class _Array:
    """Stands for ``numpy.ndarray``: filled by its state, turned into an array afterwards."""

    def __init__(self) -> None:
        self.values = np.zeros(0, np.float32)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, columns_first, data = state
        self.values = _filled(data, kind, shape, "F" if columns_first else "C")


def _filled(data: Any, kind: Any, shape: Any, order: Any) -> np.ndarray[Any, Any]:
    if not isinstance(kind, _Type) or not isinstance(data, bytes | bytearray):
        raise pickle.UnpicklingError("an array without plain numbers")
    return kind.read(bytes(data)).reshape(tuple(int(n) for n in shape), order=str(order))  # type: ignore[call-overload, no-any-return]


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _scalar(kind: Any, data: Any = b"") -> Any:
    return _filled(data, kind, (), "C")


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any) -> np.ndarray[Any, Any]:
    return _filled(data, kind, shape, order)


def _encode(text: Any, encoding: Any) -> bytes:
    """How Python 2's bytes are written."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"an encoding of {encoding!r}")
    return codecs.encode(str(text), "latin1")


def _no_bytes() -> bytes:
    """How protocol 2 writes ``b""``."""
    return b""


_NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,
} | {
    (f"numpy.{core}.{module}", name): ours
    for core in ("core", "_core")
    for module, name, ours in (
        ("multiarray", "_reconstruct", _reconstruct),
        ("multiarray", "scalar", _scalar),
        ("numeric", "_frombuffer", _from_buffer),
    )
}


_Python: Any = pickle._Unpickler


class _Unpickler(_Python):  # type: ignore[misc]
    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        self.left = 2 * len(content)  # protocol 2 makes bytes first and an array of them then

    def spend(self, made: Any) -> None:
        """One text in the file can be asked for as bytes, or one array be copied, a million times."""
        made = made.values if isinstance(made, _Array) else made
        self.left -= len(made) if isinstance(made, bytes) else getattr(made, "nbytes", 0)
        if self.left < 0:
            raise pickle.UnpicklingError("more numbers than its own bytes hold")

    def load_reduce(self) -> None:
        """What is called makes bytes, an array, or something small."""
        super().load_reduce()
        self.spend(self.stack[-1])

    def find_class(self, module: str, name: str) -> Any:
        """Ours for the few names that arrays need."""
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return _NAMES[module, name]

    def load_build(self) -> None:
        """State is given to arrays and their types alone."""
        if not isinstance(self.stack[-2], _Array | _Type):
            raise pickle.UnpicklingError(f"a state for {type(self.stack[-2]).__name__}")
        super().load_build()
        self.spend(self.stack[-1])

    dispatch = dict(_Python.dispatch) | {pickle.BUILD[0]: load_build, pickle.REDUCE[0]: load_reduce}

    def persistent_load(self, pid: Any) -> Any:
        """No file of arrays refers to others."""
        raise pickle.UnpicklingError("a reference to another file")


def read_arrays(path: Path) -> Any:
    """What the pickle holds, arrays as tensors.

    Raises:
        CheckpointError: damaged, or it names anything but arrays and plain containers.
    """
    try:
        return _as_tensors(_Unpickler(path.read_bytes()).load(), {}, 0)
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n")[0][:120]
        raise CheckpointError(
            f"{path}: expected a pickle of arrays in plain containers, got one with {reason}; nothing was "
            "run, save the weights as safetensors"
        ) from None
    except Exception as error:  # the unpickler raises whatever it likes on damaged data
        reason = str(error).strip().split("\n")[0][:120] or type(error).__name__
        raise CheckpointError(
            f"{path}: expected a pickle of arrays, got a damaged one ({reason}); download it again"
        ) from None


def _as_tensors(content: Any, done: dict[int, Any], depth: int) -> Any:
    """Arrays within dictionaries and lists as tensors; ``done`` has results by their content's id."""
    if depth > DEPTH:
        raise pickle.UnpicklingError("containers too deep")
    if id(content) not in done:
        done[id(content)] = _converted(content, done, depth)
    return done[id(content)]


def _converted(content: Any, done: dict[int, Any], depth: int) -> Any:
    values = content.values if isinstance(content, _Array) else content
    if isinstance(values, np.ndarray):
        native = values.astype(values.dtype.newbyteorder("="))
        tensor: Tensor = torch.from_numpy(np.ascontiguousarray(native).reshape(values.shape))
        return tensor
    if isinstance(values, dict):
        return {name: _as_tensors(value, done, depth + 1) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_as_tensors(value, done, depth + 1) for value in values]
    return values

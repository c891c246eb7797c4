"""``X_seg.npy`` of Cellpose: a NumPy file that holds a pickle, of which only ``masks`` is wanted.

A pickle is a program, and NumPy would run it (``allow_pickle``). Here it is walked by Python's own unpickler,
the one in Python, which knows a handful of names, each of which stands for a few lines below; any other name
ends the reading, and nothing of NumPy's or anybody's is called.
"""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError

LARGEST_FILE = 1 << 32
_KINDS = re.compile(r"[iuf][1248]|b1")


class _Type:
    """Stands for ``numpy.dtype``."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name, self.order = str(name), "<"

    def __setstate__(self, state: Any) -> None:
        self.order = ">" if state[1] == ">" else "<"


class _Array:
    """Stands for ``numpy.ndarray``: its shape, type and bytes (or the objects in it) as they are written."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _ignored(*_: Any) -> None:
    """Stands for a single number, of which none is wanted."""


_NAMES: dict[tuple[str, str], Any] = {("numpy", "ndarray"): _Array, ("numpy", "dtype"): _Type} | {
    (f"numpy.{core}.multiarray", name): ours
    for core in ("core", "_core")
    for name, ours in (("_reconstruct", _reconstruct), ("scalar", _ignored))
}
_Python: Any = pickle._Unpickler


class _Unpickler(_Python):  # type: ignore[misc]
    def find_class(self, module: str, name: str) -> Any:
        """Ours for the few names that arrays need."""
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"the name {module}.{name}")
        return _NAMES[module, name]

    def load_build(self) -> None:
        """State is given to arrays and their types alone."""
        if not isinstance(self.stack[-2], _Array | _Type):
            raise pickle.UnpicklingError("a state for something else than an array")
        super().load_build()

    dispatch = dict(_Python.dispatch) | {pickle.BUILD[0]: load_build}


def read_masks(path: Path) -> NDArray[np.int64]:
    """(H, W) ids of a ``_seg.npy`` file; 0 is background.

    Raises:
        DatasetError: not such a file, damaged, a volume, or it names anything but arrays.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise pickle.UnpicklingError("more than 4 GiB")
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, kind = read(file)
            if kind != np.dtype(object) or shape != ():
                raise pickle.UnpicklingError(f"an array of {kind} {shape}")
            content = _Unpickler(io.BytesIO(file.read())).load()
        table = content.state[4][0] if isinstance(content, _Array) else content
        return _numbers(table["masks"])
    except Exception as error:  # the unpickler raises whatever it likes on damaged data
        reason = str(error).split("\n")[0][:120] or type(error).__name__
        raise DatasetError(
            f"{path}: expected Cellpose's _seg.npy with 2-D masks, got {reason}; nothing of it was run: save "
            "the masks as X_masks.tif"
        ) from None


def _numbers(array: Any) -> NDArray[np.int64]:
    if not isinstance(array, _Array):
        raise pickle.UnpicklingError("no array of masks")
    _, shape, kind, columns_first, data = array.state
    if not isinstance(kind, _Type) or not _KINDS.fullmatch(kind.name) or not isinstance(data, bytes):
        raise pickle.UnpicklingError("masks that are no plain numbers")
    if len(shape) != 2:
        raise pickle.UnpicklingError(f"masks of {len(shape)} dimensions")
    values = np.frombuffer(data, np.dtype(f"{kind.order}{kind.name}"))
    return values.reshape(shape, order="F" if columns_first else "C").astype(np.int64)

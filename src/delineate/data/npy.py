"""Reading a ``.npy`` that somebody else wrote: numbers alone, no more than the file has bytes for."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError


def load_npy(path: Path) -> NDArray[Any]:
    """The array of a ``.npy`` file.

    NumPy makes room for whatever the header says before it looks whether so much follows.

    Raises:
        InputError: not there, no such file (a ``.npz`` is none), damaged, objects in it, or cut short.
    """
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            old = version == (1, 0)
            header = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
            shape, columns_first, kind = header(file)
            if kind.hasobject:
                raise ValueError("objects, which may run code")
            wanted = math.prod(shape) * kind.itemsize
            data = file.read(wanted + 1) if 0 <= wanted <= path.stat().st_size else b""
        if len(data) != wanted or min(shape, default=0) < 0:
            raise ValueError(f"a header that asks for {wanted} bytes of {kind} {shape}")
        return np.frombuffer(data, kind).reshape(shape, order="F" if columns_first else "C")
    except OSError as error:
        raise InputError(f"{path}: expected a NumPy array, got {error.strerror}; check the path") from None
    except (
        ValueError,
        TypeError,
        EOFError,
        SyntaxError,
        OverflowError,
        RecursionError,
        MemoryError,
    ) as error:
        reason = (str(error).splitlines() or ["a damaged file"])[0][:120]
        raise InputError(f"{path}: expected a NumPy array, got {reason}; save it again") from None

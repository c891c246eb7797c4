"""Decoding a PNG, as often as it takes, damaged or not."""

from __future__ import annotations

import ctypes
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray


def decode_png(data: bytes) -> NDArray[Any]:
    """The pixels as stored: (H, W) or (H, W, C), uint8 or uint16.

    Raises:
        Exception: of many kinds, as the decoder likes, where it is damaged.
    """
    try:
        return np.asarray(imagecodecs.png_decode(data))
    except Exception:
        # imagecodecs (2026.3.6) gives a reference to None back that it never took, whenever a PNG is damaged.
        # Python before 3.12 counts them, and aborts after some thousand such files. One taken here outweighs
        # it; where the decoder is mended, one too many does no harm.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(None))
        raise

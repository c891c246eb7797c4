"""Decoding a PNG, as often as it takes, damaged or not."""

from __future__ import annotations

import ctypes
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

IN_TIFF = 34933
"""TIFF's number of the compression."""


def decode_png(data: bytes) -> NDArray[Any]:
    """The pixels as stored: (H, W) or (H, W, C), uint8 or uint16.

    Raises:
        Exception: of many kinds, as the decoder likes, where it is damaged.
    """
    try:
        return np.asarray(imagecodecs.png_decode(data))
    except Exception:
        outweigh()
        raise


def outweigh(times: int = 1) -> None:
    """Takes references to None, for decodings of PNG that failed.

    imagecodecs (2026.3.6) gives back one that it never took whenever a PNG is damaged. Python before 3.12
    counts them, and aborts after some thousand such files. Where the decoder is mended, some too many do no
    harm.
    """
    for _ in range(times):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(None))

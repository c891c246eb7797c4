"""Writing pictures and label images, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from delineate.core.errors import InputError


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path``; it takes its name when the block ends well and vanishes otherwise.

    Raises:
        InputError: the folder is missing or may not be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)  # noqa: PTH105
    except OSError as error:
        raise InputError(
            f"{path}: expected to write here, got {error.strerror or error}; choose another place"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def _write(path: str | Path, save: Callable[[Path], object]) -> Path:
    with atomic(path) as temporary:
        save(temporary)
    return Path(path)


def write_png(path: str | Path, array: NDArray[Any]) -> Path:
    """Writes a PNG, atomically.

    Args:
        path: where to; its folder must exist.
        array: (H, W), (H, W, 3) or (H, W, 4) of bool, uint8 or uint16.

    Raises:
        InputError: another shape or type; the folder is missing.
    """
    array = np.asarray(array)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    if (
        array.dtype not in (np.uint8, np.uint16)
        or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4)))
        or 0 in array.shape
    ):
        raise InputError(
            f"{path}: expected (H, W), (H, W, 3) or (H, W, 4) of uint8 or uint16 for a PNG, "
            f"got {array.shape} {array.dtype}; convert it first"
        )
    data = imagecodecs.png_encode(np.ascontiguousarray(array), level=6)
    return _write(path, lambda temporary: temporary.write_bytes(data))


def write_label_tiff(path: str | Path, labels: NDArray[Any], pixel_size: float | None = None) -> Path:
    """Writes instance ids as a grey TIFF with lossless compression, atomically.

    Args:
        path: where to; its folder must exist.
        labels: (H, W) integers or bool, 0 is background. uint16 where the ids allow it, else uint32.
        pixel_size: side of a pixel in µm, kept as TIFF resolution and for ImageJ.

    Raises:
        InputError: not two-dimensional, not integers, negative; the folder is missing.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "biu" or labels.size == 0:
        raise InputError(
            f"{path}: expected labels as (H, W) integers, got {labels.shape} {labels.dtype}; convert them"
        )
    if labels.min() < 0 or labels.max() > 2**32 - 1:
        raise InputError(
            f"{path}: expected ids in 0..2^32-1, got {labels.min()}..{labels.max()}; renumber them"
        )
    ids = labels.astype(np.uint16 if labels.max() < 2**16 else np.uint32)
    options: dict[str, Any] = {"compression": "zlib", "predictor": False, "photometric": "minisblack"}
    if pixel_size is not None:
        if not (np.isfinite(pixel_size) and pixel_size > 0):
            raise InputError(
                f"{path}: expected a pixel size above 0 µm, got {pixel_size}; leave it out if unknown"
            )
        options |= {"resolution": (1e4 / pixel_size,) * 2, "resolutionunit": "CENTIMETER"}
    return _write(path, lambda temporary: tifffile.imwrite(temporary, ids, metadata=None, **options))

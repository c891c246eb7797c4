"""Label stacks and image stacks, (Z, Y, X), from multi-page TIFF files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.data.images import read
from delineate.data.limits import MAX_PIXELS, check_size
from delineate.data.tiff import read_tiff
from delineate.data.tiff_file import opened_tiff

MOST_VOXELS = 2_000_000_000


def page_axes(path: Path, labels: bool = False) -> tuple[int, bool]:
    """How many pages a TIFF has, channels not counted, and whether they are slices of a stack.

    Pages are slices unless the file calls them times. Anything but TIFF has one page. Planes of ``labels``
    that the file calls colours are slices, too.
    """
    if path.suffix.lower() not in (".tif", ".tiff", ".btf"):
        return 1, False
    try:
        with opened_tiff(path) as file:
            series = file.series[0]
            sizes = dict(zip(series.axes, series.shape, strict=True))
            apart = series.keyframe.axes == "SYX"
    except Exception:  # tifffile raises whatever it likes on damaged files; reading tells what is wrong
        return 1, False
    count = int(
        np.prod(
            [n for axis, n in sizes.items() if axis not in ("YXC" if labels and apart else "YXCS")],
            dtype=np.int64,
        )
    )
    return count, count > 1 and sizes.get("T", 1) == 1


def read_label_page(path: Path, page: int) -> NDArray[Any]:
    """(H, W) integers of one page of a TIFF.

    Raises:
        InputError: damaged, or of fractions.
    """
    with path.open("rb") as file:
        found = read_tiff(file, str(path), page=page, channels=None, max_pixels=MAX_PIXELS, raw=True).pixels
    if found.dtype.kind == "f" and np.isfinite(found).all() and (found == np.floor(found)).all():
        found = found.astype(np.int64)
    if found.ndim != 2 or found.dtype.kind not in "iub":
        raise InputError(
            f"{path}: expected integers as labels, got {found.dtype} of shape {found.shape} in page {page}; "
            "save uint16 or uint32"
        )
    return found


def read_label_stack(path: Path) -> NDArray[Any]:
    """(Z, Y, X) integers of a TIFF's pages.

    Raises:
        InputError: damaged, of fractions, or too large.
    """
    depth, _ = page_axes(path, labels=True)
    first = read_label_page(path, 0)
    check_size((depth * first.shape[0], first.shape[1]), str(path), MOST_VOXELS)
    return np.stack([first, *(read_label_page(path, page) for page in range(1, depth))])


def read_image_stack(path: Path, channels: Any = None) -> NDArray[Any]:
    """(Z, Y, X) or (Z, Y, X, C) numbers of a TIFF's pages.

    Raises:
        InputError: as :func:`delineate.data.images.read`.
    """
    depth = page_axes(path)[0]
    if depth == 1 and channels is None and page_axes(path, labels=True)[0] > 1:
        return np.moveaxis(read(path).pixels, 2, 0)  # slices that the file calls colours
    return np.stack([read(path, channels=channels, page=page).pixels for page in range(depth)])

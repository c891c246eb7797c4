"""Files that say where a camera that rides on a car was in each frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

Floats = NDArray[np.float64]


def read_poses(path: str | Path, frames: Sequence[int]) -> Floats:
    """Where the camera was in each frame, on the ground.

    Args:
        path: a table with the columns frame, x, y (metres) and heading (degrees, counter-clockwise from x),
            with or without a line of names; or poses of KITTI's odometry, 12 numbers a line: the 3 x 4 matrix
            that brings the camera's axes (x right, y down, z ahead) to those of the first frame, line k for
            frame k from 0.
        frames: (F,) numbers of the frames wanted.

    Returns:
        (F, 3) x, y in metres and heading in radians; x ahead in the first frame of KITTI's, y to the left.

    Raises:
        InputError: the file cannot be read, is none of these, or lacks a frame.
    """
    path = Path(path)
    table = _table(path)
    if table.shape[1] == 12:
        matrix = table.reshape(-1, 3, 4)
        heading = np.arctan2(-matrix[:, 0, 2], matrix[:, 2, 2])
        known = np.column_stack([matrix[:, 2, 3], -matrix[:, 0, 3], heading])
        numbers = np.arange(len(known))
    elif table.shape[1] == 4:
        numbers = table[:, 0].astype(np.int64)
        known = np.column_stack([table[:, 1:3], np.radians(table[:, 3])])
    else:
        raise InputError(
            f"{path}: expected frame, x, y, heading, or 12 numbers a line as KITTI has, got {table.shape[1]} "
            "numbers a line; correct it"
        )
    place = {int(number): k for k, number in enumerate(numbers.tolist())}
    missing = [number for number in frames if number not in place]
    if missing:
        raise InputError(
            f"{path}: expected a pose for each frame, got none for {len(missing)}, such as {missing[0]}"
        )
    found: Floats = known[[place[number] for number in frames]].reshape(-1, 3)
    return found


def _table(path: Path) -> Floats:
    """(N, C) finite numbers; a first line of names is passed over."""
    try:
        lines = path.read_text(encoding="utf-8-sig").replace(",", " ").splitlines()
    except OSError as error:
        raise InputError(f"{path}: expected a file of poses, got {error.strerror}; check the path") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected text, got other bytes; give a file of poses") from None
    rows = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if rows and rows[0][0][0].isalpha():
        rows = rows[1:]
    try:
        table = np.array(rows, np.float64)
    except ValueError:
        table = np.zeros(0)
    if table.ndim != 2 or not len(table) or not np.isfinite(table).all():
        raise InputError(
            f"{path}: expected lines of as many finite numbers each, got others; correct the file"
        )
    return table

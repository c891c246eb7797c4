"""A camera's intrinsics, from the files in which robots, sensors and datasets keep them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .formats.json_file import show
from .formats.yaml_file import load_values

Floats = NDArray[np.float64]
APC_HEADING = "Color camera intrinsic matrix"
"""Stands in the ``cam.info.txt`` of the Amazon Picking Challenge's RGB-D frames."""
APC_SCALE, APC_TURNED = 1e-4, 3
LARGEST = 1e9
"""Numbers in a camera's file are smaller."""
NAMES = "fx, fy, cx, cy; K, cam_K, camera_matrix or intrinsic_matrix"


@dataclass(frozen=True, eq=False)
class CameraFile:
    """What is known of a camera.

    Attributes:
        matrix: (3, 3) ``[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]`` in pixels.
        size: (height, width) of its pictures in pixels, or None.
        depth_scale: metres of one unit of its stored depth, or None.
        turned: bits by which its stored depth is rotated to the left.
        form: what the file was read as.
    """

    matrix: Floats
    size: tuple[int, int] | None = None
    depth_scale: float | None = None
    turned: int | None = None
    form: str = "numbers"


def read_camera(source: str | Path) -> CameraFile:
    """Reads a camera's file.

    Args:
        source: four numbers ``fx,fy,cx,cy``, or a file: JSON or YAML with such names, a ``camera_info`` of
            ROS, a ``camera.json`` of BOP, Open3D's pinhole JSON, plain text of 3 x 3 numbers, or
            ``cam.info.txt`` of the Amazon Picking Challenge.

    Raises:
        InputError: not there, not of these forms, or no pinhole camera.

    Example:
        >>> read_camera("600,600,319.5,239.5").matrix[0].tolist()
        [600.0, 0.0, 319.5]
    """
    text = str(source)
    if "," in text and not Path(text).exists():
        return CameraFile(_four(text))
    path = Path(source)
    try:
        content = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"{path}: expected a camera file, got {error.strerror}; check it, or give fx,fy,cx,cy in pixels"
        ) from None
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: expected text with a camera's numbers, got other bytes; check it"
        ) from None
    if APC_HEADING in content:
        block = content.split(APC_HEADING, 1)[1].split("#", 1)[0]
        return CameraFile(
            _matrix(block.split(), path),
            None,
            APC_SCALE,
            APC_TURNED,
            "Amazon Picking Challenge's cam.info.txt",
        )
    if content.lstrip().startswith("{") or re.search(r"^\s*[A-Za-z_]+\s*:", content, re.M):
        return _of_record(_record(content, path), path)
    words = re.sub(r"#.*", "", content).replace(",", " ").split()
    return CameraFile(_matrix(words, path), form="3 x 3 numbers")


def _four(text: str) -> Floats:
    try:
        fx, fy, cx, cy = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"--camera {text}: expected a file, or four numbers fx,fy,cx,cy in pixels, got neither; mend it"
        ) from None
    return _checked(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), text)


def _record(content: str, path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(content) if content.lstrip().startswith("{") else load_values(content)
    except (ValueError, RecursionError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: expected JSON or YAML, got {line}; save it again") from None
    if not isinstance(found, Mapping):
        raise InputError(
            f"{path}: expected names and numbers ({NAMES}), got {type(found).__name__}; see there"
        )
    return found


def _of_record(record: Mapping[str, Any], path: Path) -> CameraFile:
    """Of JSON or YAML, whoever wrote it."""
    scale = _number(record, "depth_scale", path)
    size = None
    if {"height", "width"} <= set(record):
        size = int(_number(record, "height", path) or 0), int(_number(record, "width", path) or 0)
    if {"fx", "fy", "cx", "cy"} <= set(record):
        values = [_number(record, name, path) or 0.0 for name in ("fx", "fy", "cx", "cy")]
        matrix = _checked(
            np.array([[values[0], 0, values[2]], [0, values[1], values[3]], [0, 0, 1]]), str(path)
        )
        return CameraFile(
            matrix, size, _metres(scale), form="fx, fy, cx, cy" if scale is None else "BOP camera"
        )
    for name in ("K", "k", "cam_K", "camera_matrix", "intrinsic_matrix", "intrinsics"):
        value = record.get(name)
        if isinstance(value, Mapping) and name == "intrinsics":
            return _of_record({**record, "intrinsics": None, **value}, path)
        if isinstance(value, Mapping):
            value = value.get("data")
        if isinstance(value, list):
            flat = [v for row in value for v in (row if isinstance(row, list) else [row])]
            matrix = _matrix(flat, path, columns=name == "intrinsic_matrix")
            return CameraFile(matrix, size, _metres(scale), form=name)
    raise InputError(
        f"{path}: expected a camera's numbers ({NAMES}), got "
        f"{', '.join(show(name) for name in list(record)[:6])}; add them"
    )


def _metres(scale: float | None) -> float | None:
    """BOP's factor gives millimetres."""
    return None if scale is None else scale / 1000


def _number(record: Mapping[str, Any], name: str, path: Path) -> float | None:
    value = record.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < LARGEST:
        raise InputError(
            f"{path}: expected {name} as a number below {LARGEST:g}, got {show(value)}; correct it"
        )
    return float(value)


def _matrix(words: list[Any], path: Path, columns: bool = False) -> Floats:
    try:
        numbers = np.array(words, np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.zeros(0)
    if numbers.size != 9:
        raise InputError(
            f"{path}: expected 3 x 3 numbers of a camera, got {len(words)} values; correct the file"
        )
    matrix = numbers.reshape(3, 3)
    upright = matrix.T if columns or (matrix[2, 0] and not matrix[0, 2]) else matrix
    return _checked(upright, str(path))


def _checked(matrix: Floats, where: str) -> Floats:
    good = np.isfinite(matrix).all() and min(matrix[0, 0], matrix[1, 1]) > 0
    if not good or not np.allclose(matrix[2], (0, 0, 1)):
        raise InputError(
            f"{where}: expected intrinsics [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] with fx, fy above 0, got "
            f"{matrix.round(3).tolist()}; calibrate the camera"
        )
    return matrix


__all__ = ["CameraFile", "read_camera"]

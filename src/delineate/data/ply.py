"""Clouds of points as PLY files (binary, little endian), which MeshLab, CloudCompare and Open3D read.

G. Turk: The PLY polygon file format, Stanford 1994.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

from .write import atomic

_NAMES = (("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1"))
_TYPES = {"float": "<f4", "float32": "<f4", "double": "<f8", "float64": "<f8", "uchar": "u1", "uint8": "u1"}


def write_ply(
    path: str | Path, points: NDArray[np.floating], colors: NDArray[np.uint8] | None = None, note: str = ""
) -> Path:
    """Writes points, atomically.

    Args:
        path: where to; its folder must exist.
        points: (N, 3) finite, in metres.
        colors: (N, 3) RGB, or None.
        note: one line for the header.

    Raises:
        InputError: another shape, or it cannot be written.
    """
    if points.ndim != 2 or points.shape[1] != 3 or (colors is not None and len(colors) != len(points)):
        raise InputError(
            f"{path}: expected (N, 3) points and as many colours, got {points.shape}; correct them"
        )
    if not np.isfinite(points).all():
        raise InputError(f"{path}: expected finite points, got NaN or infinity; leave those out")
    names = _NAMES if colors is not None else _NAMES[:3]
    rows = np.zeros(len(points), np.dtype(list(names)))
    for k, axis in enumerate("xyz"):
        rows[axis] = points[:, k]
    if colors is not None:
        for k, channel in enumerate(("red", "green", "blue")):
            rows[channel] = colors[:, k]
    kinds = {"<f4": "float", "u1": "uchar"}
    head = ["ply", "format binary_little_endian 1.0"]
    head += [f"comment {' '.join(note.split())}"] if note else []
    head += [f"element vertex {len(points)}", *(f"property {kinds[t]} {n}" for n, t in names), "end_header"]
    with atomic(path) as temporary:
        temporary.write_bytes("\n".join(head).encode("ascii", "replace") + b"\n" + rows.tobytes())
    return Path(path)


def read_ply(path: str | Path) -> tuple[NDArray[np.float64], NDArray[np.uint8] | None]:
    """The points (N, 3) of a PLY file, binary (little endian) or ASCII, and their colours where it has them.

    Raises:
        InputError: not such a file, or cut off.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: expected a PLY file, got {error.strerror}; check the path") from None
    head, end, body = content.partition(b"end_header")
    lines = [line.split() for line in head.decode("ascii", "replace").splitlines()]
    if not end or not lines or lines[0] != ["ply"]:
        raise InputError(f"{path}: expected a PLY file, got something else or a cut one; save it again")
    count, fields = _vertices(lines, path)
    body = body[body.index(b"\n") + 1 :] if b"\n" in body else b""
    if count * len(fields) > len(body):  # a number takes a byte at least
        raise InputError(f"{path}: expected {count} points, got {len(body)} bytes; the file is cut off")
    rows = np.zeros(count, np.dtype(fields))
    if ["format", "ascii", "1.0"] in lines:
        values = _numbers(body.split()[: count * len(fields)], len(fields), path)
        if len(values) != count:
            raise InputError(f"{path}: expected {count} points, got {len(values)}; the file is cut off")
        with np.errstate(invalid="ignore", over="ignore"):
            for k, (name, _) in enumerate(fields):
                rows[name] = values[:, k]
    elif ["format", "binary_little_endian", "1.0"] in lines:
        if len(body) < rows.nbytes:
            raise InputError(
                f"{path}: expected {rows.nbytes} bytes of points, got {len(body)}; the file is cut off"
            )
        rows = np.frombuffer(body[: rows.nbytes], rows.dtype)
    else:
        raise InputError(f"{path}: expected ASCII or little-endian PLY, got another form; save it so")
    points = np.column_stack([rows[axis].astype(np.float64) for axis in "xyz"])
    names = ("red", "green", "blue")
    colored = all(name in (rows.dtype.names or ()) for name in names)
    return points, np.column_stack([rows[n].astype(np.uint8) for n in names]) if colored else None


def _numbers(words: list[bytes], columns: int, path: Path) -> NDArray[np.float64]:
    try:
        return np.array(words, np.float64).reshape(-1, columns)
    except ValueError:
        raise InputError(f"{path}: expected numbers of points, got other words; save it anew") from None


def _vertices(lines: list[list[str]], path: Path) -> tuple[int, list[tuple[str, str]]]:
    """Number and properties of the vertices, which must come first."""
    fields: list[tuple[str, str]] = []
    count, inside = -1, False
    for words in lines:
        if words[:1] == ["element"]:
            inside = words[1:2] == ["vertex"] and len(words) == 3 and words[2].isdecimal()
            count = int(words[2][:18]) if inside else count
            if not inside and count < 0:
                break
        elif words[:1] == ["property"] and inside:
            if len(words) != 3 or words[1] not in _TYPES:
                raise InputError(
                    f"{path}: expected plain numbers of points, got {' '.join(words)[:80]}; save it anew"
                )
            if words[2] in (name for name, _ in fields):
                raise InputError(
                    f"{path}: expected each property once, got {words[2][:80]} again; save it anew"
                )
            fields.append((words[2], _TYPES[words[1]]))
    if count < 0 or not {"x", "y", "z"} <= {name for name, _ in fields}:
        raise InputError(
            f"{path}: expected points with x, y, z first, got none; save it as a cloud of points"
        )
    return count, fields


__all__ = ["read_ply", "write_ply"]

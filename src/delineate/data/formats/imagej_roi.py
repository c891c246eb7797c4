"""One ImageJ region of interest as bytes (ImageJ's RoiDecoder.java and RoiEncoder.java tell the layout).

All numbers are big-endian. A header of 64 bytes has the kind, the bounds and the number of points; then come
the points, 16 bits from the bounds' corner and, where they are no whole pixels, again as 32-bit floats; then
a second header with name, group and properties. An object of several rings is a path of floats (move, line,
close), filled by the even-odd rule. Coordinates are pixel corners, as everywhere here.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import MaskError
from delineate.core.polygons import Polygon

from .coco_check import Bad
from .drawn import Piece, box, ellipse

POLYGON, RECT, OVAL, LINE, FREELINE, POLYLINE, NO_ROI, FREEHAND, TRACED, ANGLE, POINT = range(11)
_NO_AREA = (LINE, FREELINE, POLYLINE, NO_ROI, ANGLE, POINT)
_ELLIPSE, _TURNED = 3, 5  # subtypes of freehand
_TEXT = (1, 2, 4)  # text, arrow, image
_SUB_PIXEL = 128  # an option
_VERSION = 228
_HEADER, _HEADER2 = 64, 64
LARGEST_SIDE = 60_000
"""Bounds are 16 bits, of which ImageJ takes those from -5000 to 60,535."""
_CURVE = np.linspace(0, 1, 17)[1:, None]

Ring = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Roi:
    """A region.

    Attributes:
        name: its own; empty where it has none.
        piece: what it covers; None for points, lines, text and the like.
        group: 0 for none.
        properties: keys and values.
        position: slice of a stack, or the largest of channel, slice and frame; 0 and 1 for a plain image.
    """

    name: str
    piece: Piece | None
    group: int = 0
    properties: Mapping[str, str] = field(default_factory=dict)
    position: int = 0


def decode(data: bytes, where: str) -> Roi:
    """Reads a region.

    Args:
        data: the bytes of a ``.roi`` file.
        where: its name, for messages.

    Raises:
        Bad: damaged, or not a region.
    """
    if len(data) < _HEADER or data[:4] != b"Iout":
        raise Bad(f"{where}: expected an ImageJ ROI (it begins with 'Iout'), got {data[:4]!r}")
    try:
        version, kind = struct.unpack_from(">hB", data, 4)
        subtype, options = struct.unpack_from(">hh", data, 48)
        piece = None
        if kind not in _NO_AREA and subtype not in _TEXT:
            piece = _piece(data, kind, subtype, bool(options & _SUB_PIXEL) and version >= 222, where)
        return _named(data, piece)
    except (struct.error, ValueError, IndexError, UnicodeDecodeError) as error:
        message = str(error).split("; ")[0] if isinstance(error, MaskError) else f"it is cut off ({error})"
        raise Bad(f"{where}: expected a whole ImageJ ROI, got a damaged one: {message}") from None


def _piece(data: bytes, kind: int, subtype: int, sub_pixel: bool, where: str) -> Piece:
    top, left, bottom, right = (_side(v) for v in struct.unpack_from(">hhhh", data, 8))
    x, y, x2, y2 = struct.unpack_from(">ffff", data, 18)
    (floats,) = struct.unpack_from(">i", data, 36)
    if floats > 0:
        path = np.frombuffer(data, ">f4", floats, _HEADER).astype(np.float64)
        return _composite(np.nan_to_num(path, nan=-1, posinf=-1, neginf=-1).tolist(), where)
    if kind in (RECT, OVAL):
        if sub_pixel:
            around = box(x, y, x + x2, y + y2, where)
        else:
            around = box(left, top, right, bottom, where)
        if kind == RECT:
            return around
        middle = ((around.x1 + around.x2) / 2, (around.y1 + around.y2) / 2)
        return ellipse(middle, ((around.x2 - around.x1) / 2, (around.y2 - around.y1) / 2), 0, where)
    if kind == FREEHAND and subtype in (_ELLIPSE, _TURNED):
        (width,) = struct.unpack_from(">f", data, 52)
        return _along(np.array([[x, y], [x2, y2]]), width, subtype, where)
    if kind not in (POLYGON, FREEHAND, TRACED):
        raise Bad(f"{where}: expected a kind of ROI from 0 to 10, got {kind}")
    (count,) = struct.unpack_from(">H", data, 16)
    if not count:
        (count,) = struct.unpack_from(">i", data, 18)
    at = _HEADER + (4 * count if sub_pixel else 0)
    ring = np.frombuffer(data, ">f4" if sub_pixel else ">u2", 2 * count, at).astype(np.float64)
    ring = ring.reshape(2, -1).T + (0 if sub_pixel else np.array([left, top]))
    return Polygon(ring)


def _side(value: int) -> int:
    """Bounds beyond 32,767 stand as negative numbers."""
    return value + 65536 if value < -5000 else value


def _along(axis: Ring, width: float, subtype: int, where: str) -> Polygon:
    """A turned ellipse (long axis, ratio of the short one) or a turned rectangle (middle line, width)."""
    middle, across = axis.mean(axis=0), axis[1] - axis[0]
    length = float(np.hypot(*across))
    degrees = float(np.degrees(np.arctan2(across[1], across[0])))
    if subtype == _ELLIPSE:
        return ellipse((middle[0], middle[1]), (length / 2, length / 2 * width), degrees, where)
    if not length > 0 or not width > 0:
        raise Bad(f"{where}: expected a rectangle with a length and a width, got {length:g} and {width:g}")
    side = np.array([-across[1], across[0]]) / length * width / 2
    return Polygon(np.stack((axis[0] + side, axis[1] + side, axis[1] - side, axis[0] - side)))


def _composite(path: Sequence[float], where: str) -> Polygon:
    """All rings of a path, covered by the even-odd rule; curves as 16 chords each."""
    rings: list[list[list[float]]] = []
    at = 0
    while at < len(path):
        move = int(path[at])
        points = np.array(path[at + 1 : at + 1 + {0: 2, 1: 2, 2: 4, 3: 6}.get(move, 0)]).reshape(-1, 2)
        if move == 0:
            rings.append([])
        if move not in (0, 1, 2, 3, 4) or (move and not rings):
            raise Bad(
                f"{where}: expected a path of moves, lines and curves, got command {path[at]:g} at {at}"
            )
        if move in (0, 1):
            rings[-1] += points.tolist()
        elif move in (2, 3):
            start, t = np.array(rings[-1][-1]), _CURVE
            a, b = points[0], points[1]
            if move == 2:
                curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * a + t**2 * b
            else:
                c = points[2]
                curve = (1 - t) ** 3 * start + 3 * t * (1 - t) ** 2 * a + 3 * t**2 * (1 - t) * b + t**3 * c
            rings[-1] += curve.tolist()
        at += 1 + points.size
    whole = [np.array(ring) for ring in rings if len(ring) > 2]
    if not whole:
        raise Bad(f"{where}: expected a path with an area, got {len(rings)} rings of fewer than 3 points")
    return Polygon(whole[0], tuple(whole[1:]))


def _named(data: bytes, piece: Piece | None) -> Roi:
    """The region with what its second header says of it."""
    position, at = struct.unpack_from(">ii", data, 56)
    if not _HEADER <= at <= len(data) - 52:
        return Roi("", piece, position=position)
    *places, name_at, name_length = struct.unpack_from(">iiiii", data, at + 4)
    group = data[at + 30]
    text_at, text_length = struct.unpack_from(">ii", data, at + 40)
    lines = _text(data, text_at, text_length).splitlines()
    pairs = [line.partition(": ") for line in lines if ": " in line]
    return Roi(
        _text(data, name_at, name_length),
        piece,
        group,
        {key.strip(): value.strip() for key, _, value in pairs},
        max(position, *places),
    )


def _text(data: bytes, at: int, length: int) -> str:
    return data[at : at + 2 * length].decode("utf-16-be", "replace") if at > 0 and length > 0 else ""


# -- writing ---------------------------------------------------------------------------------------------


def encode(
    name: str,
    parts: Sequence[Polygon],
    corners: tuple[float, float, float, float] | None = None,
    group: int = 0,
    color: Sequence[int] = (255, 255, 0),
    properties: Mapping[str, str] | None = None,
) -> bytes:
    """A region as the bytes of a ``.roi`` file.

    Args:
        name: as the ROI Manager shows it.
        parts: outlines; one without holes becomes a traced polygon, others a path.
        corners: x1, y1, x2, y2 of a rectangle, in place of outlines.
        group: 0..255.
        color: RGB of its outline.
        properties: keys without ``: `` and values of one line.
    """
    kind, options, count, floats, first, body = RECT, 0, 0, 0, bytes(16), b""
    if corners is not None:
        low, high = np.array(corners[:2]), np.array(corners[2:])
        if (np.rint(corners) != corners).any():
            options = _SUB_PIXEL
            first = struct.pack(">ffff", *low, *(high - low))
    else:
        rings = [ring for part in parts for ring in part.rings]
        every = np.concatenate(rings)
        low, high = every.min(axis=0), every.max(axis=0)
        if len(rings) == 1:
            kind, count = TRACED, len(every)
            options = 0 if (np.rint(every) == every).all() else _SUB_PIXEL
            body = _points(every, low, bool(options))
            first = struct.pack(">i12x", count) if count > 65535 else first
        else:
            path = np.concatenate([_path(ring) for ring in rings]).astype(">f4")
            floats, body = len(path), path.tobytes()
    left, top = np.floor(low).astype(np.int64).tolist()
    right, bottom = np.ceil(high).astype(np.int64).tolist()
    header = struct.pack(
        ">4shBxHHHHH16sHi4sIHHIii", b"Iout", _VERSION, kind,
        top & 65535, left & 65535, bottom & 65535, right & 65535, count if count < 65536 else 0, first,
        0, floats, bytes((255, *color)), 0, 0, options, 0, 0, _HEADER + len(body),
    )  # fmt: skip
    return header + body + _header2(_HEADER + len(body), name, group, properties or {})


def _points(ring: Ring, low: Ring, sub_pixel: bool) -> bytes:
    whole = np.floor(ring - np.floor(low)).astype(">u2").T.tobytes()
    return whole + (ring.astype(">f4").T.tobytes() if sub_pixel else b"")


def _path(ring: Ring) -> NDArray[np.float64]:
    """Move, lines, close."""
    moves = np.column_stack((np.ones(len(ring)), ring))
    moves[0, 0] = 0
    return np.append(moves.ravel(), 4.0)


def _header2(at: int, name: str, group: int, properties: Mapping[str, str]) -> bytes:
    lines = "".join(f"{key}: {' '.join(value.split())}\n" for key, value in properties.items())
    words = [" ".join(name.split()).encode("utf-16-be"), lines.encode("utf-16-be")]
    starts = [at + _HEADER2, at + _HEADER2 + len(words[0])]
    head = struct.pack(
        ">4xiiiii4xhBBifiii", 0, 0, 0, starts[0], len(words[0]) // 2, 0, group, 0, 0, 0.0,
        starts[1] if lines else 0, len(words[1]) // 2, 0,
    )  # fmt: skip
    return head.ljust(_HEADER2, b"\0") + b"".join(words)

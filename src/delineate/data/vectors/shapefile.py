"""Shapefile (ESRI, "Shapefile Technical Description", 1998): polygons in .shp, their index in .shx, a dBASE
table in .dbf, the reference system in .prj, the table's encoding in .cpg.

The format's own limits are kept and told: names of columns have ten characters, a file two gigabytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError, InputError
from delineate.core.polygons import Polygon

from ..write import atomic
from . import dbase
from .crs import epsg_of, esri_text
from .layer import Layer, Parts, envelope, turned

_MAGIC, _VERSION, _POLYGON = 9994, 1000, 5
_KINDS = {0: "null", 5: "polygon", 15: "polygon", 25: "polygon"}  # 15 and 25 have z and m behind x y
_LARGEST = 2**31 - 1
Ring = NDArray[np.float64]


def write_shapefile(path: Path, layer: Layer) -> dict[str, str]:
    """Writes the five files, ``.shp`` last, each whole or not at all.

    Returns:
        Short name in the table by full name, where they differ.

    Raises:
        InputError: more than two gigabytes.
        MissingDependencyError: the reference system's words need pyproj.
    """
    records = [_record(parts) for parts in layer.shapes]
    size = 100 + sum(8 + len(r) for r in records)
    if size > _LARGEST:
        raise InputError(f"{path}: expected at most 2 GB in a Shapefile, got more; write a .gpkg")
    boxes = [envelope(parts) for parts in layer.shapes if parts]
    low = np.min(boxes, axis=0)[:2].tolist() if boxes else [0.0, 0.0]
    high = np.max(boxes, axis=0)[2:].tolist() if boxes else [0.0, 0.0]
    box = (*low, *high)
    table, short = dbase.write(layer.table)
    index, at = [], 100
    body = []
    for number, record in enumerate(records, 1):
        words = struct.pack(">ii", at // 2, len(record) // 2)
        index.append(words)
        body.append(struct.pack(">ii", number, len(record) // 2) + record)
        at += 8 + len(record)
    beside = {
        ".dbf": table,
        ".cpg": b"UTF-8",
        ".shx": _head(100 + 8 * len(records), box) + b"".join(index),
        ".shp": _head(size, box) + b"".join(body),
    }
    if layer.epsg is not None:
        beside = {".prj": esri_text(layer.epsg).encode(), **beside}
    for ending, data in beside.items():
        with atomic(path.with_suffix(ending)) as temporary:
            temporary.write_bytes(data)
    return short


def _head(size: int, box: Sequence[float]) -> bytes:
    return struct.pack(">7i", _MAGIC, 0, 0, 0, 0, 0, size // 2) + struct.pack(
        "<2i8d", _VERSION, _POLYGON, *box, 0.0, 0.0, 0.0, 0.0
    )


def _record(parts: Parts) -> bytes:
    if not parts:
        return struct.pack("<i", 0)
    rings = [ring for part in parts for ring in turned(part, counter_clockwise=False)]
    starts = np.concatenate(([0], np.cumsum([len(r) for r in rings])[:-1])).astype("<i4")
    points = np.concatenate(rings).astype("<f8")
    head = struct.pack("<i4d2i", _POLYGON, *envelope(parts), len(rings), len(points))
    return head + starts.tobytes() + points.tobytes()


def read_shapefile(path: Path) -> Layer:
    """Reads polygons; of PolygonZ and PolygonM their x y.

    Raises:
        DatasetError: damaged, or points or lines.
    """
    path = path.with_suffix(".shp") if path.suffix.lower() != ".shp" else path
    try:
        data = path.read_bytes()
        shapes = tuple(tuple(_grouped(rings)) for rings in _shapes(data, path))
    except (struct.error, ValueError, OSError) as error:
        raise DatasetError(f"{path}: expected a whole Shapefile, got {error}; export it again") from None
    table = dbase.read(path.with_suffix(".dbf"), len(shapes))
    words = path.with_suffix(".prj")
    epsg = epsg_of(words.read_text(encoding="utf-8", errors="replace"), words) if words.is_file() else None
    return Layer(shapes, table, epsg, path.stem)


def _shapes(data: bytes, path: Path) -> list[list[Ring]]:
    if len(data) < 100 or struct.unpack_from(">i", data)[0] != _MAGIC:
        raise DatasetError(f"{path}: expected a Shapefile, got other bytes; name the .shp file")
    end = min(len(data), 2 * struct.unpack_from(">i", data, 24)[0])
    if end > len(data) or 2 * struct.unpack_from(">i", data, 24)[0] > len(data):
        raise DatasetError(f"{path}: expected a whole Shapefile, got one that is cut off; fetch it again")
    found: list[list[Ring]] = []
    at = 100
    while at < end:
        length = 2 * struct.unpack_from(">i", data, at + 4)[0]
        if length < 4:  # a kind at least; less would be read for ever
            raise ValueError(f"a record of {length} bytes")
        (kind,) = struct.unpack_from("<i", data, at + 8)
        if kind not in _KINDS:
            raise DatasetError(f"{path}: expected polygons, got shapes of kind {kind}; export an area layer")
        found.append([] if kind == 0 else _rings(data, at + 8))
        at += 8 + length
    return found


def _rings(data: bytes, at: int) -> list[Ring]:
    parts, count = struct.unpack_from("<2i", data, at + 36)
    if not 0 <= parts <= count:
        raise ValueError(f"a shape of {parts} rings and {count} points")
    starts = np.frombuffer(data, "<i4", parts, at + 44)
    points = np.frombuffer(data, "<f8", 2 * count, at + 44 + 4 * parts).reshape(-1, 2)
    ends = [*starts[1:].tolist(), count]
    if any(not 0 <= a <= b <= count for a, b in zip(starts.tolist(), ends, strict=True)):
        raise ValueError("rings that begin where no point is")
    rings = [points[a:b].astype(np.float64) for a, b in zip(starts.tolist(), ends, strict=True)]
    return [ring[:-1] if (ring[0] == ring[-1]).all() else ring for ring in rings if len(ring) > 3]


def _grouped(rings: Sequence[Ring]) -> list[Polygon]:
    """Exteriors, which run clockwise, with the holes that lie in them."""
    outer = [ring for ring in rings if _area(ring) <= 0]
    holes: list[list[Ring]] = [[] for _ in outer]
    for hole in (ring for ring in rings if _area(ring) > 0):
        inside = [k for k, ring in enumerate(outer) if _contains(ring, hole[0])]
        if inside:
            holes[min(inside, key=lambda k: abs(_area(outer[k])))].append(hole)
        else:  # written by a tool that does not keep the direction
            outer.append(hole)
            holes.append([])
    return [Polygon(ring, tuple(inner)) for ring, inner in zip(outer, holes, strict=True)]


def _area(ring: Ring) -> float:
    x, y = ring[:, 0] - ring[0, 0], ring[:, 1] - ring[0, 1]
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2


def _contains(ring: Ring, point: Ring) -> bool:
    """By crossings of a ray to the right."""
    after = np.roll(ring, -1, axis=0)
    spans = (ring[:, 1] > point[1]) != (after[:, 1] > point[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        x = ring[:, 0] + (point[1] - ring[:, 1]) * (after[:, 0] - ring[:, 0]) / (after[:, 1] - ring[:, 1])
    return bool(np.count_nonzero(spans & (x > point[0])) % 2)

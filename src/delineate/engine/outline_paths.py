"""Outlines as SVG path data, and the spot inside an object where its number is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.instances import Instances


def outline_paths(objects: Instances, tolerance: float) -> list[str]:
    """The ``d`` of one path per object, in pixels of the image; empty for an object without pixels.

    Args:
        objects: N objects; boxes are outlined where there are no masks.
        tolerance: pixels by which an outline may be off, so that the stairs of the pixels go.
    """
    if objects.masks is None:
        return [_box_path(box) for box in np.rint(objects.boxes).astype(int).tolist()]
    polygons = objects.masks.to_polygons(tolerance)
    return ["".join(_ring_path(ring) for part in parts for ring in part.rings) for parts in polygons]


def inner_spot(crop: NDArray[np.bool_]) -> tuple[int, int]:
    """(x, y) of the pixel of a mask that lies deepest inside it.

    Example:
        >>> inner_spot(np.ones((5, 3), bool))
        (1, 1)
    """
    depth = cv2.distanceTransform(np.pad(crop.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(x), int(y)


def hex_color(color: NDArray[np.uint8]) -> str:
    """Three bytes as ``#rrggbb``."""
    return "#" + bytes(color.tolist()).hex()


def _ring_path(ring: NDArray[Any]) -> str:
    points = np.rint(ring).astype(np.int64)
    steps = np.diff(points, axis=0).tolist()
    return f"M{points[0, 0]} {points[0, 1]}l" + " ".join(f"{x} {y}" for x, y in steps) + "z"


def _box_path(box: Sequence[int]) -> str:
    x1, y1, x2, y2 = box
    return f"M{x1} {y1}H{x2}V{y2}H{x1}z"

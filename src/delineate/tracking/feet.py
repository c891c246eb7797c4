"""Where objects stand: their lowest points, how sure those are, and whether something hides them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from delineate.core.instances import Instances

Floats = NDArray[np.float64]
CUT = 4.0  # how much less is known where the picture's edge cuts an object
LOWEST, GAP = 0.1, 3  # the share of an object that is its foot, and pixels below it that are looked at
EDGE = (2.0, 0.02)  # pixels, and share of the object's side, within which the edge counts as touched


@dataclass(frozen=True)
class Foot:
    """How foot points are found.

    Attributes:
        across: standard deviation as a share of the box's width.
        down: standard deviation as a share of the box's height.
        least: standard deviation of the smallest object, in pixels.
    """

    across: float = 0.03
    down: float = 0.02
    least: float = 0.7


def feet(objects: Instances, settings: Foot | None = None) -> tuple[Floats, Floats]:
    """Where objects stand: the lowest point of each, below its middle.

    The middle is that of the mask's pixels for what is taller than wide, else that of the box.

    Args:
        objects: N objects.
        settings: how sure it is.

    Returns:
        (N, 2) xy in pixels, and (N, 2) standard deviations; larger ones where the picture's edge cuts.

    Example:
        >>> feet(Instances((100, 100), boxes=[[10, 20, 30, 60]]))[0].tolist()
        [[20.0, 60.0]]
    """
    settings = settings or Foot()
    boxes = objects.boxes.astype(np.float64)
    size = boxes[:, 2:] - boxes[:, :2]
    points = np.column_stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]])
    if objects.masks is not None and len(objects):
        runs = objects.masks.runs
        owner = np.repeat(np.arange(len(objects)), np.diff(runs.offsets))
        length = runs.length.astype(np.float64)
        area = np.bincount(owner, length, len(objects))
        middle = np.bincount(owner, length * (runs.x + 0.5), len(objects)) / np.maximum(area, 1)
        tall = (size[:, 1] > size[:, 0]) & (area > 0)
        points[:, 0] = np.where(tall, middle, points[:, 0])
    spread = np.maximum(settings.least, size * (settings.across, settings.down))
    beside, below = cut(objects)
    spread[:, 0] = np.where(beside, CUT * spread[:, 0] + size[:, 0] / 4, spread[:, 0])
    spread[:, 1] = np.where(below, CUT * spread[:, 1] + size[:, 1] / 4, spread[:, 1])
    return points, spread


def cut(objects: Instances) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(N,) whether the picture's left or right edge cuts each object, and whether its lower edge does."""
    boxes = objects.boxes.astype(np.float64)
    room = EDGE[0] + EDGE[1] * (boxes[:, 2:] - boxes[:, :2])
    height, width = objects.size
    beside = (boxes[:, 0] < room[:, 0]) | (boxes[:, 2] > width - room[:, 0])
    return beside, boxes[:, 3] > height - room[:, 1]


def covered(objects: Instances) -> NDArray[np.bool_]:
    """(N,) whether another object hides the foot of each: most of its lowest pixels end at another's mask.

    Without masks nothing is known to be hidden: boxes of most tools reach behind what hides an object.
    """
    found = np.zeros(len(objects), np.bool_)
    if objects.masks is None or len(objects) < 2:
        return found
    runs, labels = objects.masks.runs, objects.masks.to_label_image()
    owner = np.repeat(np.arange(len(objects)), np.diff(runs.offsets))
    boxes = objects.masks.boxes
    low = boxes[:, 3] - LOWEST * (boxes[:, 3] - boxes[:, 1])
    end = (runs.y + runs.length).astype(np.int64)
    at = np.flatnonzero((end >= low[owner]) & (end < objects.size[0]))
    below = labels[np.minimum(end[at, None] + np.arange(GAP), objects.size[0] - 1), runs.x[at, None]]
    other = ((below > 0) & (below != owner[at, None] + 1)).any(axis=1)
    count = np.bincount(owner[at], minlength=len(objects))
    touched = np.bincount(owner[at], other, minlength=len(objects))
    found[:] = touched > count / 2
    return found

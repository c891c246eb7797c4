"""The polygon annotations of a COCO file that nothing is wrong with, all at once.

The careful reader looks at one object after the other and says what is wrong with it. Most objects are plain:
all fields are there, of the right kind and in range, and the box fits the outline. Here these are had for a
whole file; all others are left to the careful reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import Record
from .coco_truth import Annotation

LARGEST = 2.0**40
Box = tuple[float, float, float, float]


def plain_annotations(
    rows: list[Any], records: Mapping[int, Record], labels: Mapping[int, int]
) -> dict[int, Annotation]:
    """The annotations of plain objects, by their place in ``rows``.

    Args:
        rows: the file's ``annotations``.
        records: the usable images by id.
        labels: class index by category id.
    """
    around = plain_boxes(rows)
    chosen = [
        index
        for index in around
        if type((row := rows[index]).get("id")) is int
        and type(row.get("image_id")) is int
        and type(row.get("category_id")) is int
        and type(row.get("iscrowd", 0)) is int
        and type(row.get("bbox")) is list
        and len(row["bbox"]) == 4
        and row["id"] > 0
        and row["image_id"] in records
        and row["category_id"] in labels
        and row.get("iscrowd", 0) in (0, 1)
        and records[row["image_id"]].size is not None
    ]
    given = _numbers([[*rows[index]["bbox"], rows[index].get("area")] for index in chosen])
    if given is None:
        return {}
    given = given.reshape(-1, 5)
    height, width = np.array([records[rows[index]["image_id"]].size for index in chosen], np.float64).T
    own = np.array([around[index] for index in chosen])
    boxes = np.concatenate([given[:, :2], given[:, :2] + given[:, 2:4]], axis=1)
    shown = np.stack(
        [own[:, 0].clip(0), own[:, 1].clip(0), np.minimum(own[:, 2], width), np.minimum(own[:, 3], height)], 1
    )
    with np.errstate(invalid="ignore"):
        plain = (np.abs(given) < LARGEST).all(axis=1) & (given[:, 2:] > 0).all(axis=1)
        plain &= (shown[:, 2:] > shown[:, :2]).all(axis=1) & (np.abs(boxes - shown) <= 2).all(axis=1)
    found = {}
    for at, box, area in zip(
        np.flatnonzero(plain).tolist(), boxes[plain].tolist(), given[plain, 4].tolist(), strict=True
    ):
        row = rows[index := chosen[at]]
        found[index] = Annotation(
            index, row["id"], labels[row["category_id"]], row.get("iscrowd", 0) == 1, tuple(box), area,
            row["segmentation"],
        )  # fmt: skip
    return found


def plain_boxes(rows: list[Any]) -> dict[int, Box]:
    """The box (xyxy) around each object whose polygons are beyond doubt, by its place in ``rows``.

    Left out, for the careful look, are objects with a coordinate that is no number, far out or not paired,
    with a part of fewer than three points or of hardly any area, or with parts in opposite senses, as holes.
    """
    owners: list[int] = []
    parts: list[list[float]] = []
    for index, row in enumerate(rows):
        polygons = row.get("segmentation") if type(row) is dict else None
        if (
            type(polygons) is list
            and polygons
            and all(type(p) is list and len(p) >= 6 and not len(p) % 2 for p in polygons)
        ):
            owners += [index] * len(polygons)
            parts += polygons
    values = _numbers(parts)
    if values is None:
        return {}
    with np.errstate(invalid="ignore", over="ignore"):  # of rings that are not sound
        low, high, area = _measured(values.reshape(-1, 2), np.array([len(part) // 2 for part in parts]))
        # NaN fails every comparison; an area that is much of the box around it is beyond rounding.
        sound = (low > -LARGEST).all(axis=1) & (high < LARGEST).all(axis=1)
        sound &= np.abs(area) > 1e-6 * np.prod(high - low, axis=1)
    of = np.array(owners)
    first = np.flatnonzero(np.diff(of, prepend=-1))
    plain = np.logical_and.reduceat(sound, first)
    plain &= np.logical_or.reduceat(area < 0, first) != np.logical_or.reduceat(area > 0, first)
    boxes = np.concatenate([np.minimum.reduceat(low, first), np.maximum.reduceat(high, first)], axis=1)
    return {
        index: (box[0], box[1], box[2], box[3])
        for index, box in zip(of[first][plain].tolist(), boxes[plain].tolist(), strict=True)
    }


def _numbers(parts: list[list[float]]) -> NDArray[np.float64] | None:
    """All coordinates end to end; None where there are none or one is no number."""
    flat = list(chain.from_iterable(parts))
    if not flat or not set(map(type, flat)) <= {int, float}:
        return None
    try:
        return np.array(flat, np.float64)
    except OverflowError:
        return None


def _measured(
    points: NDArray[np.float64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of P rings that lie end to end: (P, 2) least and greatest xy, (P,) twice the signed area."""
    starts = np.cumsum(lengths) - lengths
    low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
    x, y = (points - np.repeat(low, lengths, axis=0)).T
    after = np.arange(1, len(points) + 1)
    after[starts + lengths - 1] = starts
    return low, high, np.add.reduceat(x * y[after] - y * x[after], starts)

"""Overlapping photographs of one field: every fruit is counted once, in the photograph that shows it best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.apply.same_fruit import Features, features_of, grouped, register, same_objects
from delineate.core.instances import Instances

ALL_PAIRS = 24
"""Up to so many photographs each is held against each other; more of them against their neighbours."""
NEIGHBOURS = 4


@dataclass(frozen=True, eq=False)
class Seen:
    """What is kept of a photograph.

    Attributes:
        name: the image's.
        features: its local features.
        objects: N fruit.
    """

    name: str
    features: Features
    objects: Instances


def seen(name: str, image: NDArray[Any], objects: Instances) -> Seen:
    """Keeps a photograph's features and fruit."""
    return Seen(name, features_of(image), objects)


def number_fruit(photos: Sequence[Seen]) -> tuple[list[NDArray[np.int64]], list[tuple[str, str, int]]]:
    """Numbers of fruit, alike for one in several photographs.

    Args:
        photos: in the order they were taken.

    Returns:
        For each photograph (N,) numbers from 1; and (name, name, shared fruit) of each pair that overlaps.
    """
    links: list[tuple[int, int, int, int, float]] = []
    pairs = []
    for a in range(len(photos)):
        last = len(photos) if len(photos) <= ALL_PAIRS else min(len(photos), a + 1 + NEIGHBOURS)
        for b in range(a + 1, last):
            homography = register(photos[a].features, photos[b].features)
            if homography is None:
                continue
            found = same_objects(photos[a].objects, photos[b].objects, homography)
            links += [(a, i, b, j, overlap) for i, j, overlap in found]
            pairs.append((photos[a].name, photos[b].name, len(found)))
    return grouped([len(photo.objects) for photo in photos], links), pairs


def mark_counted(rows: list[dict[str, Any]]) -> None:
    """Writes into rows with ``fruit`` which of one fruit's rows counts, and in how many photographs it is.

    The row of the largest outline that is not cut off counts; a cut one where there is no other.
    """
    best: dict[int, tuple[bool, float, int]] = {}
    times: dict[int, int] = {}
    for k, row in enumerate(rows):
        quality = (not row["touches_border"], row["area"] or 0.0, -k)
        times[row["fruit"]] = times.get(row["fruit"], 0) + 1
        if row["fruit"] not in best or quality > best[row["fruit"]]:
            best[row["fruit"]] = quality
    for k, row in enumerate(rows):
        row["seen_in"] = times[row["fruit"]]
        row["counted"] = -best[row["fruit"]][2] == k

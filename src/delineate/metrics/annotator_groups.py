"""Which outlines of several annotators show one object.

Outlines are joined from the largest overlap down, as long as no annotator stands in a group twice and the
mean IoU between the two sides stays at the threshold or above (average linkage with a cannot-link constraint;
Davidson, Ravi, "Agglomerative Hierarchical Clustering with Constraints", PKDD 2005). A mean, so that a chain
of outlines, each near the next, does not become one object.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.masks import Masks

THRESHOLD = 0.5


def group_objects(annotations: Sequence[Masks], threshold: float = THRESHOLD) -> NDArray[np.int64]:
    """The objects of an image as its annotators drew them.

    Args:
        annotations: R sets of masks of one image.
        threshold: mean IoU from which outlines are one object, in (0, 1].

    Returns:
        (G, R) the index of each object's mask in each annotator's set, -1 where the annotator has none. In
        the order of the first annotator's masks, then of the second's that are left, and so on. Masks without
        a pixel are in no group.

    Raises:
        InputError: masks of different image sizes, or a threshold outside (0, 1].

    Example:
        >>> a = Masks.from_label_image(np.array([[1, 1, 1, 0, 2, 2]]))
        >>> b = Masks.from_label_image(np.array([[0, 1, 1, 1, 0, 0]]))
        >>> group_objects([a, b]).tolist()
        [[0, 0], [1, -1]]
    """
    if not 0 < threshold <= 1 or len({masks.size for masks in annotations}) > 1:
        sizes = sorted({masks.size for masks in annotations})
        raise InputError(
            f"group_objects: expected one image size and a threshold in (0, 1], got {sizes}, {threshold}; "
            "compare annotations of one image"
        )
    first = np.cumsum([0, *(len(masks) for masks in annotations)])
    owner = np.repeat(np.arange(len(annotations)), np.diff(first))
    overlap = _overlaps(annotations, first)
    members: dict[int, list[int]] = {k: [k] for k in range(len(owner))}
    group = list(range(len(owner)))
    strongest = sorted((pair for pair in overlap if pair[0] < pair[1]), key=lambda p: (-overlap[p], p))
    for one, other in strongest:
        left, right = sorted((group[one], group[other]))
        if left == right or {owner[k] for k in members[left]} & {owner[k] for k in members[right]}:
            continue
        cross = [overlap.get((a, b), 0.0) for a in members[left] for b in members[right]]
        if sum(cross) >= threshold * len(cross):
            members[left] += members.pop(right)
            for k in members[left]:
                group[k] = left
    there = np.concatenate([[], *(np.asarray(masks.area) > 0 for masks in annotations)]).astype(bool)
    kept = [found for key, found in sorted(members.items()) if there[key]]
    table = np.full((len(kept), len(annotations)), -1, dtype=np.int64)
    for row, found in enumerate(kept):
        for k in found:
            table[row, owner[k]] = k - first[owner[k]]
    return table


def _overlaps(annotations: Sequence[Masks], first: NDArray[np.int64]) -> dict[tuple[int, int], float]:
    """IoU of all overlapping masks of different annotators, both ways, by their number among all."""
    found: dict[tuple[int, int], float] = {}
    for a, one in enumerate(annotations):
        for b in range(a + 1, len(annotations)):
            other = annotations[b]
            i, j, shared = one.intersection_pairs(other)
            iou = shared / (one.area[i] + other.area[j] - shared)
            for m, n, value in zip(
                (i + first[a]).tolist(), (j + first[b]).tolist(), iou.tolist(), strict=True
            ):
                found[m, n] = found[n, m] = value
    return found

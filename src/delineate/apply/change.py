"""What became of objects between two dates: the same, changed, gone, new; whatever shift lies between them.

Two surveys never lie exactly on each other, and roofs lean with the view. First the common shift is found:
the displacement that most pairs of nearby objects of like size agree on. It is taken out. Then each pair is
judged at the better of two places, where it lies and moved by its own centres' distance, up to the tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from delineate.core.convert.shapely import Geometries, shapely_package
from delineate.core.errors import InputError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
SAME, CHANGED, GONE, NEW = "same", "changed", "gone", "new"
STATES = (SAME, CHANGED, GONE, NEW)
LIKE = 0.6
"""Two objects tell of the common shift when the smaller has at least so much of the larger's area."""
SEARCH = 4.0
"""The common shift is looked for up to so many tolerances."""
SUPPORT = 0.3
"""Share of the objects of the smaller survey that must agree on it."""
PART = 0.5
"""An object without a partner that lies to this share in one of the other date is a part of that."""


@dataclass(frozen=True, eq=False)
class Changes:
    """R findings: pairs first, then what is gone, then what is new.

    Attributes:
        state: R of ``same``, ``changed``, ``gone``, ``new``.
        before: (R,) index among the first date's objects, -1 for none.
        after: (R,) index among the second's, -1 for none.
        iou: (R,) at the better place, 0..1; 0 without a partner.
        moved: (R,) what remains between the pair's centres once the common shift is out; NaN without one.
        shift: dx, dy from the first date to the second that was taken out.
        agreed: how many pairs agreed on it.
    """

    state: tuple[str, ...]
    before: Ints
    after: Ints
    iou: Floats
    moved: Floats
    shift: tuple[float, float]
    agreed: int

    @property
    def counts(self) -> dict[str, int]:
        """How many findings of each state."""
        return {state: self.state.count(state) for state in STATES}


def changes(
    before: Geometries,
    after: Geometries,
    *,
    tolerance: float,
    same: float = 0.7,
    least: float = 0.2,
    shift: tuple[float, float] | None = None,
) -> Changes:
    """Compares two dates.

    Args:
        before: (B,) polygons of the first date on a plane.
        after: (A,) polygons of the second on the same.
        tolerance: how far one object may lie off on its own, in the plane's unit; 0 for not at all.
        same: IoU from which a pair is the same; below it is changed.
        least: IoU from which two objects are a pair at all.
        shift: the common shift from the first date to the second; None to find it.

    Raises:
        InputError: a tolerance below 0, or IoUs out of order.

    Example:
        >>> from delineate.core.convert.shapely import to_shapely
        >>> from delineate.core.polygons import Polygon
        >>> def house(x, w=8): return [Polygon([[x, 0], [x + w, 0], [x + w, 6], [x, 6]])]
        >>> old = to_shapely([house(0), house(20), house(40), house(60), house(80)])
        >>> new = to_shapely([house(1), house(21), house(41, 13), house(81), house(111)])
        >>> found = changes(old, new, tolerance=2)
        >>> [round(v, 3) for v in found.shift], found.state
        ([1.0, 0.0], ('same', 'same', 'changed', 'same', 'gone', 'new'))
    """
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise InputError(
            f"changes, tolerance: expected metres from 0 on, got {tolerance}; give for example 2"
        )
    if not 0 < least <= same <= 1:
        raise InputError(
            f"changes: expected 0 < least <= same <= 1, got {least} and {same}; 0.2 and 0.7 are usual"
        )
    package = shapely_package()
    common, agreed = (shift, 0) if shift is not None else common_shift(before, after, tolerance)
    moved = package.transform(after, lambda points: points - np.array(common)) if len(after) else after
    i, j, iou, off, inside = _pairs(before, moved, tolerance)
    first, second = _one_to_one(i, j, np.where(iou >= least, iou, 0.0))
    partner = dict(zip(first.tolist(), second.tolist(), strict=True))
    at = {(a, b): k for k, (a, b) in enumerate(zip(i.tolist(), j.tolist(), strict=True))}
    rows = [(a, b, at[a, b]) for a, b in sorted(partner.items())]
    rows += _parts(i, j, inside, len(before), len(after), partner)
    taken_before, taken_after = {r[0] for r in rows}, {r[1] for r in rows}
    state = [SAME if (partner.get(a) == b and iou[k] >= same) else CHANGED for a, b, k in rows]
    gone = [a for a in range(len(before)) if a not in taken_before]
    new = [b for b in range(len(after)) if b not in taken_after]
    places = [k for _, _, k in rows]
    none = len(gone) + len(new)
    return Changes(
        (*state, *[GONE] * len(gone), *[NEW] * len(new)),
        np.array([*(r[0] for r in rows), *gone, *[-1] * len(new)], np.int64),
        np.array([*(r[1] for r in rows), *[-1] * len(gone), *new], np.int64),
        np.concatenate((iou[places], np.zeros(none))),
        np.concatenate((off[places], np.full(none, np.nan))),
        common,
        agreed,
    )


def common_shift(before: Geometries, after: Geometries, tolerance: float) -> tuple[tuple[float, float], int]:
    """The displacement from the first date to the second that most pairs agree on, and how many do.

    Every pair of like area within :data:`SEARCH` tolerances votes with the distance of its centres; the vote
    with the most others within half a tolerance wins, and the mean of those is taken. (0, 0) where fewer than
    three, or less than :data:`SUPPORT` of the smaller survey, agree.
    """
    package = shapely_package()
    if not len(before) or not len(after) or tolerance <= 0:
        return (0.0, 0.0), 0
    here, there = (package.get_coordinates(package.centroid(g)) for g in (before, after))
    if len(here) != len(before) or len(there) != len(after):  # some have no area
        return (0.0, 0.0), 0
    points = package.points(there)
    i, j = package.STRtree(points).query(
        package.points(here), predicate="dwithin", distance=SEARCH * tolerance
    )
    area, other = package.area(before)[i], package.area(after)[j]
    like = np.minimum(area, other) >= LIKE * np.maximum(area, other)
    votes = there[j[like]] - here[i[like]]
    if not len(votes):
        return (0.0, 0.0), 0
    near = package.STRtree(package.points(votes))
    a, b = near.query(package.points(votes), predicate="dwithin", distance=tolerance / 2)
    agree = np.bincount(a, minlength=len(votes))
    best = int(agree.argmax())
    count = int(agree[best])
    if count < max(3, SUPPORT * min(len(before), len(after))):
        return (0.0, 0.0), 0
    dx, dy = votes[b[a == best]].mean(axis=0).tolist()
    return (dx, dy), count


def _pairs(
    before: Geometries, after: Geometries, tolerance: float
) -> tuple[Ints, Ints, Floats, Floats, tuple[Floats, Floats]]:
    """Pairs that may overlap: indices, best IoU, centres' distance, and the share of each in the other."""
    package = shapely_package()
    if not len(before) or not len(after):
        none, empty = np.zeros(0, np.int64), np.zeros(0)
        return none, none, empty, empty, (empty, empty)
    tree = package.STRtree(after)
    i, j = tree.query(before, predicate="dwithin", distance=tolerance)
    own, other = before[i], after[j]
    areas = package.area(own), package.area(other)
    step = package.get_coordinates(package.centroid(own)) - package.get_coordinates(package.centroid(other))
    far = np.hypot(step[:, 0], step[:, 1])
    limited = step * np.minimum(1, np.divide(tolerance, far, out=np.zeros_like(far), where=far > 0))[:, None]
    owner = np.repeat(np.arange(len(other)), package.get_num_coordinates(other))
    beside = other.copy()
    if len(other):
        beside = package.set_coordinates(beside, package.get_coordinates(other) + limited[owner])
    shared = np.maximum(
        package.area(package.intersection(own, other)), package.area(package.intersection(own, beside))
    )
    whole = areas[0] + areas[1] - shared
    iou = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    inside = tuple(np.divide(shared, a, out=np.zeros_like(shared), where=a > 0) for a in areas)
    return i, j, iou, far, (inside[0], inside[1])


def _one_to_one(i: Ints, j: Ints, worth: Floats) -> tuple[Ints, Ints]:
    """Pairs by falling worth, each object once; those of no worth are none."""
    order = np.argsort(-worth, kind="stable")
    taken_i: set[int] = set()
    taken_j: set[int] = set()
    found = []
    for k in order[worth[order] > 0].tolist():
        a, b = int(i[k]), int(j[k])
        if a not in taken_i and b not in taken_j:
            taken_i.add(a)
            taken_j.add(b)
            found.append((a, b))
    pairs = np.array(found, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _parts(
    i: Ints, j: Ints, inside: tuple[Floats, Floats], n_before: int, n_after: int, partner: dict[int, int]
) -> list[tuple[int, int, int]]:
    """Objects without a partner that lie in one of the other date: it was split, or they were merged."""
    free_before = np.ones(n_before, np.bool_)
    free_before[list(partner)] = False
    free_after = np.ones(n_after, np.bool_)
    free_after[list(partner.values())] = False
    found: list[tuple[int, int, int]] = []
    for free, index, share in ((free_after, j, inside[1]), (free_before, i, inside[0])):
        for k in np.argsort(-share, kind="stable").tolist():
            if share[k] >= PART and free[index[k]]:
                free[index[k]] = False
                found.append((int(i[k]), int(j[k]), k))
    return sorted(set(found))

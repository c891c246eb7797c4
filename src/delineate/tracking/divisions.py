"""Cells that divide: how likely it is that two cells of this frame are the daughters of one of the last.

A mother gives way to two daughters that share out her area, lie on either side of where she was and about
as far apart as two halves of her that touch: two discs of half a disc's area lie 1.41 of its radii apart,
whereas the halves of a disc that was merely cut in two lie 0.85 apart and cover it as before. These are the
traits that Padfield, Rittscher and Roysam use ("Coupled minimum-cost flow cell tracking for high-throughput
quantitative analysis", Medical Image Analysis 15, 2011); here each has a density, and their product is
weighed against what it would take otherwise: a mother that vanished and two cells that came from nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.runs import ranges

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

CUT = 0.4  # deviation, in radii or of an area's logarithm, that the image's border adds where it cuts a cell


@dataclass(frozen=True)
class Divisions:
    """What divisions look like; lengths in the mother's radii (the radius of a disc of her area).

    Attributes:
        share: typical area of both daughters together, in areas of the mother.
        share_spread: standard deviation of its logarithm.
        balance: standard deviation of the logarithm of one daughter's area over the other's.
        middle: standard deviation, along each axis, of the daughters' middle from where the mother was.
        apart: typical distance between the daughters.
        apart_spread: its standard deviation.
        cover: typical IoU of both daughters together with the mother as she was expected.
        cover_spread: its standard deviation; a cell that was cut in two covers nearly the same pixels.
        youth: frames for which a daughter does not divide again.

    Raises:
        InputError: a value out of its range.
    """

    share: float = 1.0
    share_spread: float = 0.25
    balance: float = 0.5
    middle: float = 0.35
    apart: float = 1.55
    apart_spread: float = 0.35
    cover: float = 0.5
    cover_spread: float = 0.17
    youth: float = 5

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            least = 0 if name == "youth" else 1e-3
            if not least <= value < 1e6:
                raise InputError(
                    f"cells, {name}: expected a number from {least:g} up, got {value}; correct it"
                )


class Shapes(NamedTuple):
    """N cells in numbers.

    Attributes:
        centre: (N, 2) float64 x, y in pixels.
        area: (N,) float64 pixels, above 0.
        cut: (N,) bool, whether the image's border cuts it: what lies beyond is not known.
    """

    centre: Floats
    area: Floats
    cut: NDArray[np.bool_]

    @property
    def radius(self) -> Floats:
        """(N,) radii of discs of the same areas, in pixels."""
        return np.asarray(np.sqrt(self.area / np.pi))


class Pairs(NamedTuple):
    """D possible divisions.

    Attributes:
        mother: (D,) int64 rows.
        first: (D,) int64 columns of one daughter, below ``second``.
        second: (D,) int64 columns of the other.
        worth: (D,) float64 natural logarithm of the density of what is seen, given a division: per pixel^2
            for each daughter's place, per unit for each logarithm of an area.
    """

    mother: Index
    first: Index
    second: Index
    worth: Floats


def candidates(near: NDArray[np.bool_]) -> tuple[Index, Index, Index]:
    """All (mother, daughter, other daughter) of an (T, N) table of who is near whom; (D,) each, in order.

    Example:
        >>> [a.tolist() for a in candidates(np.array([[True, True, False], [False, True, False]]))]
        [[0], [0], [1]]
    """
    row, column = np.nonzero(near)
    end = np.cumsum(near.sum(axis=1))[row]  # where the row's entries end
    entry = np.arange(len(row))
    later = end - entry - 1
    first, second = np.repeat(entry, later), ranges(entry + 1, later)
    return row[first], column[first], column[second]


def weigh(
    mothers: Shapes,
    daughters: Shapes,
    near: NDArray[np.bool_],
    covered: Floats,
    missing: Floats,
    model: Divisions,
    spread: float = 0.0,
) -> Pairs:
    """The possible divisions and how well each looks like one.

    Args:
        mothers: T cells where they are expected in this frame.
        daughters: N cells of this frame.
        near: (T, N) who may be whose daughter.
        covered: (T, N) pixels that the expected mother shares with each daughter.
        missing: (T,) frames since the mother was seen, 1 for the last one.
        model: what divisions look like.
        spread: standard deviation, along each axis, of a cell's step in a frame, in radii: daughters drift
            apart as cells do.

    Returns:
        All candidates with their worth, in the order of :func:`candidates`.
    """
    mother, first, second = candidates(near)
    radius, area = mothers.radius[mother], mothers.area[mother]
    drift = spread**2 * missing[mother]
    between = daughters.centre[second] - daughters.centre[first]
    middle = (daughters.centre[first] + daughters.centre[second]) / 2 - mothers.centre[mother]
    unsure = CUT**2 * (mothers.cut[mother] | daughters.cut[first] | daughters.cut[second])
    var = model.middle**2 + drift / 2 + unsure
    worth = -(middle**2).sum(axis=1) / (2 * var * radius**2) - np.log(2 * np.pi * var * radius**2)
    apart = np.hypot(*between.T) / radius
    worth += _normal(apart, model.apart, np.sqrt(model.apart_spread**2 + 2 * drift + unsure))
    worth -= np.log(2 * np.pi * np.maximum(apart, 0.1) * radius**2)  # any direction; per pixel^2
    one, other = daughters.area[first], daughters.area[second]
    worth += _normal(
        np.log((one + other) / area), np.log(model.share), np.sqrt(model.share_spread**2 + unsure)
    )
    worth += _normal(np.log(one / other), 0.0, np.sqrt(model.balance**2 + 4 * unsure))
    shared = covered[mother, first] + covered[mother, second]
    cover = shared / (area + one + other - shared)
    alike = np.maximum(cover - model.cover, 0)  # covering less is no sign of a cut
    worth -= alike**2 / (2 * model.cover_spread**2)
    return Pairs(mother, first, second, worth)


def _normal(value: Floats, mean: float, deviation: Floats | float) -> Floats:
    """Logarithm of the normal density."""
    return np.asarray(-(((value - mean) / deviation) ** 2) / 2 - np.log(deviation * np.sqrt(2 * np.pi)))

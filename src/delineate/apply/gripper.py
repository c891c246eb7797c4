"""What the robot holds objects with: two parallel fingers, or a suction cup; their sizes and their volumes.

A gripper's frame: z is the way it comes (from the palm to the fingertips), x the way the fingers close,
y = z x x; its origin lies midway between the fingertips. A cup's origin is the middle of its rim.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Gripper:
    """Two parallel fingers. All in metres.

    Attributes:
        width: the widest opening, between the pads.
        depth: how far the fingers reach out of the palm.
        thickness: of a finger, along x.
        breadth: of finger and palm, along y.
        palm: height of the palm behind the fingers, along z.
        clearance: the fingers open so much wider than the object, on each side.
        friction: coefficient between pad and object.

    Raises:
        InputError: a size that is not above 0.

    Example:
        >>> Gripper(width=0.1).friction_angle > 0.4
        True
    """

    width: float = 0.085
    depth: float = 0.04
    thickness: float = 0.01
    breadth: float = 0.02
    palm: float = 0.06
    clearance: float = 0.005
    friction: float = 0.5

    def __post_init__(self) -> None:
        _check(self, "gripper")
        if self.width <= 2 * self.clearance:
            raise InputError(
                f"gripper: expected a width above twice the clearance ({2 * self.clearance:g} m), got "
                f"{self.width:g}; sizes are in metres"
            )

    @property
    def friction_angle(self) -> float:
        """Half the opening of the friction cone, radians."""
        return math.atan(self.friction)

    def boxes(self, opening: float) -> Floats:
        """(3, 2, 3) low and high corners of left finger, right finger and palm, opened so far."""
        half, side, back = opening / 2, self.breadth / 2, -self.depth
        outer = half + self.thickness
        return np.array(
            [
                [[-outer, -side, back], [-half, side, 0]],
                [[half, -side, back], [outer, side, 0]],
                [[-outer, -side, back - self.palm], [outer, side, back]],
            ]
        )


@dataclass(frozen=True)
class SuctionCup:
    """A round cup on a straight stem. All in metres.

    Attributes:
        radius: of the rim.
        compliance: how far from flat the rim still seals.
        hollow: how far a surface may bulge into the cup, above the plane of its rim.
        length: of cup and stem, which must be free.

    Raises:
        InputError: a size that is not above 0.
    """

    radius: float = 0.015
    compliance: float = 0.002
    hollow: float = 0.005
    length: float = 0.12

    def __post_init__(self) -> None:
        _check(self, "suction")


def _check(what: Gripper | SuctionCup, name: str) -> None:
    for field in fields(what):
        value = getattr(what, field.name)
        if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
            raise InputError(f"{name}: expected {field.name} above 0, got {value!r}; sizes are in metres")
        if field.name != "friction" and value > 1:
            raise InputError(
                f"{name}: expected {field.name} of at most 1 m, got {value:g}; sizes are in metres, not mm"
            )


def parse_sizes(text: str, option: str) -> dict[str, float]:
    """``width=0.08,depth=0.04`` as numbers.

    Raises:
        InputError: not of this form.

    Example:
        >>> parse_sizes("width=0.08, depth=.04", "--gripper")
        {'width': 0.08, 'depth': 0.04}
    """
    found: dict[str, float] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = pair.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise InputError(f"{option}: expected name=metres with commas between, got {pair!r}; see --help")
    return found


def gripper_of(sizes: Mapping[str, float]) -> Gripper:
    """A gripper with some sizes changed.

    Raises:
        InputError: an unknown name, or a size out of range.
    """
    return Gripper(**_known(sizes, Gripper, "--gripper"))


def cup_of(sizes: Mapping[str, float]) -> SuctionCup:
    """A cup with some sizes changed; errors as :func:`gripper_of`."""
    return SuctionCup(**_known(sizes, SuctionCup, "--suction"))


def _known(sizes: Mapping[str, float], kind: type, option: str) -> dict[str, float]:
    names = [field.name for field in fields(kind)]
    unknown = [name for name in sizes if name not in names]
    if unknown:
        raise InputError(f"{option}: expected some of {', '.join(names)}, got {unknown[0]!r}; correct it")
    return dict(sizes)


__all__ = ["Gripper", "SuctionCup", "cup_of", "gripper_of", "parse_sizes"]

"""Time to collision: when two participants touch if both go on as they do now.

Footprints are rectangles along the headings, moving on steadily (the time-to-collision of Hayward 1972 and
Minderhoud and Bovy, "Extended time-to-collision measures for road traffic safety assessment", Accident
Analysis & Prevention 33(1), 2001, in two dimensions). Two rectangles touch while their projections overlap
on all four of their axes; the first moment of that is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def times_to_collision(
    place: ArrayLike, velocity: ArrayLike, heading: ArrayLike, size: ArrayLike, other: tuple[ArrayLike, ...]
) -> Floats:
    """Seconds until each of P pairs touches: 0 where they do already, infinity where they will not.

    Args:
        place: (P, 2) middles of the first of each pair, metres.
        velocity: (P, 2) in m/s.
        heading: (P,) radians.
        size: (P, 2) length and width in metres.
        other: the same four of the second of each pair.

    Example:
        >>> car = ([[0.0, 0.0]], [[10.0, 0.0]], [0.0], [[4.0, 2.0]])
        >>> ahead = ([[24.0, 0.0]], [[0.0, 0.0]], [1.0], [[0.0, 0.0]])
        >>> times_to_collision(*car, ahead).round(3).tolist()
        [2.2]
    """
    here, there = (
        [np.asarray(v, np.float64) for v in part] for part in ((place, velocity, heading, size), other)
    )
    off, speed = there[0] - here[0], there[1] - here[1]
    axes = np.concatenate([_axes(here[2]), _axes(there[2])], axis=1)  # (P, 4, 2)
    half = _reach(here, axes) + _reach(there, axes)
    start, rate = (axes @ off[..., None])[..., 0], (axes @ speed[..., None])[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        one, two = (-half - start) / rate, (half - start) / rate
    still = rate == 0
    apart = still & (np.abs(start) > half)
    enter = np.where(still, np.where(apart, np.inf, -np.inf), np.minimum(one, two)).max(axis=1)
    leave = np.where(still, np.where(apart, -np.inf, np.inf), np.maximum(one, two)).min(axis=1)
    found: Floats = np.where((enter <= leave) & (leave >= 0), np.maximum(enter, 0.0), np.inf)
    return found


def _axes(heading: Floats) -> Floats:
    """(P, 2, 2) along and across."""
    c, s = np.cos(heading), np.sin(heading)
    return np.stack([np.stack([c, s], axis=-1), np.stack([-s, c], axis=-1)], axis=1)


def _reach(part: list[Floats], axes: Floats) -> Floats:
    """(P, 4) how far a rectangle reaches from its middle along each axis."""
    own = _axes(part[2])
    found: Floats = (np.abs(axes @ own.transpose(0, 2, 1)) @ (part[3] / 2)[..., None])[..., 0]
    return found

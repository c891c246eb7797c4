"""Outlines of synthetic objects, each as a signed distance in its own frame.

An object's own frame has its centre at (0, 0) and its radius as the unit, v downward. A family turns random
numbers into the coefficients of an outline, tells the signed distance of points to it (negative inside, exact
to first order near the outline, which is what anti-aliasing needs), and how far it reaches in a direction.
Only additions, products and square roots act on pixels, so the masks are the same on every platform.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FORM = 16  # random numbers in 0..1 that decide an outline

Array = NDArray[np.floating[Any]]


class Family(NamedTuple):
    """One kind of object.

    Attributes:
        coefficients: random numbers (N, FORM) in 0..1 to M coefficients each, (M, N).
        distance: coefficients (M, P), u (P,), v (P,) to signed distances (P,), in radii.
        reach: coefficients (M, N, 1), cosines and sines of directions (D,), to how far the outline lies from
            the centre there, (N, D), in radii; for a person that of an ellipse around it.
        extent: coefficients (M, N), cosines and sines (N,) of the angles that the objects are turned by, to
            half width and half height (N, 2), in radii, of boxes around the centres that hold the outlines.
        upright: it stands on the ground: turned little, and what stands lower in the picture is nearer.
    """

    coefficients: Callable[[Array], Array]
    distance: Callable[[Array, Array, Array], Array]
    reach: Callable[[Array, Array, Array], Array]
    extent: Callable[[Array, Array, Array], Array]
    upright: bool = False


# -- cell: a circle with harmonics 2 to 4 ---------------------------------------------------------------


def _cell_coefficients(form: Array) -> Array:
    scale = np.array([0.17, 0.17, 0.09, 0.09, 0.05, 0.05])
    return (form[:, :6] * 2 - 1).T * scale[:, None]


def _harmonics(k: Array, c: Array, s: Array) -> tuple[Array, Array]:
    """Radius and its derivative by the angle, for directions with cosine c and sine s."""
    c2, s2 = c * c - s * s, 2 * c * s
    c3, s3 = c2 * c - s2 * s, s2 * c + c2 * s
    c4, s4 = c2 * c2 - s2 * s2, 2 * c2 * s2
    radius = 1 + k[0] * c2 + k[1] * s2 + k[2] * c3 + k[3] * s3 + k[4] * c4 + k[5] * s4
    slope = 2 * (k[1] * c2 - k[0] * s2) + 3 * (k[3] * c3 - k[2] * s3) + 4 * (k[5] * c4 - k[4] * s4)
    return radius, slope


def _cell_distance(k: Array, u: Array, v: Array) -> Array:
    rho = np.sqrt(u * u + v * v) + u.dtype.type(1e-6)
    radius, slope = _harmonics(k, u / rho, v / rho)
    return (rho - radius) * radius / np.sqrt(radius * radius + slope * slope)


def _cell_reach(k: Array, c: Array, s: Array) -> Array:
    return _harmonics(k, c, s)[0]


def _cell_extent(k: Array, c: Array, s: Array) -> Array:
    outer = 1 + np.hypot(k[0], k[1]) + np.hypot(k[2], k[3]) + np.hypot(k[4], k[5])
    return np.stack([outer, outer], axis=1)


# -- ellipse --------------------------------------------------------------------------------------------


def _ellipse_coefficients(form: Array) -> Array:
    return np.stack([1.1 + 0.2 * form[:, 0], 0.55 + 0.4 * form[:, 1]])


def _ellipse_distance(k: Array, u: Array, v: Array) -> Array:
    p, q = u / k[0], v / k[1]
    level = np.sqrt(p * p + q * q) + u.dtype.type(1e-6)
    p, q = p / k[0], q / k[1]
    return level * (level - 1) / (np.sqrt(p * p + q * q) + u.dtype.type(1e-6))


def _ellipse_reach(k: Array, c: Array, s: Array) -> Array:
    return 1 / np.sqrt((c / k[0]) ** 2 + (s / k[1]) ** 2)


def _ellipse_extent(k: Array, c: Array, s: Array) -> Array:
    return np.stack([np.hypot(k[0] * c, k[1] * s), np.hypot(k[0] * s, k[1] * c)], axis=1)


# -- polygon: six half-planes, such as grains and stones ------------------------------------------------

SIDES = 6


def _polygon_coefficients(form: Array) -> Array:
    turn = 2 * np.pi * (np.arange(SIDES) + 0.6 * form[:, :SIDES]) / SIDES  # (N, SIDES)
    away = 0.78 + 0.27 * form[:, SIDES : 2 * SIDES]
    return np.concatenate([np.cos(turn).T, np.sin(turn).T, away.T])


def _polygon_distance(k: Array, u: Array, v: Array) -> Array:
    found = u * k[0] + v * k[SIDES] - k[2 * SIDES]
    for i in range(1, SIDES):
        found = np.maximum(found, u * k[i] + v * k[SIDES + i] - k[2 * SIDES + i])
    return found


def _polygon_reach(k: Array, c: Array, s: Array) -> Array:
    facing = k[:SIDES] * c + k[SIDES : 2 * SIDES] * s  # (SIDES, N, D)
    return (k[2 * SIDES :] / np.maximum(facing, 1e-3)).min(axis=0)


def _polygon_extent(k: Array, c: Array, s: Array) -> Array:
    """The farthest corner: where the edges of neighbouring half-planes meet."""
    x, y, a = k[:SIDES], k[SIDES : 2 * SIDES], k[2 * SIDES :]
    next_x, next_y, b = (np.roll(part, -1, axis=0) for part in (x, y, a))
    turned = x * next_x + y * next_y  # cosine of the angle between the two
    outer = np.sqrt((a * a + b * b - 2 * a * b * turned) / (1 - turned * turned)).max(axis=0)
    return np.stack([outer, outer], axis=1)


# -- ring: a cell with a hole ---------------------------------------------------------------------------


def _ring_coefficients(form: Array) -> Array:
    hole = 0.38 + 0.22 * form[:, 6]
    return np.concatenate([_cell_coefficients(form) * 0.7, hole[None]])


def _ring_distance(k: Array, u: Array, v: Array) -> Array:
    rho = np.sqrt(u * u + v * v) + u.dtype.type(1e-6)
    radius, slope = _harmonics(k, u / rho, v / rho)
    outer = (rho - radius) * radius / np.sqrt(radius * radius + slope * slope)
    return np.maximum(outer, k[6] - rho)


# -- person: head, body, arms and legs, 2 radii tall ----------------------------------------------------


def _person_coefficients(form: Array) -> Array:
    """Stride, arm swing, width, head's lean; the first number is the phase of the walk."""
    phase = 2 * np.pi * form[:, 0]
    stride = (0.10 + 0.18 * form[:, 1]) * np.sin(phase)
    swing = -(0.05 + 0.2 * form[:, 2]) * np.sin(phase)
    return np.stack([stride, swing, 0.9 + 0.3 * form[:, 3], 0.12 * (form[:, 4] - 0.5)])


def _limb(u: Array, v: Array, a: tuple[Any, float], b: tuple[Any, float], radius: Any) -> Array:
    """Distance to a line from a to b, drawn with a round pen."""
    du, dv = b[0] - a[0], b[1] - a[1]
    pu, pv = u - a[0], v - a[1]
    along = np.clip((pu * du + pv * dv) / (du * du + dv * dv), 0, 1)
    pu, pv = pu - du * along, pv - dv * along
    return np.sqrt(pu * pu + pv * pv) - radius


def _person_distance(k: Array, u: Array, v: Array) -> Array:
    stride, swing, width, lean = k
    head_u, head_v = u - lean, (v + np.float32(0.83)) * np.float32(0.85)
    found = np.sqrt(head_u * head_u + head_v * head_v) - np.float32(0.135)
    parts = (
        ((lean, -0.75), (lean * 0, -0.2), np.float32(0.07)),  # neck
        ((lean * 0, -0.44), (lean * 0, 0.02), np.float32(0.2) * width),  # body
        ((-0.2 * width, -0.5), (-0.24 * width - swing, 0.06), np.float32(0.065)),
        ((0.2 * width, -0.5), (0.24 * width + swing, 0.06), np.float32(0.065)),
        ((-0.08 * width, 0.05), (-0.1 - stride, 0.91), np.float32(0.085)),
        ((0.08 * width, 0.05), (0.1 + stride, 0.91), np.float32(0.085)),
    )
    for a, b, radius in parts:
        found = np.minimum(found, _limb(u, v, a, b, radius))
    return found


def _person_reach(k: Array, c: Array, s: Array) -> Array:
    return 1 / np.sqrt((c / (0.3 * k[2])) ** 2 + s**2)


def _person_extent(k: Array, c: Array, s: Array) -> Array:
    c, s = abs(c), abs(s)
    return np.stack([0.75 * c + 1.02 * s, 0.75 * s + 1.02 * c], axis=1)


SHAPES = {
    "cell": Family(_cell_coefficients, _cell_distance, _cell_reach, _cell_extent),
    "ellipse": Family(_ellipse_coefficients, _ellipse_distance, _ellipse_reach, _ellipse_extent),
    "polygon": Family(_polygon_coefficients, _polygon_distance, _polygon_reach, _polygon_extent),
    "ring": Family(_ring_coefficients, _ring_distance, _cell_reach, _cell_extent),
    "person": Family(_person_coefficients, _person_distance, _person_reach, _person_extent, upright=True),
}
"""The families by name."""

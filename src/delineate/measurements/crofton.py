"""The surface of objects in a stack of slices, from how often lines through the voxels enter them.

Crofton's formula in 13 directions: Legland, Kiêu and Devaux, "Computation of Minkowski measures on 2D and 3D
binary images", Image Analysis and Stereology 26, 2007; Lehmann and Legland, "Efficient N-Dimensional surface
estimation using Crofton formula and run-length encoding", Insight Journal, 2012. A direction's weight is the
share of the sphere that is nearer to it than to the others, by which voxels may have any three sides.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import SphericalVoronoi

Spacing = tuple[float, float, float]

STEPS = tuple(step for step in itertools.product((0, 1), (-1, 0, 1), (-1, 0, 1)) if step > (0, 0, 0))
"""One of each pair of opposite directions to a voxel's 26 neighbours, (slices, rows, columns)."""


def direction_weights(spacing: Spacing) -> NDArray[np.float64]:
    """(13,) share of the sphere of each of :data:`STEPS` and its opposite, 1 in all.

    Args:
        spacing: distance of voxels across slices, rows and columns, any unit.

    Example:
        >>> direction_weights((1, 1, 1))[:3].round(4).tolist()  # along a row, a diagonal, a column
        [0.0916, 0.074, 0.0916]
    """
    steps = np.array(STEPS, dtype=np.float64) * np.array(spacing)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    areas = SphericalVoronoi(np.concatenate([steps, -steps])).calculate_areas()
    shares: NDArray[np.float64] = (areas[: len(STEPS)] + areas[len(STEPS) :]) / (4 * np.pi)
    return shares


class SurfaceCount:
    """Counts, slice by slice, on how many chords each line direction meets each of N objects.

    Args:
        count: N.
    """

    def __init__(self, count: int) -> None:
        self.voxels = np.zeros(count + 1, dtype=np.int64)
        self.pairs = np.zeros((len(STEPS), count + 1), dtype=np.int64)

    def add(self, here: NDArray[np.int64], following: NDArray[np.int64] | None) -> None:
        """Counts a slice's voxels and their neighbours in it and in the next one.

        Args:
            here: (H, W) 0 background, 1..N.
            following: the next slice, or None after the last.
        """
        number = len(self.voxels)
        self.voxels += np.bincount(here.ravel(), minlength=number)
        for k, (across, down, right) in enumerate(STEPS):
            other = here if not across else following
            if other is None:
                continue
            one, two = facing(here, other, down, right)
            self.pairs[k] += np.bincount(one[one == two], minlength=number)

    def areas(self, spacing: Spacing) -> NDArray[np.float64]:
        """(N,) surface areas in the square of the spacing's unit.

        Lines in direction k lie one in each (voxel volume / step length) of a plane across them, so chords
        times that area are the projected area; four times its mean over directions is the surface (Cauchy).
        """
        volume = float(np.prod(spacing))
        length = np.linalg.norm(np.array(STEPS, dtype=np.float64) * np.array(spacing), axis=1)
        chords = self.voxels - self.pairs
        projected = chords * (volume / length)[:, None]
        surface: NDArray[np.float64] = 4 * direction_weights(spacing) @ projected
        return surface[1:]


def facing(
    here: NDArray[Any], other: NDArray[Any], down: int, right: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The voxels that have a neighbour ``down`` rows and ``right`` columns on in ``other``, and those."""
    height, width = here.shape
    rows = slice(max(0, -down), height - max(0, down))
    columns = slice(max(0, -right), width - max(0, right))
    moved = (
        slice(max(0, down), height - max(0, -down)),
        slice(max(0, right), width - max(0, -right)),
    )
    return here[rows, columns], other[moved]

"""Distances that pay for every change of colour on the way (Bai and Sapiro 2007)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

Mask = NDArray[np.bool_]
Map = NDArray[np.float32]


def path_costs(pixels: Map, seeds: Mask, allowed: Mask, step: float, power: float = 1.0) -> Map:
    """The cost of the cheapest path from the nearest seed to each pixel, through ``allowed`` pixels.

    From a pixel to one of its four neighbours costs the distance of their colours to the ``power``, and
    ``step``.

    Args:
        pixels: (H, W, C).
        seeds: (H, W) where paths begin; those not allowed do not count.
        allowed: (H, W) where paths may go.
        step: above 0.
        power: above 1, few large changes cost more than many small ones.

    Returns:
        (H, W) costs; infinite where no path leads.

    Example:
        >>> row = np.array([0, 0, 1, 1], np.float32)[None, :, None]
        >>> path_costs(row, np.array([[True, False, False, False]]), np.ones((1, 4), bool), 0.5).tolist()
        [[0.0, 0.5, 2.0, 2.5]]
    """
    costs = np.full(allowed.shape, np.inf, np.float32)
    starts = seeds & allowed
    if not starts.any():
        return costs
    number = np.cumsum(allowed).reshape(allowed.shape) - 1
    count = int(number[-1, -1]) + 1
    ends: list[NDArray[np.int64]] = []
    weights: list[Map] = []
    for a, b in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        joined = allowed[a] & allowed[b]
        ends.append(np.stack([number[a][joined], number[b][joined]]))
        change = np.linalg.norm(pixels[a][joined] - pixels[b][joined], axis=-1)
        weights.append(np.asarray(change**power + np.float32(step), np.float32))
    i, j = np.concatenate(ends, axis=1)
    graph = coo_array((np.concatenate(weights), (i, j)), shape=(count, count)).tocsr()
    costs[allowed] = dijkstra(graph, directed=False, indices=number[starts], min_only=True)
    return costs

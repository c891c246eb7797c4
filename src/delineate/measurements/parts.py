"""How many separate parts and how many holes a region has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .runs import Runs


def part_counts(runs: Runs) -> NDArray[np.int64]:
    """(N,) parts of every region; pixels that touch by an edge or a corner are of one part.

    With :func:`delineate.measurements.perimeter.euler_numbers` the holes are parts - euler number.
    """
    result = np.ones(len(runs), dtype=np.int64)
    if not len(runs):
        return result
    width = runs.bbox[:, 3] - runs.bbox[:, 1]
    contacts = _contacts(runs)
    # One run in each column, each touching the next: one part, without a look at the graph.
    plain = (runs.counts == width) & (np.bincount(runs.owner[contacts[0]], minlength=len(runs)) == width - 1)
    rest = np.flatnonzero(~plain)
    if not len(rest):
        return result
    chosen = runs.chosen(rest)
    a, b = _contacts(chosen)
    total = len(chosen.x)
    graph = coo_matrix((np.ones(len(a), np.int8), (a, b)), shape=(total, total))
    found, component = connected_components(graph, directed=False)
    owner = np.zeros(found, np.int64)
    owner[component] = chosen.owner
    result[rest] = np.bincount(owner, minlength=len(rest))
    return result


def _contacts(runs: Runs) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of runs, places in ``runs``, of one region in neighbouring columns that touch."""
    height, width = runs.size
    start = (runs.owner * (width + 2) + runs.x) * (height + 2) + runs.y
    end = start + runs.length
    following = start + (height + 2)
    first = np.searchsorted(end, following, side="left")
    number = np.maximum(np.searchsorted(start, following + runs.length, side="right") - first, 0)
    a = np.repeat(np.arange(len(start)), number)
    b = np.arange(len(a)) - np.repeat(np.cumsum(number) - number, number) + np.repeat(first, number)
    return a, b

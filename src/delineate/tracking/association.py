"""Which track goes with which detection: the pairs of largest total similarity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.float64]
Index = NDArray[np.int64]


def assign(similarity: Floats, least: float) -> tuple[Index, Index]:
    """One-to-one pairs of rows and columns.

    Maximises the sum of ``similarity - least`` over the pairs (the assignment problem: Kuhn, "The Hungarian
    Method", Naval Research Logistics 2, 1955): a pair at or below ``least`` is worth nothing and never made.

    Args:
        similarity: (T, N); -inf where a pair is out of the question.
        least: similarity that a pair must be above.

    Returns:
        rows (P,) ascending and columns (P,).

    Example:
        >>> [a.tolist() for a in assign(np.array([[0.9, 0.8], [0.8, 0.1]]), 0.3)]
        [[0, 1], [1, 0]]
    """
    i, j = np.nonzero(similarity > least)
    alone = (np.bincount(i, minlength=len(similarity))[i] == 1) & (
        np.bincount(j, minlength=similarity.shape[1])[j] == 1
    )
    rows, columns = np.unique(i[~alone]), np.unique(j[~alone])  # these compete; the others have no choice
    worth = np.maximum(similarity[np.ix_(rows, columns)] - least, 0)
    r, c = linear_sum_assignment(worth, maximize=True)
    made = worth[r, c] > 0
    rows = np.concatenate((i[alone], rows[r[made]]))
    columns = np.concatenate((j[alone], columns[c[made]]))
    order = np.argsort(rows)
    return rows[order], columns[order]


def assign_all(similarity: Floats, allowed: NDArray[np.bool_], least: float) -> tuple[Index, Index]:
    """One-to-one pairs as SORT makes them: the best assignment first, then pairs below ``least`` are undone.

    Unlike :func:`assign`, a poor pair may be part of the best sum and take a detection from a good one.

    Args:
        similarity: (T, N).
        allowed: (T, N) bool, pairs that may be made.
        least: similarity that a pair must have.

    Returns:
        rows (P,) ascending and columns (P,).
    """
    rows, columns = np.flatnonzero(allowed.any(axis=1)), np.flatnonzero(allowed.any(axis=0))
    table = np.where(allowed, similarity, 0)[np.ix_(rows, columns)]
    r, c = linear_sum_assignment(table, maximize=True)
    rows, columns = rows[r], columns[c]
    made = allowed[rows, columns] & (similarity[rows, columns] >= least)
    return rows[made], columns[made]

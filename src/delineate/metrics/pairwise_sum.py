"""The sum of a sparse vector, rounded as NumPy rounds the sum of the dense one.

``numpy.sum`` adds contiguous numbers in halves (pairwise summation, Higham 1993) down to blocks of up to 128.
Where the halves are cut decides the last digit. Cutting the sparse vector at the same places gives the same
digits without the zeros being there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 128


def sparse_sum(at: NDArray[np.int64], values: NDArray[np.float64], size: int) -> float:
    """The sum that ``numpy.sum`` gives of ``size`` numbers, ``values`` at the places ``at``, else zero.

    Args:
        at: (S,) distinct places in 0..size-1, ascending.
        values: (S,) numbers.
        size: length of the dense vector.

    Example:
        >>> dense = np.zeros(1000)
        >>> dense[[3, 700]] = 0.1, 0.2
        >>> sparse_sum(np.array([3, 700]), np.array([0.1, 0.2]), 1000) == float(dense.sum())
        True
    """
    if not len(at):
        return 0.0
    if size <= _BLOCK:
        block = np.zeros(size)
        block[at] = values
        return float(block.sum())
    half = size // 2
    half -= half % 8
    cut = int(np.searchsorted(at, half))
    return sparse_sum(at[:cut], values[:cut], half) + sparse_sum(at[cut:] - half, values[cut:], size - half)

"""Agreement beyond chance on classes: Cohen's kappa of two annotators, Krippendorff's alpha of any number.

Cohen, "A Coefficient of Agreement for Nominal Scales", Educational and Psychological Measurement 20 (1960).
Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), sections A to C: nominal data, any number
of annotators, values may be missing.

Both need a number of things that all annotators judged. Objects that are drawn freely have no such number,
for nobody counts the objects that nobody drew; where negatives have no end, kappa goes to the F-measure
(Hripcsak and Rothschild, "Agreement, the F-Measure, and Reliability in Information Retrieval", JAMIA 12,
2005). So whether objects are found is told as F1, and chance is taken out where it can be: of the classes of
objects that several annotators drew, and of the classes of pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from delineate.core.errors import InputError

Floats = NDArray[np.float64]


def cohen_kappa(table: ArrayLike) -> float:
    """Cohen's kappa of a table of counts.

    Args:
        table: (K, K) things that the first annotator put in the row's class and the second in the column's.

    Returns:
        1 for full agreement, 0 for that of chance, below 0 for less; NaN where both have used one class only,
        or for no things.

    Raises:
        InputError: a table that is not square.

    Example:
        >>> round(cohen_kappa([[20, 5], [10, 15]]), 3)
        0.4
    """
    counts = np.asarray(table, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise InputError(f"cohen_kappa: expected a square table, got {counts.shape}; give (K, K) counts")
    whole = counts.sum()
    if not whole:
        return float("nan")
    seen = np.trace(counts) / whole
    chance = float(counts.sum(axis=1) @ counts.sum(axis=0)) / whole**2
    return float((seen - chance) / (1 - chance)) if chance < 1 else float("nan")


def coincidences(values: ArrayLike, classes: int) -> Floats:
    """Krippendorff's matrix of coincidences.

    Args:
        values: (R, U) the class 0..K-1 that each of R annotators gave each of U things; -1 is missing.
        classes: K.

    Returns:
        (K, K), symmetric: every ordered pair of values of one thing, weighted by 1 over one less than the
        number of its values. Things with fewer than two values add nothing.

    Raises:
        InputError: values of another shape or beyond the classes.
    """
    table = np.asarray(values, dtype=np.int64)
    if table.ndim != 2 or (table.size and (table.min() < -1 or table.max() >= classes)):
        raise InputError(
            f"coincidences: expected (annotators, things) of classes -1..{classes - 1}, got {table.shape}; "
            "number the classes from 0"
        )
    number = (table >= 0).sum(axis=0)
    result = np.zeros((classes, classes))
    for first in range(len(table)):
        for second in range(len(table)):
            both = (table[first] >= 0) & (table[second] >= 0)
            if first != second and both.any():
                at = table[first, both] * classes + table[second, both]
                weights = 1 / (number[both] - 1)
                result += np.bincount(at, weights, minlength=classes**2).reshape(classes, classes)
    return result


def krippendorff_alpha(matrix: ArrayLike) -> float:
    """Krippendorff's alpha of nominal values from their coincidences.

    Args:
        matrix: (K, K) of :func:`coincidences`; several may be added up.

    Returns:
        1 for full agreement, 0 for that of chance, below 0 for less; NaN where one class alone occurs, for
        without variation there is nothing to agree on.

    Example:
        >>> round(krippendorff_alpha(coincidences([[0, 0, 1, 1, 0], [0, 0, 1, 1, 1]], 2)), 3)
        0.64
    """
    counts = np.asarray(matrix, dtype=np.float64)
    each = counts.sum(axis=1)
    whole = each.sum()
    expected = whole**2 - float(each @ each)
    if whole <= 1 or expected <= 0:
        return float("nan")
    return float(1 - (whole - 1) * (whole - np.trace(counts)) / expected)

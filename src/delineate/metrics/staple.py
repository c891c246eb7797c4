"""STAPLE: the likely true mask and each annotator's quality, estimated together.

Warfield, Zou, Wells, "Simultaneous Truth and Performance Level Estimation (STAPLE): An Algorithm for the
Validation of Image Segmentation", IEEE Transactions on Medical Imaging 23 (2004), section II: expectation
maximisation with one prior for all pixels and no spatial model, as ITK's filter does it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from delineate.core.errors import InputError

Floats = NDArray[np.float64]
START = 0.99999
"""Every annotator's sensitivity and specificity before the first step; ITK starts here too."""


@dataclass(frozen=True)
class Staple:
    """What STAPLE finds.

    Attributes:
        probability: of each pixel to be foreground, in the shape of one decision.
        sensitivity: (R,) share of the true foreground that each annotator marks.
        specificity: (R,) share of the true background that each annotator leaves.
        iterations: steps taken.
    """

    probability: Floats
    sensitivity: Floats
    specificity: Floats
    iterations: int


def staple(
    decisions: ArrayLike, prior: float | None = None, iterations: int = 100, tolerance: float = 1e-7
) -> Staple:
    """The likely true mask of R masks.

    Pixels that all annotators judged alike are one in the estimate, so the time hardly grows with the image.

    Args:
        decisions: (R, ...) bool, R from 1 to 62 masks of one shape.
        prior: share of foreground, 0..1; default the mean of all decisions.
        iterations: at most so many steps.
        tolerance: stop where no sensitivity or specificity changes by more.

    Raises:
        InputError: no masks, more than 62, or a prior outside 0..1.

    Example:
        >>> found = staple([[1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 1]])
        >>> (found.probability > 0.5).astype(int).tolist(), found.sensitivity.round(2).tolist()
        ([1, 1, 1, 0, 0, 0], [1.0, 1.0, 0.67])
    """
    marks = np.asarray(decisions) != 0
    if marks.ndim < 2 or not 1 <= len(marks) <= 62 or (prior is not None and not 0 <= prior <= 1):
        raise InputError(
            f"staple: expected 1 to 62 masks (R, ...) and a prior in 0..1, got {marks.shape} and {prior}; "
            "stack the masks of one object"
        )
    flat = marks.reshape(len(marks), -1)
    code = (1 << np.arange(len(flat), dtype=np.int64)) @ flat
    pattern, where, number = np.unique(code, return_inverse=True, return_counts=True)
    said = (pattern >> np.arange(len(flat), dtype=np.int64)[:, None]) & 1 == 1  # (R, patterns)
    share = float(flat.mean()) if prior is None else prior
    sensitivity, specificity = np.full(len(flat), START), np.full(len(flat), START)
    step = 0
    weight = _expect(said, sensitivity, specificity, share)
    while step < iterations:
        step += 1
        before = np.concatenate([sensitivity, specificity])
        sensitivity = _share(said, weight * number, sensitivity)
        specificity = _share(~said, (1 - weight) * number, specificity)
        weight = _expect(said, sensitivity, specificity, share)
        if np.abs(np.concatenate([sensitivity, specificity]) - before).max() <= tolerance:
            break
    return Staple(weight[where].reshape(marks.shape[1:]), sensitivity, specificity, step)


def _expect(said: NDArray[np.bool_], sensitivity: Floats, specificity: Floats, prior: float) -> Floats:
    """The chance of foreground behind each pattern (equation 13)."""
    yes = prior * np.prod(np.where(said, sensitivity[:, None], 1 - sensitivity[:, None]), axis=0)
    no = (1 - prior) * np.prod(np.where(said, 1 - specificity[:, None], specificity[:, None]), axis=0)
    both = yes + no
    return np.divide(yes, both, out=np.full_like(both, prior), where=both > 0)


def _share(said: NDArray[np.bool_], weight: Floats, before: Floats) -> Floats:
    """The share of the weight that each annotator marks (equations 18, 19); as before where there is none."""
    whole = weight.sum()
    return np.asarray((said * weight).sum(axis=1) / whole if whole > 0 else before)

"""Predictions on objects that look like what is sought but are not judged: MOT Challenge's distractors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

EPS = float(np.finfo(np.float64).eps)


def on_distractors(similarity: NDArray[np.float64], distractor: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(P,) predictions that the best one-to-one matching with all objects puts on a distractor.

    As TrackEval prepares MOT Challenge: all true boxes take part in the matching, whatever their class.

    Args:
        similarity: (P, T) IoU in 0..1; a pair matches from 0.5 on.
        distractor: (T,) which true objects are distractors.

    Example:
        >>> on_distractors(np.array([[0.9, 0.6], [0.0, 0.7]]), np.array([False, True])).tolist()
        [False, True]
    """
    scores = np.where(similarity < 0.5 - EPS, 0.0, similarity).T  # (T, P), as the reference lays it out
    rows, columns = linear_sum_assignment(-scores)
    result = np.zeros(scores.shape[1], dtype=np.bool_)
    result[columns[(scores[rows, columns] > EPS) & distractor[rows]]] = True
    return result

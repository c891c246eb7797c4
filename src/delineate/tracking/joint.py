"""Who becomes whom, with divisions: the choice of links and divisions of the largest total gain.

Every track is used once at most, as one end of a link or as a mother, and so is every detection. That is a
set packing, solved exactly as an integer programme by HiGHS (scipy.optimize.milp); its relaxation is nearly
always whole already. Where no division is possible it is the assignment problem. The formulation is that of
Jaqaman et al. ("Robust single-particle tracking in live-cell time-lapse sequences", Nature Methods 5, 2008)
and of Padfield et al. 2011, for one frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from .association import assign

Floats = NDArray[np.float64]
Index = NDArray[np.int64]


def choose(links: Floats, divisions: Index, gains: Floats) -> tuple[Index, Index, Index]:
    """The links and divisions of the largest total gain.

    Args:
        links: (T, N) gain of each link over the track ending and the detection being new; at or below 0, or
            -inf, it is never made.
        divisions: (D, 3) int64 rows (track, detection, other detection).
        gains: (D,) gain of each division, likewise.

    Returns:
        rows (P,) ascending and columns (P,) of the links, and (Q,) ascending places in ``divisions``.

    Example:
        >>> links = np.array([[3.0, 2.0], [-np.inf, 1.0]])
        >>> [a.tolist() for a in choose(links, np.array([[0, 0, 1]]), np.array([3.5]))]
        [[0, 1], [0, 1], []]
        >>> [a.tolist() for a in choose(links, np.array([[0, 0, 1]]), np.array([4.5]))]
        [[], [], [0]]
    """
    mothers, one, other = divisions.T
    alone = np.maximum(np.maximum(links[mothers, one], links[mothers, other]), 0)
    kept = np.flatnonzero(gains > alone)  # else the mother's link to either daughter gains as much
    if not len(kept):
        return *assign(links, 0.0), kept
    rows, columns = np.nonzero(np.nan_to_num(links, nan=-np.inf) > 0)
    count, (tracks, found) = len(rows), links.shape
    variable = np.arange(count + len(kept))
    mothers, one, other = mothers[kept], one[kept], other[kept]
    place = np.concatenate((rows, mothers, columns + tracks, one + tracks, other + tracks))
    which = np.concatenate((variable, variable[:count], variable[count:], variable[count:]))
    once = coo_array((np.ones(len(place)), (place, which)), shape=(tracks + found, len(variable)))
    worth = np.concatenate((links[rows, columns], gains[kept]))
    solved = milp(
        -worth,
        integrality=np.ones(len(variable), np.int64),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(once.tocsr(), ub=1),
        options={"mip_rel_gap": 0.0},
    )
    assert solved.x is not None, solved.message  # to make nothing is always possible
    taken = np.asarray(solved.x) > 0.5
    made = np.flatnonzero(taken[:count])
    return rows[made], columns[made], kept[taken[count:]]

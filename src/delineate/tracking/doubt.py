"""How far a detection's box is to be trusted, for an object that goes behind another or comes back."""

from __future__ import annotations

import numpy as np

from delineate.core.masks import Masks

from .round import Round
from .tracks import masks_of

STRONGLY = 5.0  # chosen on simulated crowds: 0 and 20 kept fewer identities
SLIVER = 0.2  # part of an expected mask below which what shows of it says nothing
UNKNOWN = 1e6


def doubt_sizes(play: Round) -> None:
    """A step after the pairs are made: a box whose size jumps says little about where its object goes.

    While an object is being hidden its visible part shrinks, and the part's centre runs from the whole's.
    The variance of the measured box is ``1 + 5 (r - 1)^2`` times the usual one, with r the larger of the two
    areas, last seen and found, over the smaller. (StrongSORT weakens measurements of low score likewise: Du
    et al., "StrongSORT: Make DeepSORT Great Again", IEEE Transactions on Multimedia 25, 2023, section 3.2.)
    """
    rows = np.flatnonzero(play.of_track >= 0)
    columns = play.of_track[rows]
    taken = play.found if play.remembered is None else play.remembered
    before, now = play.tracks.masks.area[rows], masks_of(taken).area[columns]
    ratio = np.maximum(before, now) / np.maximum(np.minimum(before, now), 1)
    known = (before > 0) & (now > 0)
    play.doubt[columns] = np.where(known, 1 + STRONGLY * (np.minimum(ratio, 100) - 1) ** 2, 1)


def coast(play: Round) -> None:
    """A step after :func:`doubt_sizes`: an object of which a sliver shows beside others goes on as expected.

    The sliver is its detection, but neither its shape nor its place: the track remembers the expected mask,
    and the filter learns nothing. A sliver is below a fifth of the expected mask, half of which lies under
    the masks of other tracks. Shapes that were remembered whole already are left alone.
    """
    if play.found.masks is None or not len(play.found):
        return
    taken = play.found if play.remembered is None else play.remembered
    rows = np.flatnonzero((play.of_track >= 0) & play.tracks.confirmed & (play.masks.area > 0))
    columns = play.of_track[rows]
    expected = play.masks.area
    i, j, shared = play.shared
    others = (play.of_found[j] >= 0) & (play.of_found[j] != i)
    covered = np.bincount(i[others], shared[others], minlength=len(expected))
    sliver = (masks_of(taken).area[columns] < SLIVER * expected[rows]) & (
        covered[rows] >= 0.5 * expected[rows]
    )
    if not sliver.any():
        return
    rows, columns = rows[sliver], columns[sliver]
    order, boxes = np.arange(len(play.found)), taken.boxes.copy()
    order[columns] = len(order) + np.arange(len(rows))
    masks = Masks.concatenate((masks_of(taken), play.masks[rows]))[order]
    boxes[columns] = play.boxes[rows]
    play.remembered = taken.replace(masks=masks, boxes=boxes, areas=None)
    play.doubt[columns] = UNKNOWN
